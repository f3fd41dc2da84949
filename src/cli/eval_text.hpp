#pragma once
#include <CLI/CLI.hpp>

#include "cli/verb.hpp"

namespace assay {

/// Adds the tasks `perplexity` and `divergence` to the verb eval; each returns what runs it.
RunVerb declare_eval_perplexity(CLI::App& eval);
RunVerb declare_eval_divergence(CLI::App& eval);

}  // namespace assay
