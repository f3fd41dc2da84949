// What a pairwise result says, as numbers for the report: see judge_pairwise.hpp.
#include <cmath>

#include "eval/judge_pairwise.hpp"

namespace assay {

using Json = nlohmann::ordered_json;

Estimate sensitivity_of(const PairwiseResult& planted) {
  int64_t lost = 0;
  for (const PromptPreference& prompt : planted.prompts)
    lost += prompt.judged() > 0 && prompt.score() < 0.5 ? 1 : 0;
  return wilson_share(lost, planted.judged);
}

std::vector<Measurement> measurements_of(const PairwiseResult& result, const Json& settings,
                                         const std::string& file_sha256) {
  std::vector<Measurement> made;
  const auto add = [&](const std::string& metric, const Estimate& estimate, const char* unit,
                       const char* n_unit) {
    if (estimate.n == 0) return;
    made.push_back(make_measurement(result.candidate, "judge", metric, unit, estimate, n_unit));
    made.back().settings = settings;
    made.back().settings["reference"] = result.reference;
    made.back().file_sha256 = file_sha256;
  };
  add("win_rate", result.win_rate, "share", "prompts");
  add("win_share", result.wins, "share", "prompts");
  add("tie_share", result.ties, "share", "prompts");
  add("loss_share", result.losses, "share", "prompts");
  add("length_controlled_win_rate", result.length_controlled, "share", "prompts");
  add("order_consistency", result.consistency, "share", "pairs");
  add("first_position_share", result.first_position, "share", "verdicts");
  for (const auto& [category, estimate] : result.win_rate_by_category)
    add("win_rate/" + category, estimate, "share", "prompts");
  if (result.judged == 0) return made;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  add("length_ratio", {result.length_ratio, -kInfinity, kInfinity, result.judged}, "ratio", "prompts");
  return made;
}

PairedComparison comparison_of(const PairwiseResult& result, const Json& settings) {
  Discordance counts{.n = result.judged};
  for (const PromptPreference& prompt : result.prompts) {
    if (prompt.judged() == 0) continue;
    counts.only_second += prompt.score() > 0.5 ? 1 : 0;
    counts.only_first += prompt.score() < 0.5 ? 1 : 0;
  }
  PairedComparison made{.task = "judge",
                        .metric = "preferred_share",
                        .unit = "share",
                        .first = result.reference,
                        .second = result.candidate,
                        .settings = settings};
  if (counts.n == 0) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    made.difference = {std::nan(""), -kInfinity, kInfinity, 0};
    return made;
  }
  made.difference = paired_share_difference(counts);
  made.p = mcnemar_p(counts.only_first, counts.only_second);
  made.settings["p"] = "exact McNemar over prompts preferred by the majority of pairs";
  if (made.verdict() == PairedVerdict::kNoDifferenceShown && made.difference.value != 0.0) {
    const double discordant =
        static_cast<double>(counts.only_first + counts.only_second) / static_cast<double>(counts.n);
    made.n_needed = paired_sample_size(discordant, std::abs(made.difference.value));
  }
  return made;
}

Json to_json(const PairwiseResult& result) {
  Json prompts = Json::array();
  for (const PromptPreference& prompt : result.prompts)
    prompts.push_back({{"id", prompt.prompt_id},
                       {"category", prompt.category},
                       {"score", prompt.judged() > 0 ? Json(prompt.score()) : Json()},
                       {"wins", prompt.wins},
                       {"ties", prompt.ties},
                       {"losses", prompt.losses},
                       {"inconsistent", prompt.inconsistent},
                       {"missing", prompt.missing},
                       {"identical", prompt.identical}});
  Json categories = Json::object();
  for (const auto& [category, estimate] : result.win_rate_by_category)
    categories[category] = to_json(estimate);
  return {{"win_rate", to_json(result.win_rate)},
          {"wins", to_json(result.wins)},
          {"ties", to_json(result.ties)},
          {"losses", to_json(result.losses)},
          {"length_controlled_win_rate", to_json(result.length_controlled)},
          {"length_ratio", result.length_ratio},
          {"order_consistency", to_json(result.consistency)},
          {"first_position_share", to_json(result.first_position)},
          {"judged_prompts", result.judged},
          {"missing_prompts", result.missing},
          {"missing_pairs", result.missing_pairs},
          {"identical_answers", result.identical},
          {"by_category", categories},
          {"prompts", prompts},
          {"ledger", to_json(result.ledger)}};
}

}  // namespace assay
