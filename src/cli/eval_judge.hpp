#pragma once
#include <CLI/CLI.hpp>

#include "cli/verb.hpp"

namespace assay {

/// Adds the task `judge` to the verb eval; returns what runs it.
RunVerb declare_eval_judge(CLI::App& eval);

}  // namespace assay
