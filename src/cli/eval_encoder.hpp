#pragma once
#include <CLI/CLI.hpp>

#include "cli/verb.hpp"

namespace assay {

/// Adds the task `encoder` to the verb eval; returns what runs it.
RunVerb declare_eval_encoder(CLI::App& eval);

}  // namespace assay
