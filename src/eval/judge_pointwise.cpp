#include "eval/judge_pointwise.hpp"

#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// With fewer prompts not even a unanimous difference has p < 0.05 under exchange (2 / 2^5 = 0.0625), and a
/// bootstrap's interval would be too narrow.
constexpr size_t kFewestPrompts = 6;

Estimate mean_of(const std::vector<Cluster>& clusters, uint64_t seed) {
  return clusters.empty() ? Estimate{std::nan(""), -kInfinity, kInfinity, 0} : cluster_mean(clusters, seed);
}

/// Means over the prompts of a category, or of all where it is empty.
std::array<Estimate, 4> means_of(const std::vector<PromptScores>& prompts, const std::string& category,
                                 uint64_t seed) {
  std::array<Estimate, 4> means;
  for (size_t k = 0; k < means.size(); ++k) {
    std::vector<Cluster> clusters;
    for (const PromptScores& prompt : prompts)
      if (prompt.scores && (category.empty() || prompt.category == category))
        clusters.push_back({(*prompt.scores)[k], 1.0});
    means[k] = mean_of(clusters, seed);
  }
  return means;
}

PromptScores scores_of(const Judge& judge, const JudgePrompt& prompt,
                       std::span<const JudgeRequest> requests) {
  PromptScores made{.prompt_id = prompt.id, .category = prompt.category, .reasoning = {}};
  std::array<double, 4> sums{};
  double valid = 0.0;
  for (const JudgeRequest& request : requests) {
    const auto reply = judge.reply_to(request);
    if (!reply) continue;
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += reply->scores.values[k];
    if (made.reasoning.empty()) made.reasoning = reply->scores.reasoning;
    valid += 1.0;
  }
  if (valid == 0.0) return made;
  for (double& sum : sums) sum /= valid;
  made.scores = sums;
  return made;
}

Json means_json(const std::array<Estimate, 4>& means) {
  Json json;
  for (size_t k = 0; k < means.size(); ++k) json[std::string(kPointCriteria[k])] = to_json(means[k]);
  return json;
}

double standard_deviation(const std::vector<double>& first, const std::vector<double>& second, double mean) {
  double squares = 0.0;
  for (size_t i = 0; i < first.size(); ++i) squares += std::pow(second[i] - first[i] - mean, 2);
  return std::sqrt(squares / static_cast<double>(first.size() - 1));
}

}  // namespace

std::vector<JudgeRequest> pointwise_requests(const Judge& judge, const PromptSet& prompts,
                                             const AnswerSet& answers, int repeats) {
  ASSAY_CHECK(answers.answers.size() == prompts.prompts.size());
  std::vector<JudgeRequest> requests;
  for (size_t i = 0; i < prompts.prompts.size(); ++i)
    for (int repeat = 0; repeat < repeats; ++repeat)
      requests.push_back(judge.make_request(
          JudgeMode::kPointwise, pointwise_question(prompts.prompts[i], answers.answers[i].texts), 0,
          static_cast<uint64_t>(repeat),
          {{"kind", "point"}, {"subject", answers.subject}, {"prompt_id", prompts.prompts[i].id}}));
  return requests;
}

PointwiseResult judge_pointwise(Judge& judge, const PromptSet& prompts, const AnswerSet& answers, int repeats,
                                uint64_t seed, Progress& progress) {
  const std::vector<JudgeRequest> requests = pointwise_requests(judge, prompts, answers, repeats);
  judge.ask(requests, progress);
  PointwiseResult result{
      .subject = answers.subject, .prompts = {}, .means = {}, .by_category = {}, .ledger = {}};
  const auto per_prompt = static_cast<size_t>(repeats);
  for (size_t i = 0; i < prompts.prompts.size(); ++i) {
    result.prompts.push_back(
        scores_of(judge, prompts.prompts[i], std::span(requests).subspan(i * per_prompt, per_prompt)));
    result.missing += result.prompts.back().scores ? 0 : 1;
  }
  result.means = means_of(result.prompts, "", seed);
  for (const JudgePrompt& prompt : prompts.prompts)
    if (!result.by_category.contains(prompt.category))
      result.by_category[prompt.category] = means_of(result.prompts, prompt.category, seed);
  result.ledger = judge.ledger(requests);
  return result;
}

std::vector<Measurement> measurements_of(const PointwiseResult& result, const Json& settings,
                                         const std::string& file_sha256) {
  std::vector<Measurement> made;
  const auto add = [&](const std::array<Estimate, 4>& means, const std::string& suffix) {
    for (size_t k = 0; k < means.size(); ++k) {
      if (means[k].n == 0) continue;
      made.push_back(make_measurement(result.subject, "judge", std::string(kPointCriteria[k]) + suffix,
                                      "points of 10", means[k], "prompts"));
      made.back().settings = settings;
      made.back().file_sha256 = file_sha256;
    }
  };
  add(result.means, "");
  for (const auto& [category, means] : result.by_category) add(means, "/" + category);
  return made;
}

std::vector<PairedComparison> comparisons_of(const PointwiseResult& reference,
                                             const PointwiseResult& candidate, uint64_t seed,
                                             const Json& settings) {
  ASSAY_CHECK(reference.prompts.size() == candidate.prompts.size());
  std::vector<PairedComparison> made;
  for (size_t k = 0; k < kPointCriteria.size(); ++k) {
    std::vector<double> first, second;
    for (size_t i = 0; i < reference.prompts.size(); ++i) {
      if (!reference.prompts[i].scores || !candidate.prompts[i].scores) continue;
      first.push_back((*reference.prompts[i].scores)[k]);
      second.push_back((*candidate.prompts[i].scores)[k]);
    }
    if (first.size() < 2) continue;
    PairedComparison one{.task = "judge",
                         .metric = std::string(kPointCriteria[k]),
                         .unit = "points of 10",
                         .first = reference.subject,
                         .second = candidate.subject,
                         .settings = settings};
    one.difference = paired_difference(first, second, seed);
    if (first.size() < kFewestPrompts) one.difference.low = -kInfinity, one.difference.high = kInfinity;
    one.p = paired_exchange_p(first, second, seed);
    one.settings["p"] = "exchange of the two subjects, by prompt";
    if (one.verdict() == PairedVerdict::kNoDifferenceShown && one.difference.value != 0.0)
      one.n_needed =
          sample_size_for_mean(standard_deviation(first, second, one.difference.value), one.difference.value);
    made.push_back(std::move(one));
  }
  return made;
}

Json to_json(const PointwiseResult& result) {
  Json categories = Json::object(), prompts = Json::array();
  for (const auto& [category, means] : result.by_category) categories[category] = means_json(means);
  for (const PromptScores& prompt : result.prompts) {
    Json scores;
    for (size_t k = 0; prompt.scores && k < kPointCriteria.size(); ++k)
      scores[std::string(kPointCriteria[k])] = (*prompt.scores)[k];
    prompts.push_back({{"id", prompt.prompt_id}, {"category", prompt.category}, {"scores", scores}});
  }
  return {{"scores", means_json(result.means)},
          {"band", std::isfinite(result.means[3].value) ? Json(score_band(result.means[3].value)) : Json()},
          {"by_category", categories},
          {"missing_prompts", result.missing},
          {"prompts", prompts},
          {"ledger", to_json(result.ledger)}};
}

double relative_gain(double a, double b) noexcept {
  return a / b - 1.0;
}
double relative_saving(double first, double second) noexcept {
  return 1.0 - first / second;
}
double relative_loss(double a, double b) noexcept {
  return 1.0 - b / a;
}
double degradation_percent(double baseline, double value) noexcept {
  return (baseline - value) / baseline * 100.0;
}

}  // namespace assay
