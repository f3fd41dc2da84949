#pragma once
#include "cli/verb.hpp"

namespace assay {

/// Adds `eval guard` to `eval`; what it returns runs the task.
RunVerb declare_eval_guard(CLI::App& eval);

}  // namespace assay
