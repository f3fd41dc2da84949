#include "cli/compare_divergence.hpp"

#include <cmath>
#include <filesystem>
#include <memory>

#include "base/error.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kSeed = 0;

/// A subject's weights, once, with a decoder of each arithmetic.
struct Runner {
  Runner(const Subject& of, int threads)
      : subject(&of),
        model(of.path, {.threads = threads, .compute = Compute::kExact}),
        fast(model.file(), {.threads = threads, .compute = Compute::kFast}) {}
  const Subject* subject;
  LanguageModel model;
  Decoder fast;
};

/// One subject's result in one arithmetic on one corpus.
struct Outcome {
  const Subject* subject;
  Json settings;
  DivergenceResult result;
};

Json settings_of(const Corpus& corpus, const WindowOptions& windows, Compute compute,
                 const DivergenceResult& result) {
  return {{"compute", compute_name(compute)},
          {"reference_compute", "exact"},
          {"corpus", std::filesystem::path(corpus.path).filename().string()},
          {"corpus_sha256", corpus.sha256},
          {"context", windows.context},
          {"tokens", result.tokens},
          {"interval", "95 % bootstrap over " + result.cluster_unit + ", 2000 resamples, seed 0"}};
}

void add_figures(Report& report, const Outcome& outcome) {
  for (const DivergenceFigure& figure : outcome.result.figures) {
    Measurement made = make_measurement(outcome.subject->label, "divergence", figure.name, figure.unit,
                                        figure.estimate, outcome.result.cluster_unit);
    made.settings = outcome.settings;
    made.file_sha256 = outcome.subject->sha256;
    report.measurements.push_back(std::move(made));
  }
}

/// The page draws one curve a subject: that of its weights.
void add_curves(Report& report, const Outcome& outcome) {
  for (const DivergenceCurve& curve : outcome.result.curves) {
    Series series{.subject = outcome.subject->label,
                  .task = "divergence",
                  .metric = curve.metric,
                  .x_name = curve.x_name,
                  .unit = curve.unit};
    for (const DivergenceCurve::Point& point : curve.points) {
      Series::Point drawn{.x = point.x, .y = point.y.value, .n = point.tokens, .label = point.label};
      if (std::isfinite(point.y.low)) drawn.low = point.y.low;
      if (std::isfinite(point.y.high)) drawn.high = point.y.high;
      series.points.push_back(std::move(drawn));
    }
    report.series.push_back(std::move(series));
  }
}

std::vector<double> cluster_means(const std::vector<Cluster>& clusters) {
  std::vector<double> means;
  for (const Cluster& cluster : clusters)
    means.push_back(cluster.count > 0 ? cluster.sum / cluster.count : 0);
  return means;
}

/// Clusters that would show the mean difference of these pairs.
std::optional<int64_t> clusters_needed(const std::vector<double>& first, const std::vector<double>& second) {
  const auto n = static_cast<double>(first.size());
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < first.size(); ++i) {
    sum += second[i] - first[i];
    squares += (second[i] - first[i]) * (second[i] - first[i]);
  }
  if (n < 2.0) return std::nullopt;
  const double variance = std::max(0.0, (squares - sum * sum / n) / (n - 1.0));
  return sample_size_for_mean(std::sqrt(variance), sum / n);
}

/// Mean over all tokens of second minus first, by clusters.
PairedComparison compare_clusters(const Outcome& first, const Outcome& second, const char* metric,
                                  const char* unit, std::vector<Cluster> DivergenceResult::*clusters) {
  const std::vector<Cluster>&a = first.result.*clusters, &b = second.result.*clusters;
  const std::vector<double> mean_a = cluster_means(a), mean_b = cluster_means(b);
  const auto mean_difference = [&](std::span<const size_t> drawn) {
    Cluster sum_a, sum_b;
    for (const size_t i : drawn) {
      sum_a.sum += a[i].sum, sum_a.count += a[i].count;
      sum_b.sum += b[i].sum, sum_b.count += b[i].count;
    }
    return sum_b.sum / sum_b.count - sum_a.sum / sum_a.count;
  };
  PairedComparison made{.task = "divergence",
                        .metric = metric,
                        .unit = unit,
                        .first = first.subject->label,
                        .second = second.subject->label,
                        .difference = bootstrap(a.size(), mean_difference, kSeed),
                        .higher_is_better = false,
                        .p = paired_exchange_p(mean_a, mean_b, kSeed),
                        .settings = first.settings};
  made.settings["p"] = "exchange of the two by " + first.result.cluster_unit;
  if (made.verdict() == PairedVerdict::kNoDifferenceShown) made.n_needed = clusters_needed(mean_a, mean_b);
  return made;
}

/// Perplexity against the reference's: the clusters already hold the paired differences of the nll.
PairedComparison compare_with_reference(const Report& report, const Outcome& outcome) {
  const std::vector<double> differences = cluster_means(outcome.result.nll_clusters);
  const std::vector<double> none(differences.size(), 0.0);
  PairedComparison made{.task = "divergence",
                        .metric = "ln_ppl_ratio",
                        .unit = "nats/token",
                        .first = report.reference,
                        .second = outcome.subject->label,
                        .difference = outcome.result.nll_difference,
                        .higher_is_better = false,
                        .p = paired_exchange_p(none, differences, kSeed),
                        .settings = outcome.settings};
  made.settings["p"] = "exchange of the two by " + outcome.result.cluster_unit;
  if (made.verdict() == PairedVerdict::kNoDifferenceShown) made.n_needed = clusters_needed(none, differences);
  return made;
}

void add_corpus(Report& report, const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes) {
    add_figures(report, outcome);
    if (outcome.settings["compute"] == "exact") add_curves(report, outcome);
    if (outcome.subject->label != report.reference)
      report.comparisons.push_back(compare_with_reference(report, outcome));
  }
  for (size_t second = 1; second < outcomes.size(); ++second)
    for (size_t first = 0; first < second; ++first) {
      const Outcome &a = outcomes[first], &b = outcomes[second];
      const bool both_candidates =
          a.subject->label != report.reference && b.subject->label != report.reference;
      if (both_candidates && a.settings["compute"] == b.settings["compute"])
        report.comparisons.push_back(
            compare_clusters(a, b, "kl_mean", "nats/token", &DivergenceResult::kl_clusters));
    }
}

}  // namespace

void compare_divergence(Report& report, const std::vector<Corpus>& corpora, const WindowOptions& windows,
                        int threads, Progress& progress) {
  std::vector<std::unique_ptr<Runner>> runners;
  for (const Subject& subject : report.subjects) {
    if (subject.kind == "endpoint")
      report.notes.push_back(subject.label + ": an endpoint gives no logits, so its divergence is unknown");
    else
      runners.push_back(std::make_unique<Runner>(subject, threads));
  }
  std::vector<DivergenceCandidate> candidates;
  for (const auto& runner : runners) candidates.push_back({.model = &runner->model});
  for (const auto& runner : runners)
    candidates.push_back({.model = &runner->model, .decoder = &runner->fast});
  LanguageModel reference(runners.front()->subject->path, {.threads = threads, .compute = Compute::kExact});
  for (const Corpus& corpus : corpora) {
    std::vector<DivergenceResult> results =
        measure_divergences(reference, candidates, corpus, windows, progress);
    std::vector<Outcome> outcomes;
    for (size_t i = 0; i < results.size(); ++i) {
      const Compute compute = i < runners.size() ? Compute::kExact : Compute::kFast;
      Json settings = settings_of(corpus, windows, compute, results[i]);
      outcomes.push_back({runners[i % runners.size()]->subject, std::move(settings), std::move(results[i])});
    }
    add_corpus(report, outcomes);
  }
}

}  // namespace assay
