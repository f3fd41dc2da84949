#include "eval/divergence_measurements.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kSeed = 0;
constexpr int kResamples = 2000;

/// Mean difference per token of what two candidates have summed over the same documents, second minus first.
std::vector<Cluster> differences(const std::vector<Cluster>& first, const std::vector<Cluster>& second) {
  ASSAY_CHECK(first.size() == second.size());
  std::vector<Cluster> found;
  for (size_t i = 0; i < first.size(); ++i) {
    ASSAY_CHECK(first[i].count == second[i].count);
    found.push_back({second[i].sum - first[i].sum, first[i].count});
  }
  return found;
}

/// Documents that show `wanted` per token, from how far theirs scatter.
std::optional<int64_t> documents_needed(const std::vector<Cluster>& clusters, double wanted) {
  if (clusters.size() < 2) return std::nullopt;
  double tokens = 0.0, squares = 0.0;
  for (const Cluster& cluster : clusters) {
    const double off = cluster.sum - wanted * cluster.count;  // of a ratio's numerator: linearization
    squares += off * off;
    tokens += cluster.count;
  }
  const auto n = static_cast<double>(clusters.size());
  return sample_size_for_mean(std::sqrt(squares / (n - 1)) / (tokens / n), wanted);
}

PairedComparison compare(const char* metric, const char* unit, bool higher_is_better,
                         const std::vector<Cluster>& first, const std::vector<Cluster>& second) {
  const std::vector<Cluster> clusters = differences(first, second);
  PairedComparison made{.task = "divergence", .metric = metric, .unit = unit, .first = {}, .second = {}};
  made.difference = cluster_mean(clusters, kSeed);
  made.higher_is_better = higher_is_better;
  std::vector<double> zero(clusters.size()), sums;
  for (const Cluster& cluster : clusters) sums.push_back(cluster.sum);
  if (clusters.size() >= 2) made.p = paired_exchange_p(zero, sums, kSeed);
  if (made.verdict() == PairedVerdict::kNoDifferenceShown)
    made.n_needed = documents_needed(clusters, made.difference.value);
  return made;
}

void name_subjects(PairedComparison& made, const std::string& first, const std::string& second,
                   const Json& settings, const std::string& cluster_unit) {
  made.first = first;
  made.second = second;
  made.settings = settings;
  made.settings["p"] = "exchange of the two by " + cluster_unit + ", two-sided, 10000 draws";
}

}  // namespace

std::string describe_interval(const DivergenceResult& result, const Estimate& estimate, int resamples) {
  if (!std::isfinite(estimate.low) && result.kl_clusters.size() < 2)
    return "none: fewer than two " + result.cluster_unit;
  if (!std::isfinite(estimate.low)) return "none: a bootstrap cannot tell how far an extreme value may lie";
  return fmt::format("95 % percentile bootstrap over {}, {} resamples, seed {}", result.cluster_unit,
                     resamples, kSeed);
}

Json divergence_settings(const DivergenceResult& result, const Corpus& corpus, const WindowOptions& options,
                         Compute candidate, Compute reference) {
  const bool all = options.scored.value_or(ScoredPositions::kAll) == ScoredPositions::kAll;
  return {{"compute", compute_name(candidate)},
          {"reference_compute", compute_name(reference)},
          {"corpus", corpus.path},
          {"corpus_sha256", corpus.sha256},
          {"context", options.context},
          {"scored", all ? "all positions" : "second half of every window"},
          {"tokens", result.tokens},
          {"windows", result.windows},
          {"interval", describe_interval(result, result.kl, kResamples)}};
}

std::vector<Measurement> measurements_of(const DivergenceResult& result, const std::string& subject,
                                         const std::string& file_sha256, const Json& settings) {
  std::vector<Measurement> made;
  for (const DivergenceFigure& figure : result.figures) {
    made.push_back(make_measurement(subject, "divergence", figure.name, figure.unit, figure.estimate,
                                    result.cluster_unit));
    made.back().settings = settings;
    made.back().settings["interval"] = describe_interval(result, figure.estimate, figure.resamples);
    if (!figure.llama_name.empty()) made.back().settings["llama_perplexity_name"] = figure.llama_name;
    made.back().file_sha256 = file_sha256;
  }
  return made;
}

std::vector<PairedComparison> compare_divergences(const DivergenceResult& first,
                                                  const DivergenceResult& second,
                                                  const std::string& first_subject,
                                                  const std::string& second_subject, const Json& settings) {
  std::vector<PairedComparison> made = {
      compare("kl_mean", "nats/token", false, first.kl_clusters, second.kl_clusters),
      compare("top1_agreement", "share", true, first.top1_clusters, second.top1_clusters),
      compare("ln_ppl_ratio", "nats/token", false, first.nll_clusters, second.nll_clusters)};
  for (PairedComparison& each : made)
    name_subjects(each, first_subject, second_subject, settings, first.cluster_unit);
  return made;
}

PairedComparison compare_with_reference(const DivergenceResult& candidate,
                                        const std::string& reference_subject,
                                        const std::string& candidate_subject, const Json& settings) {
  std::vector<Cluster> none = candidate.nll_clusters;
  for (Cluster& cluster : none) cluster.sum = 0.0;  // nll_clusters hold the difference to the reference
  PairedComparison made = compare("ln_ppl_ratio", "nats/token", false, none, candidate.nll_clusters);
  name_subjects(made, reference_subject, candidate_subject, settings, candidate.cluster_unit);
  return made;
}

}  // namespace assay
