#include "eval/guard_comparison.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "base/error.hpp"

namespace assay {
namespace {

using Key = std::tuple<std::string, std::string, GuardTask>;

struct Pair {
  const GuardOutcome* reference;
  const GuardOutcome* candidate;
};

bool is_right(const GuardOutcome& outcome) {
  return outcome.predicted == GuardLabel(outcome.truth);
}

std::vector<Pair> pair_rows(std::span<const GuardOutcome> reference,
                            std::span<const GuardOutcome> candidate) {
  std::map<Key, const GuardOutcome*> known;
  for (const GuardOutcome& outcome : reference) known[{outcome.set, outcome.id, outcome.task}] = &outcome;
  std::vector<Pair> pairs;
  for (const GuardOutcome& outcome : candidate) {
    const auto found = known.find({outcome.set, outcome.id, outcome.task});
    if (found == known.end() || found->second->truth != outcome.truth)
      throw Error({"the two are not about the same rows",
                   fmt::format("{} row {}", outcome.set, outcome.id),
                   "the same sets, order and cut for both",
                   found == known.end() ? "a row without a counterpart" : "another true label",
                   {}});
    pairs.push_back({found->second, &outcome});
    known.erase(found);
  }
  if (!known.empty())
    throw Error({"the two are not about the same rows",
                 {},
                 "the same sets, order and cut for both",
                 fmt::format("{} rows of the reference without a counterpart", known.size()),
                 {}});
  return pairs;
}

void add(const GuardOutcome& outcome, BinaryMatrix& matrix) {
  matrix += count_outcomes({&outcome, 1}, UnparsedRule::kCountsOnce);
}

/// What the bootstrap draws: the rows of one request, by both subjects.
struct PairedCounts {
  BinaryMatrix reference, candidate;
};

template <typename Statistic>
Estimate over_requests(const std::vector<PairedCounts>& requests, uint64_t seed, Statistic statistic) {
  return bootstrap(
      requests.size(),
      [&](std::span<const size_t> drawn) {
        PairedCounts sum;
        for (const size_t index : drawn) {
          sum.reference += requests[index].reference;
          sum.candidate += requests[index].candidate;
        }
        return statistic(sum);
      },
      seed);
}

double quotient(double part, double whole) {
  return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
}

GuardComparison compare_pairs(std::string set, GuardTask task, std::span<const Pair> pairs, uint64_t seed) {
  GuardComparison made;
  made.set = std::move(set);
  made.task = task;
  made.n = static_cast<int64_t>(pairs.size());
  made.discordance.n = made.n;
  std::map<std::pair<std::string, uint64_t>, size_t> places;
  std::vector<PairedCounts> requests;
  for (const Pair& pair : pairs) {
    const bool before = is_right(*pair.reference), after = is_right(*pair.candidate);
    made.discordance.only_first += before && !after;
    made.discordance.only_second += after && !before;
    if (pair.reference->predicted != pair.candidate->predicted)
      made.flips.push_back({pair.candidate->set, pair.candidate->id, task, pair.candidate->truth,
                            pair.reference->predicted, pair.candidate->predicted});
    const auto [place, fresh] =
        places.try_emplace({pair.reference->set, pair.reference->request}, requests.size());
    if (fresh) requests.emplace_back();
    add(*pair.reference, requests[place->second].reference);
    add(*pair.candidate, requests[place->second].candidate);
  }
  made.agreement = wilson_share(made.n - static_cast<int64_t>(made.flips.size()), made.n);
  made.mcnemar = mcnemar_p(made.discordance.only_first, made.discordance.only_second);
  made.accuracy_difference = paired_share_difference(made.discordance);
  made.f1_difference = over_requests(
      requests, seed, [](const PairedCounts& sum) { return sum.candidate.f1() - sum.reference.f1(); });
  made.accuracy_retention = over_requests(requests, seed, [](const PairedCounts& sum) {
    return quotient(sum.candidate.accuracy(), sum.reference.accuracy());
  });
  made.f1_retention = over_requests(requests, seed, [](const PairedCounts& sum) {
    return quotient(sum.candidate.f1(), sum.reference.f1());
  });
  const auto differing = static_cast<double>(made.discordance.only_first + made.discordance.only_second);
  made.n_needed =
      paired_sample_size(differing / static_cast<double>(made.n), std::abs(made.accuracy_difference.value));
  return made;
}

nlohmann::ordered_json with_set(nlohmann::ordered_json settings, const std::string& set, GuardTask task) {
  settings["set"] = set;
  settings["task"] = guard_task_name(task);
  return settings;
}

Estimate point(double value, int64_t n) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {value, -kInfinity, kInfinity, n};
}

}  // namespace

std::vector<GuardComparison> compare_guard(std::span<const GuardOutcome> reference,
                                           std::span<const GuardOutcome> candidate, uint64_t seed) {
  std::vector<std::vector<Pair>> parts;
  std::map<std::pair<std::string, GuardTask>, size_t> places;
  std::map<GuardTask, std::vector<Pair>> by_task;
  std::map<GuardTask, int> sets;
  for (const Pair& pair : pair_rows(reference, candidate)) {
    const auto [place, fresh] = places.try_emplace({pair.candidate->set, pair.candidate->task}, parts.size());
    if (fresh) parts.emplace_back();
    sets[pair.candidate->task] += fresh;
    parts[place->second].push_back(pair);
    by_task[pair.candidate->task].push_back(pair);
  }
  std::vector<GuardComparison> made;
  for (const std::vector<Pair>& part : parts)
    made.push_back(compare_pairs(part[0].candidate->set, part[0].candidate->task, part, seed));
  for (const auto& [task, pairs] : by_task)
    if (sets[task] > 1) made.push_back(compare_pairs("", task, pairs, seed));
  return made;
}

std::optional<double> guard_speed_ratio(std::span<const GuardRecord> reference,
                                        std::span<const GuardRecord> candidate) {
  const GuardTiming a = time_guard(reference), b = time_guard(candidate);
  const bool comparable = a.rows > 0 && a.rows == b.rows && reference.size() == candidate.size() &&
                          a.threads != 0 && a.threads == b.threads && !a.machine.empty() &&
                          a.machine == b.machine && b.seconds_mean > 0;
  return comparable ? std::optional(a.seconds_mean / b.seconds_mean) : std::nullopt;
}

std::vector<Measurement> guard_measurements(const std::string& subject, const GuardSummary& summary,
                                            const nlohmann::ordered_json& settings,
                                            const std::string& file_sha256) {
  std::vector<Measurement> made;
  const auto add_one = [&](const char* metric, const Estimate& estimate, nlohmann::ordered_json where,
                           const char* drawn = "rows") {
    made.push_back(make_measurement(subject, "guard", metric, "share", estimate, drawn));
    made.back().settings = std::move(where);
    made.back().file_sha256 = file_sha256;
  };
  for (const GuardScore& score : summary.scores) {
    const nlohmann::ordered_json where = with_set(settings, score.set, score.task);
    const bool one = score.one_class();
    add_one(one ? "f1_one_class" : "f1", score.positive.f1, where, "requests");
    add_one("f1_published", point(score.f1(UnparsedRule::kPublished), score.total), where);
    add_one("f1_dropped", point(score.f1(UnparsedRule::kDropped), score.total), where);
    add_one("accuracy", score.accuracy, where);
    add_one("accuracy_parsed", score.accuracy_parsed, where);
    if (score.support[1] > 0) add_one("recall", score.positive.recall, where);
    if (!one) add_one("precision", score.positive.precision, where);
    if (!one) add_one("f1_negative", score.negative.f1, where, "requests");
    if (!one) add_one("precision_negative", score.negative.precision, where);
    if (score.support[0] > 0) add_one("recall_negative", score.negative.recall, where);
    if (score.support[0] > 0) add_one("false_positive_rate", score.false_positive_rate, where);
    add_one("unparsed_share", wilson_share(score.unparsed[0] + score.unparsed[1], score.total), where);
    add_one("truncated_share", score.truncated_share, where);
    add_one("f1_truncated_wrong", point(score.f1_truncated_wrong, score.total), where);
    add_one("f1_truncated_excluded", point(score.f1_truncated_excluded, score.total), where);
  }
  for (const GuardAverage& average : summary.averages) {
    const nlohmann::ordered_json where = with_set(settings, "weighted average", average.task);
    add_one("f1_weighted", average.headline, where);
    add_one("f1_weighted_published", point(average.f1[1], average.rows), where);
    add_one("f1_weighted_dropped", point(average.f1[2], average.rows), where);
  }
  if (summary.macro_defined) add_one("f1_macro_of_tasks", summary.macro, settings);
  return made;
}

std::vector<Measurement> guard_measurements(const std::string& subject, const GuardTiming& timing,
                                            const nlohmann::ordered_json& settings,
                                            const std::string& file_sha256) {
  std::vector<Measurement> made;
  nlohmann::ordered_json where = settings;
  where["threads"] = timing.threads;
  where["machine"] = timing.machine;
  const auto add_one = [&](const char* metric, const char* unit, double value) {
    made.push_back(make_measurement(subject, "guard", metric, unit, point(value, timing.rows), "rows"));
    made.back().settings = where;
    made.back().file_sha256 = file_sha256;
  };
  if (timing.rows == 0) return made;
  const auto rows = static_cast<double>(timing.rows);
  add_one("seconds_per_row", "s", timing.seconds_mean);
  add_one("seconds_per_row_median", "s", timing.seconds_median);
  add_one("prefill_seconds_per_row", "s", timing.prefill_seconds / rows);
  add_one("decode_seconds_per_row", "s", timing.decode_seconds / rows);
  add_one("answer_tokens_per_row", "tokens", static_cast<double>(timing.answer_tokens) / rows);
  return made;
}

std::vector<PairedComparison> guard_paired_comparisons(const std::string& reference,
                                                       const std::string& candidate,
                                                       std::span<const GuardComparison> comparisons) {
  std::vector<PairedComparison> made;
  for (const GuardComparison& comparison : comparisons) {
    PairedComparison accuracy{.task = "guard",
                              .metric = "accuracy",
                              .unit = "share",
                              .first = reference,
                              .second = candidate,
                              .difference = comparison.accuracy_difference};
    accuracy.settings = with_set({}, comparison.set.empty() ? "all" : comparison.set, comparison.task);
    PairedComparison f1 = accuracy;
    accuracy.p = comparison.mcnemar;
    if (accuracy.verdict() == PairedVerdict::kNoDifferenceShown) accuracy.n_needed = comparison.n_needed;
    accuracy.settings["p"] = "exact McNemar";
    accuracy.settings["interval"] = "Tango's score interval";
    f1.metric = "f1";
    f1.difference = comparison.f1_difference;
    f1.settings["interval"] = "95 % paired bootstrap over requests, 2000 resamples";
    made.push_back(std::move(accuracy));
    made.push_back(std::move(f1));
  }
  return made;
}

}  // namespace assay
