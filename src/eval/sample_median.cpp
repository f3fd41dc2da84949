#include "eval/sample_median.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace assay {

Estimate sample_median(std::span<const double> values) {
  ASSAY_CHECK(!values.empty());
  std::vector<double> ascending(values.begin(), values.end());
  std::sort(ascending.begin(), ascending.end());
  const size_t n = ascending.size();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Estimate estimate{quantile(ascending, 0.5), -kInfinity, kInfinity, static_cast<int64_t>(n)};
  // P(fewer than k values lie below the median), for k = 1, 2, …: the binomial distribution at one half.
  double term = std::pow(0.5, static_cast<double>(n)), below = 0.0;
  for (size_t k = 1; 2 * k <= n + 1; ++k) {
    below += term;
    if (2.0 * below > 0.05) break;
    estimate.low = ascending[k - 1];
    estimate.high = ascending[n - k];
    term *= static_cast<double>(n - k + 1) / static_cast<double>(k);
  }
  return estimate;
}

}  // namespace assay
