#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "cli/judge_options.hpp"
#include "cli/legacy_files.hpp"
#include "engine/compute.hpp"
#include "eval/guard_dataset.hpp"
#include "eval/guard_predictions.hpp"
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
  LegacySchema legacy_schema = LegacySchema::kPerClass;
};

/// wizard101's results_NAME.json of every subject.
class LegacyGuardResults {
 public:
  /// Reserves the names of all subjects.
  LegacyGuardResults(std::filesystem::path folder, bool overwrite, LegacySchema schema,
                     const std::vector<Subject>& subjects);
  void write(const Subject& subject, std::span<const GuardRecord> records, GuardParser parser,
             const nlohmann::ordered_json& settings);

 private:
  ReservedFiles files_;
  LegacySchema schema_;
};

/// Puts the rows of `sets` to every subject, the same prompts with the same decoding, and
/// adds scores, confusion matrices, flips against the reference and paired differences of all of them.
/// Answers are kept in `output`/guard (empty: nowhere), so that a run that was stopped goes on. `legacy`,
/// where given, writes each subject's results in the old form.
void compare_guard_task(Report& report, std::span<const GuardSet> sets, const GuardComparisonOptions& options,
                        const EngineOptions& engine, const std::filesystem::path& output,
                        LegacyGuardResults* legacy, Progress& progress);

}  // namespace assay
