#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "cli/judge_options.hpp"
#include "engine/compute.hpp"
#include "eval/guard_dataset.hpp"
#include "eval/guard_run.hpp"
#include "report/report.hpp"

namespace assay {

/// The guard task of a comparison.
struct GuardComparisonOptions {
  std::vector<std::string> sets;
  std::filesystem::path folder{};  ///< where sets are looked for by name
  GuardSelection selection{};
  GuardOptions guard{};
  JudgeCliOptions endpoints{};  ///< how endpoints are reached
};

/// Puts the rows of `sets` to every subject, the same prompts with the same decoding, and
/// adds scores, confusion matrices, flips against the reference and paired differences of all of them.
/// Answers are kept in `output`/guard (empty: nowhere), so that a run that was stopped goes on.
void compare_guard_task(Report& report, std::span<const GuardSet> sets, const GuardComparisonOptions& options,
                        const EngineOptions& engine, const std::filesystem::path& output, Progress& progress);

}  // namespace assay
