#pragma once
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "eval/judge_prompts.hpp"
#include "eval/respondent.hpp"

namespace assay {

/// Pairwise: which of two answers is better. Pointwise: four scores for one answer, as the old rubric.
enum class JudgeMode : uint8_t { kPairwise, kPointwise };
/// "pairwise", "pointwise".
std::string_view judge_mode_name(JudgeMode mode) noexcept;

/// What a judge is asked about two answers, `a` shown first. One text for each turn of the prompt.
Question pairwise_question(const JudgePrompt& prompt, const std::vector<std::string>& a,
                           const std::vector<std::string>& b);
/// What a judge is asked about one answer. The system message, the four criteria, the keys and the scale are
/// those of LlamaPajamas' evaluator; the wording around them is ours.
Question pointwise_question(const JudgePrompt& prompt, const std::vector<std::string>& answer);

/// sha256 of everything a question of this mode holds besides prompt and answers.
std::string template_sha256(JudgeMode mode);

/// The better one of the answers shown as A and B.
enum class Preference : uint8_t { kA, kB, kTie };
/// "A", "B", "tie".
std::string_view preference_name(Preference preference) noexcept;

/// The verdict of a pairwise reply: one JSON object, alone or in one code block, behind any thinking, whose
/// "verdict" is A, B or tie. Nothing for all else, with the reason in `fault`.
std::optional<Preference> parse_pairwise_reply(std::string_view text, std::string& fault);

/// Accuracy, coherence, relevance, quality: 0 useless, 5 acceptable, 10 perfect.
struct PointScores {
  std::array<double, 4> values{};
  std::string reasoning{};
};
inline constexpr std::array<std::string_view, 4> kPointCriteria = {"accuracy", "coherence", "relevance",
                                                                   "quality"};

/// The scores of a pointwise reply: one JSON object as above with all four numbers between 0 and 10. Nothing
/// for all else: a score that is missing or out of range is never a score of 0.
std::optional<PointScores> parse_pointwise_reply(std::string_view text, std::string& fault);

/// The old guide's words for a score: 9-10 excellent, 7-8 good, 5-6 fair, 3-4 poor, 0-2 failed. A value
/// between two bands belongs to the lower one.
std::string_view score_band(double score) noexcept;

}  // namespace assay
