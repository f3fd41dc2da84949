#include "eval/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.hpp"
#include "base/rng.hpp"

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The statistic of every resample in ascending order, NaN left out.
std::vector<double> resampled(size_t clusters, const Statistic& statistic, uint64_t seed, int resamples) {
  Rng rng(seed);
  std::vector<size_t> drawn(clusters);
  std::vector<double> values;
  for (int i = 0; i < resamples; ++i) {
    for (size_t& cluster : drawn) cluster = rng.below(clusters);
    const double value = statistic(drawn);
    if (!std::isnan(value)) values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<size_t> every_cluster(size_t clusters) {
  std::vector<size_t> all(clusters);
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

/// Differences second minus first, summed by cluster; every item is one where no clusters are given.
std::vector<Cluster> difference_clusters(std::span<const double> first, std::span<const double> second,
                                         std::span<const size_t> cluster_of) {
  ASSAY_CHECK(first.size() == second.size());
  ASSAY_CHECK(cluster_of.empty() || cluster_of.size() == first.size());
  std::vector<Cluster> clusters;
  std::map<size_t, size_t> place;  // of a cluster's number; first seen first, so that the order is the items'
  for (size_t i = 0; i < first.size(); ++i) {
    const size_t number = cluster_of.empty() ? i : cluster_of[i];
    const size_t at = place.try_emplace(number, clusters.size()).first->second;
    if (at == clusters.size()) clusters.emplace_back();
    clusters[at].sum += second[i] - first[i];
    clusters[at].count += 1.0;
  }
  return clusters;
}

}  // namespace

double quantile(std::span<const double> ascending, double share) {
  ASSAY_CHECK(!ascending.empty());
  const double position = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (position - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

Estimate bootstrap(size_t clusters, const Statistic& statistic, uint64_t seed, int resamples) {
  Estimate estimate{std::nan(""), -kInfinity, kInfinity, static_cast<int64_t>(clusters)};
  if (clusters == 0) return estimate;
  estimate.value = statistic(every_cluster(clusters));
  if (clusters < 2) return estimate;
  const std::vector<double> values = resampled(clusters, statistic, seed, resamples);
  if (values.empty()) return estimate;
  estimate.low = quantile(values, 0.025);
  estimate.high = quantile(values, 0.975);
  return estimate;
}

Estimate cluster_mean(std::span<const Cluster> clusters, uint64_t seed, int resamples) {
  const auto mean = [&](std::span<const size_t> drawn) {
    Cluster total;
    for (const size_t i : drawn) {
      total.sum += clusters[i].sum;
      total.count += clusters[i].count;
    }
    return total.count > 0 ? total.sum / total.count : std::nan("");
  };
  Estimate estimate = bootstrap(clusters.size(), mean, seed, resamples);
  if (std::isnan(estimate.value)) estimate.value = 0.0;
  return estimate;
}

Estimate paired_difference(std::span<const double> first, std::span<const double> second, uint64_t seed,
                           std::span<const size_t> cluster_of, int resamples) {
  return cluster_mean(difference_clusters(first, second, cluster_of), seed, resamples);
}

double paired_exchange_p(std::span<const double> first, std::span<const double> second, uint64_t seed,
                         std::span<const size_t> cluster_of, int resamples) {
  const std::vector<Cluster> clusters = difference_clusters(first, second, cluster_of);
  double observed = 0.0, size = 0.0;
  for (const Cluster& cluster : clusters) {
    observed += cluster.sum;
    size += std::abs(cluster.sum);
  }
  // Sums that differ in rounding alone are equal.
  const double least = std::abs(observed) - 1e-12 * size;
  Rng rng(seed);
  int64_t as_large = 1;
  for (int i = 0; i < resamples; ++i) {
    double sum = 0.0;
    for (const Cluster& cluster : clusters) sum += (rng.next() >> 63) != 0 ? cluster.sum : -cluster.sum;
    as_large += std::abs(sum) >= least ? 1 : 0;
  }
  return static_cast<double>(as_large) / (resamples + 1.0);
}

NonInferiority non_inferiority(size_t clusters, const Statistic& difference, double margin, uint64_t seed,
                               double alpha, int resamples) {
  NonInferiority result{.difference = std::nan(""), .bound = -kInfinity, .margin = margin, .shown = false};
  if (clusters == 0) return result;
  result.difference = difference(every_cluster(clusters));
  if (clusters < 2) return result;
  const std::vector<double> values = resampled(clusters, difference, seed, resamples);
  if (!values.empty()) result.bound = quantile(values, alpha);
  result.shown = result.bound > -margin;
  return result;
}

}  // namespace assay
