#pragma once
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/judge.hpp"
#include "eval/judge_answers.hpp"
#include "eval/measurement.hpp"

namespace assay {

/// The scores of one answer: means over the repeats that gave a valid reply; nothing when none did.
struct PromptScores {
  std::string prompt_id, category;
  std::optional<std::array<double, 4>> scores{};  ///< in the order of kPointCriteria, 0 to 10
  std::string reasoning;                          ///< of the first valid reply
};

/// Old rubric, kept for continuity: prefer judge_pairwise, whose verdicts are steadier. Scores are never
/// added up across criteria nor divided by each other.
struct PointwiseResult {
  std::string subject;
  std::vector<PromptScores> prompts;
  std::array<Estimate, 4> means;                               ///< over prompts with a score
  std::map<std::string, std::array<Estimate, 4>> by_category;  ///< n is the category's own
  int64_t missing = 0;                                         ///< prompts without a score
  JudgeLedger ledger;
};

std::vector<JudgeRequest> pointwise_requests(const Judge& judge, const PromptSet& prompts,
                                             const AnswerSet& answers, int repeats);
PointwiseResult judge_pointwise(Judge& judge, const PromptSet& prompts, const AnswerSet& answers, int repeats,
                                uint64_t seed, Progress& progress);

/// accuracy, coherence, relevance, quality, and each by category as "quality/code"; unit "points of 10".
std::vector<Measurement> measurements_of(const PointwiseResult& result,
                                         const nlohmann::ordered_json& settings,
                                         const std::string& file_sha256);

/// One comparison for each criterion over the prompts that both have a score for; interval by bootstrap over
/// prompts, p by exchange.
std::vector<PairedComparison> comparisons_of(const PointwiseResult& reference,
                                             const PointwiseResult& candidate, uint64_t seed,
                                             const nlohmann::ordered_json& settings);

nlohmann::ordered_json to_json(const PointwiseResult& result);

// The relative figures in which LlamaPajamas' report spoke. They are arithmetic, no verdict: a ratio of
// points on a scale without a zero says nothing about quality.

/// a / b - 1: 3.9 points against 1.6 were told as "144 % better".
double relative_gain(double a, double b) noexcept;
/// 1 - first / second: 2.25 s instead of 3.36 s were told as "33 % faster".
double relative_saving(double first, double second) noexcept;
/// 1 - b / a: 1.6 points instead of 3.9 were told as "60 % lower".
double relative_loss(double a, double b) noexcept;
/// (baseline - value) / baseline · 100.
double degradation_percent(double baseline, double value) noexcept;

}  // namespace assay
