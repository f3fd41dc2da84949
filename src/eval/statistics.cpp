#include "eval/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/rng.hpp"

namespace assay {

double quantile(std::span<const double> ascending, double share) {
  ASSAY_CHECK(!ascending.empty());
  const double position = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (position - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

Estimate cluster_mean(std::span<const Cluster> clusters, uint64_t seed, int resamples) {
  Cluster total;
  for (const Cluster& cluster : clusters) {
    total.sum += cluster.sum;
    total.count += cluster.count;
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Estimate estimate{total.count > 0 ? total.sum / total.count : 0.0, -kInfinity, kInfinity,
                    static_cast<int64_t>(clusters.size())};
  if (clusters.size() < 2) return estimate;
  Rng rng(seed);
  std::vector<double> means;
  for (int i = 0; i < resamples; ++i) {
    Cluster drawn;
    for (size_t k = 0; k < clusters.size(); ++k) {
      const Cluster& cluster = clusters[rng.below(clusters.size())];
      drawn.sum += cluster.sum;
      drawn.count += cluster.count;
    }
    means.push_back(drawn.sum / drawn.count);
  }
  std::sort(means.begin(), means.end());
  estimate.low = quantile(means, 0.025);
  estimate.high = quantile(means, 0.975);
  return estimate;
}

}  // namespace assay
