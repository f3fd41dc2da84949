#include "eval/judge_pairwise.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// One pair of calls: the reference shown first, then the candidate shown first.
struct Pair {
  size_t prompt = 0;
  JudgeRequest reference_first, candidate_first;
};

Json about(const PromptSet& prompts, size_t i, const AnswerSet& candidate, const PairwiseOptions& options,
           const char* first) {
  return {{"kind", options.kind},
          {"subject", candidate.subject},
          {"prompt_id", prompts.prompts[i].id},
          {"shown_first", first}};
}

std::vector<Pair> make_pairs(const Judge& judge, const PromptSet& prompts, const AnswerSet& reference,
                             const AnswerSet& candidate, const PairwiseOptions& options) {
  const size_t n = prompts.prompts.size();
  ASSAY_CHECK(reference.answers.size() == n && candidate.answers.size() == n);
  std::vector<Pair> pairs;
  for (size_t i = 0; i < n; ++i) {
    const JudgePrompt& prompt = prompts.prompts[i];
    const auto &ours = candidate.answers[i].texts, &theirs = reference.answers[i].texts;
    if (ours == theirs && !options.ask_identical) continue;
    for (int repeat = 0; repeat < options.repeats; ++repeat) {
      const auto k = static_cast<uint64_t>(repeat);
      pairs.push_back({i,
                       judge.make_request(JudgeMode::kPairwise, pairwise_question(prompt, theirs, ours), 0, k,
                                          about(prompts, i, candidate, options, "reference")),
                       judge.make_request(JudgeMode::kPairwise, pairwise_question(prompt, ours, theirs), 1, k,
                                          about(prompts, i, candidate, options, "candidate"))});
    }
  }
  return pairs;
}

std::vector<JudgeRequest> requests_of(const std::vector<Pair>& pairs) {
  std::vector<JudgeRequest> requests;
  for (const Pair& pair : pairs) {
    requests.push_back(pair.reference_first);
    requests.push_back(pair.candidate_first);
  }
  return requests;
}

/// Verdicts for the answer shown first, and for either.
struct PositionCount {
  int64_t first = 0, decided = 0;
  int64_t agreeing = 0, pairs = 0;
};

void count_pair(const Judge& judge, const Pair& pair, PromptPreference& prompt, PositionCount& positions) {
  const auto one = judge.reply_to(pair.reference_first), two = judge.reply_to(pair.candidate_first);
  for (const auto& reply : {one, two}) {
    if (!reply || reply->preference == Preference::kTie) continue;
    ++positions.decided;
    positions.first += reply->preference == Preference::kA ? 1 : 0;
  }
  if (!one || !two) {
    ++prompt.missing;
    return;
  }
  const Preference first = one->preference, second = two->preference;
  const bool wins = first == Preference::kB && second == Preference::kA;
  const bool loses = first == Preference::kA && second == Preference::kB;
  const bool agreed_tie = first == Preference::kTie && second == Preference::kTie;
  prompt.wins += wins ? 1 : 0;
  prompt.losses += loses ? 1 : 0;
  prompt.ties += wins || loses ? 0 : 1;
  prompt.inconsistent += wins || loses || agreed_tie ? 0 : 1;
  ++positions.pairs;
  positions.agreeing += wins || loses || agreed_tie ? 1 : 0;
}

/// Mean over prompts with its bootstrap interval. Where all prompts are alike any resample is too, and the
/// interval would be a point: then Wilson's, which knows how few they are.
Estimate mean_over(const std::vector<double>& values, uint64_t seed) {
  if (values.empty()) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return {kNone, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(), 0};
  }
  std::vector<Cluster> clusters;
  for (const double value : values) clusters.push_back({value, 1.0});
  Estimate estimate = cluster_mean(clusters, seed);
  if (std::isfinite(estimate.low) && estimate.low < estimate.high) return estimate;
  const auto n = static_cast<int64_t>(values.size());
  const Estimate wilson = wilson_share(std::llround(estimate.value * static_cast<double>(n)), n);
  return {estimate.value, std::min(wilson.low, estimate.value), std::max(wilson.high, estimate.value), n};
}

/// Intercept of y over x by least squares; the mean of y where x does not vary.
double intercept(const std::vector<const PromptPreference*>& prompts, std::span<const size_t> drawn) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (const size_t i : drawn) {
    const double ratio = prompts[i]->length_log_ratio, score = prompts[i]->score();
    n += 1.0;
    x += ratio;
    y += score;
    xx += ratio * ratio;
    xy += ratio * score;
  }
  const double spread = n * xx - x * x;
  const double slope = spread > 1e-9 * n * n ? (n * xy - x * y) / spread : 0.0;
  return std::clamp((y - slope * x) / n, 0.0, 1.0);
}

/// Everything that rests on the prompts with at least one judged pair.
void estimate_shares(PairwiseResult& result, uint64_t seed) {
  std::vector<const PromptPreference*> judged;
  std::vector<double> scores, wins, ties, losses;
  std::map<std::string, std::vector<double>> by_category;
  double log_ratio = 0.0;
  for (const PromptPreference& prompt : result.prompts) {
    result.missing_pairs += prompt.missing;
    result.identical += prompt.identical ? 1 : 0;
    if (prompt.judged() == 0) {
      ++result.missing;
      continue;
    }
    const double pairs = prompt.judged();
    judged.push_back(&prompt);
    scores.push_back(prompt.score());
    wins.push_back(prompt.wins / pairs);
    ties.push_back(prompt.ties / pairs);
    losses.push_back(prompt.losses / pairs);
    by_category[prompt.category].push_back(prompt.score());
    log_ratio += prompt.length_log_ratio;
  }
  result.judged = static_cast<int64_t>(judged.size());
  result.win_rate = mean_over(scores, seed);
  result.wins = mean_over(wins, seed);
  result.ties = mean_over(ties, seed);
  result.losses = mean_over(losses, seed);
  for (const auto& [category, values] : by_category)
    result.win_rate_by_category[category] = mean_over(values, seed);
  result.length_controlled = result.win_rate;
  if (judged.empty()) return;
  result.length_ratio = std::exp(log_ratio / static_cast<double>(judged.size()));
  const Estimate controlled = bootstrap(
      judged.size(), [&](std::span<const size_t> drawn) { return intercept(judged, drawn); }, seed);
  if (controlled.low < controlled.high) result.length_controlled = controlled;
}

}  // namespace

double PromptPreference::score() const noexcept {
  return (wins + 0.5 * ties) / judged();
}

std::vector<JudgeRequest> pairwise_requests(const Judge& judge, const PromptSet& prompts,
                                            const AnswerSet& reference, const AnswerSet& candidate,
                                            const PairwiseOptions& options) {
  return requests_of(make_pairs(judge, prompts, reference, candidate, options));
}

PairwiseResult judge_pairwise(Judge& judge, const PromptSet& prompts, const AnswerSet& reference,
                              const AnswerSet& candidate, const PairwiseOptions& options,
                              Progress& progress) {
  const std::vector<Pair> pairs = make_pairs(judge, prompts, reference, candidate, options);
  const std::vector<JudgeRequest> requests = requests_of(pairs);
  judge.ask(requests, progress);
  PairwiseResult result;
  result.reference = reference.subject;
  result.candidate = candidate.subject;
  for (size_t i = 0; i < prompts.prompts.size(); ++i) {
    const PromptAnswer &ours = candidate.answers[i], &theirs = reference.answers[i];
    const double ratio = static_cast<double>(ours.length() + 1) / static_cast<double>(theirs.length() + 1);
    PromptPreference prompt{.prompt_id = prompts.prompts[i].id,
                            .category = prompts.prompts[i].category,
                            .identical = ours.texts == theirs.texts,
                            .length_log_ratio = std::log(ratio)};
    if (prompt.identical && !options.ask_identical) prompt.ties = options.repeats;
    result.prompts.push_back(std::move(prompt));
  }
  PositionCount positions;
  for (const Pair& pair : pairs) count_pair(judge, pair, result.prompts[pair.prompt], positions);
  estimate_shares(result, options.seed);
  result.consistency = wilson_share(positions.agreeing, positions.pairs);
  result.first_position = wilson_share(positions.first, positions.decided);
  result.ledger = judge.ledger(requests);
  return result;
}

}  // namespace assay
