#pragma once
#include <optional>
#include <string>
#include <vector>

#include "eval/endpoint.hpp"
#include "eval/judge_pairwise.hpp"
#include "eval/judge_pointwise.hpp"
#include "eval/judge_summary.hpp"

namespace assay {

/// A local model that lives as long as it is asked. Throws Error when it cannot be opened.
std::unique_ptr<Respondent> open_local_respondent(const std::filesystem::path& path,
                                                  const EngineOptions& engine);
/// A local model as a source of answers. Reads its files' hashes at once and opens it when it must answer.
/// Throws Error when it cannot be read.
AnswerSource local_source(std::string label, const std::filesystem::path& path, const EngineOptions& engine);
/// Somebody's server as a source of answers.
AnswerSource endpoint_source(std::string label, const EndpointOptions& endpoint);

/// What is judged, and how.
struct JudgeTask {
  JudgeMode mode = JudgeMode::kPairwise;
  PromptSet prompts;
  DecodingOptions decoding{};  ///< the same for every subject
  int repeats = 3;
  size_t control_prompts = 20;  ///< on so many the reference is held against a re-run of itself
  size_t planted_answers = 6;
  uint64_t seed = 0;
};
/// Everything of a task that changes a number: prompts, decoding, repeats, seed, and the judge's settings.
nlohmann::ordered_json settings_of(const JudgeTask& task, const Judge& judge);

struct JudgedSubject {
  AnswerSet answers;
  AnswerSummary summary;
  std::optional<PairwiseResult> pairwise{};  ///< none for the reference
  std::optional<PointwiseResult> pointwise{};
  std::vector<PairedComparison> comparisons{};  ///< with the reference
};

struct JudgeTaskResult {
  nlohmann::ordered_json settings;
  std::optional<JudgedSubject> reference{};
  std::vector<JudgedSubject> candidates;
  std::optional<PairwiseResult> control{};  ///< the reference against a re-run of itself: the noise floor
  std::optional<PairwiseResult> planted{};  ///< the reference against its own answers made worse
  JudgeLedger ledger;                       ///< of every request of the task
};

/// Answers first, then verdicts, so that a file that cannot be read costs nothing. Pairwise mode needs a
/// reference. Throws what the subjects and the judge throw; both logs hold all that was done until then.
JudgeTaskResult run_judge_task(const JudgeTask& task, const AnswerSource* reference,
                               const std::vector<AnswerSource>& candidates, Judge& judge,
                               RecordLog& answer_log, Progress& progress);

/// Every number of every subject; those of the control under the reference's label as control_win_rate and
/// control_decided_share, the judge's eye for planted answers as planted_seen_share.
std::vector<Measurement> measurements_of(const JudgeTaskResult& result);

}  // namespace assay
