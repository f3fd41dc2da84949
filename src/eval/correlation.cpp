#include "eval/correlation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "base/rng.hpp"

namespace assay {

std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = 0.5 * static_cast<double>(begin + 1 + end);
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

double pearson(std::span<const double> a, std::span<const double> b) {
  ASSAY_CHECK(a.size() == b.size());
  if (a.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  if (aa == 0.0 || bb == 0.0) return std::numeric_limits<double>::quiet_NaN();
  return ab / std::sqrt(aa * bb);
}

double spearman(std::span<const double> a, std::span<const double> b) {
  return pearson(average_ranks(a), average_ranks(b));
}

Estimate bootstrap(int64_t n, uint64_t seed, int resamples,
                   const std::function<double(std::span<const int64_t>)>& statistic) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<int64_t> draw(static_cast<size_t>(n));
  std::iota(draw.begin(), draw.end(), int64_t{0});
  Estimate estimate{statistic(draw), -kInfinity, kInfinity, n};
  if (n < 2) return estimate;
  Rng rng(seed);
  std::vector<double> values;
  for (int i = 0; i < resamples; ++i) {
    for (int64_t& index : draw) index = static_cast<int64_t>(rng.below(static_cast<uint64_t>(n)));
    const double value = statistic(draw);
    if (!std::isnan(value)) values.push_back(value);
  }
  if (values.size() < 2) return estimate;
  std::sort(values.begin(), values.end());
  estimate.low = quantile(values, 0.025);
  estimate.high = quantile(values, 0.975);
  return estimate;
}

}  // namespace assay
