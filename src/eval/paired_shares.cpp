// Shares and their paired differences, tests on them, and how many items they need.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "eval/statistics.hpp"

namespace assay {
namespace {

/// Halves [low, high] until it holds one double's neighbourhood: where `below` turns from true to false.
template <class Below>
double bisect(double low, double high, const Below& below) {
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) break;
    (below(middle) ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

/// Tango's score for a supposed difference d (second minus first): standard normal if d is the truth. Source:
/// T. Tango, Statistics in Medicine 17 (1998) 891-908, equations 19 and 20.
double tango_score(const Discordance& c, double d) {
  const auto n = static_cast<double>(c.n), gained = static_cast<double>(c.only_second),
             lost = static_cast<double>(c.only_first);
  const double a = 2.0 * n, b = -gained - lost + (2.0 * n - gained + lost) * d, free = -lost * d * (1.0 - d);
  // The most likely share of `lost` under d.
  const double q = (std::sqrt(std::max(0.0, b * b - 4.0 * a * free)) - b) / (2.0 * a);
  const double above = gained - lost - n * d, variance = n * (2.0 * q + d * (1.0 - d));
  if (variance <= 0.0) return above == 0.0 ? 0.0 : std::copysign(HUGE_VAL, above);
  return above / std::sqrt(variance);
}

/// The difference at which the score is z, within [-1, 1].
double tango_bound(const Discordance& counts, double z) {
  return bisect(-1.0, 1.0, [&](double d) { return tango_score(counts, d) > z; });
}

std::optional<int64_t> whole_items(double items) {
  if (!std::isfinite(items) || items > 9e15) return std::nullopt;
  return static_cast<int64_t>(std::ceil(items));
}

}  // namespace

double normal_quantile(double share) {
  ASSAY_CHECK(share > 0.0 && share < 1.0);
  if (share > 0.5) return -normal_quantile(1.0 - share);
  return bisect(-40.0, 0.0, [&](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)) < share; });
}

Estimate wilson_share(int64_t successes, int64_t n) {
  if (n == 0) return {0.0, 0.0, 1.0, 0};
  constexpr double z = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const auto count = static_cast<double>(n);
  const double share = static_cast<double>(successes) / count;
  const double centre = (share + z * z / (2 * count)) / (1 + z * z / count);
  const double half =
      z / (1 + z * z / count) * std::sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  const double low = successes == 0 ? 0.0 : centre - half;
  const double high = successes == n ? 1.0 : centre + half;
  return {share, low, high, n};
}

double mcnemar_p(int64_t only_first, int64_t only_second) {
  const int64_t n = only_first + only_second, least = std::min(only_first, only_second);
  double tail = 0.0;
  for (int64_t k = 0; k <= least; ++k) {
    const auto total = static_cast<double>(n), some = static_cast<double>(k);
    tail += std::exp(std::lgamma(total + 1) - std::lgamma(some + 1) - std::lgamma(total - some + 1) -
                     total * std::log(2.0));
  }
  return std::min(1.0, 2.0 * tail);
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> corrected(p.size());
  double highest = 0.0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    highest = std::max(highest, std::min(1.0, p[order[rank]] * static_cast<double>(p.size() - rank)));
    corrected[order[rank]] = highest;
  }
  return corrected;
}

Estimate paired_share_difference(const Discordance& counts, double confidence) {
  ASSAY_CHECK(counts.only_first >= 0 && counts.only_second >= 0 &&
              counts.only_first + counts.only_second <= counts.n);
  if (counts.n == 0) return {0.0, -1.0, 1.0, 0};
  const double z = normal_quantile(0.5 + confidence / 2);
  const double difference =
      static_cast<double>(counts.only_second - counts.only_first) / static_cast<double>(counts.n);
  return {difference, tango_bound(counts, z), tango_bound(counts, -z), counts.n};
}

NonInferiority non_inferiority(const Discordance& counts, double margin, double alpha) {
  const Estimate e = paired_share_difference(counts, 1.0 - 2.0 * alpha);
  return {.difference = e.value, .bound = e.low, .margin = margin, .shown = e.low > -margin};
}

std::optional<int64_t> paired_sample_size(double discordant, double difference, double alpha, double power) {
  const double d = std::abs(difference);
  if (d == 0.0 || d > discordant || discordant > 1.0) return std::nullopt;
  const double root = normal_quantile(1.0 - alpha / 2) * std::sqrt(discordant) +
                      normal_quantile(power) * std::sqrt(discordant - d * d);
  return whole_items(root * root / (d * d));
}

std::optional<int64_t> unpaired_sample_size(double share, double difference, double alpha, double power) {
  const double d = std::abs(difference);
  if (d == 0.0 || d >= 1.0 || share <= 0.0 || share >= 1.0) return std::nullopt;
  return sample_size_for_mean(std::sqrt(2.0 * share * (1.0 - share)), d, alpha, power);
}

std::optional<int64_t> sample_size_for_mean(double sd, double difference, double alpha, double power) {
  if (difference == 0.0) return std::nullopt;
  const double root = (normal_quantile(1.0 - alpha / 2) + normal_quantile(power)) * sd / difference;
  return whole_items(std::max(1.0, root * root));
}

}  // namespace assay
