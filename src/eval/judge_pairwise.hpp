#pragma once
#include <map>
#include <string>
#include <vector>

#include "eval/judge.hpp"
#include "eval/judge_answers.hpp"
#include "eval/measurement.hpp"

namespace assay {

/// How two sets of answers are held against each other.
struct PairwiseOptions {
  int repeats = 3;             ///< each in both orders
  bool ask_identical = false;  ///< also where both answers are the same text; else a tie without a call
  uint64_t seed = 0;           ///< of the bootstrap
  std::string kind = "pair";   ///< written with the stored replies: "pair", "control", "planted"
};

/// What became of a prompt. A pair is one repeat in both orders: the candidate wins or loses it where both
/// orders name the same answer; anything else is a tie. A pair without a valid reply in either order is
/// missing.
struct PromptPreference {
  std::string prompt_id, category;
  int wins = 0, ties = 0, losses = 0, missing = 0;
  int inconsistent = 0;           ///< of the ties, those where the two orders disagree
  bool identical = false;         ///< both answers are the same text
  double length_log_ratio = 0.0;  ///< ln of the candidate's bytes over the reference's, each plus one

  int judged() const noexcept { return wins + ties + losses; }
  /// 1 for wins alone, 0 for losses alone; a tie counts one half. judged() must not be 0.
  double score() const noexcept;
};

struct PairwiseResult {
  std::string reference, candidate;
  std::vector<PromptPreference> prompts;
  Estimate win_rate;            ///< mean score over prompts; one half: as good as the reference
  Estimate wins, ties, losses;  ///< shares of pairs, over prompts
  /// The win rate at equal length: the intercept of score over ln(length ratio) by least squares, within
  /// [0, 1]. Equal to win_rate where lengths do not vary.
  Estimate length_controlled;
  double length_ratio = 1.0;  ///< geometric mean of the candidate's length over the reference's
  Estimate consistency;       ///< share of asked pairs whose orders agree; n = pairs
  Estimate first_position;    ///< share of verdicts for the answer shown first, ties aside; one half: no bias
  int64_t judged = 0, missing = 0;  ///< prompts with and without a judged pair
  int64_t missing_pairs = 0, identical = 0;
  std::map<std::string, Estimate> win_rate_by_category;
  JudgeLedger ledger;
};

/// Asks the judge for what is not stored, and counts. Answer sets stand in the order of the prompts.
PairwiseResult judge_pairwise(Judge& judge, const PromptSet& prompts, const AnswerSet& reference,
                              const AnswerSet& candidate, const PairwiseOptions& options, Progress& progress);

/// The requests judge_pairwise would make.
std::vector<JudgeRequest> pairwise_requests(const Judge& judge, const PromptSet& prompts,
                                            const AnswerSet& reference, const AnswerSet& candidate,
                                            const PairwiseOptions& options);

/// The same answers made worse, one way after another: words in random order, the answer to another prompt,
/// the first seventh. Prompts whose answer has fewer than 8 words are left out of both; `prompts` becomes
/// those that remain, at most `most`.
struct PlantedAnswers {
  PromptSet prompts;
  AnswerSet reference, worse;
};
PlantedAnswers plant_bad_answers(const PromptSet& prompts, const AnswerSet& reference, size_t most,
                                 uint64_t seed);

/// Share of planted answers that lost, with Wilson's interval: what the judge is able to see.
Estimate sensitivity_of(const PairwiseResult& planted);

/// Subject, task "judge" and every number of a result: win_rate, win_share, tie_share, loss_share,
/// length_controlled_win_rate, length_ratio, order_consistency, first_position_share; win_rate/CATEGORY.
std::vector<Measurement> measurements_of(const PairwiseResult& result, const nlohmann::ordered_json& settings,
                                         const std::string& file_sha256);

/// Prompts on which the candidate is preferred against those on which the reference is: difference of their
/// shares with its score interval, p by exact McNemar, and the prompts that would show it.
PairedComparison comparison_of(const PairwiseResult& result, const nlohmann::ordered_json& settings);

nlohmann::ordered_json to_json(const PairwiseResult& result);

}  // namespace assay
