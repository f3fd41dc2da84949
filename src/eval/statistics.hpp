#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace assay {

/// An estimate with its interval. n counts the independent units the interval rests on.
struct Estimate {
  double value = 0.0, low = 0.0, high = 0.0;
  int64_t n = 0;
};

/// A sum of values and how many there were: one independent unit (a document, a window of text).
struct Cluster {
  double sum = 0.0;
  double count = 0.0;
};

/// The `share` quantile (0 to 1) of values in ascending order, by linear interpolation between neighbours
/// (Hyndman and Fan's type 7, numpy's default). values must not be empty.
double quantile(std::span<const double> ascending, double share);

/// The standard normal distribution's quantile; 0 < share < 1.
double normal_quantile(double share);

// Bootstrap: values within a cluster (a document, a family of prompts) depend on each other, clusters do not.

/// A figure computed from clusters named by number; a number may occur several times.
using Statistic = std::function<double(std::span<const size_t> clusters)>;

/// The statistic over `clusters` clusters with its 95 % percentile interval by bootstrap: `resamples` times
/// as many clusters are drawn with replacement. The same seed gives the same interval. NaN (an F1 without any
/// positive) counts as not drawn. With fewer than two clusters, or nothing but NaN, the interval is the whole
/// line (low = -inf, high = inf): nothing can be said.
Estimate bootstrap(size_t clusters, const Statistic& statistic, uint64_t seed, int resamples = 2000);

/// Mean over all values, by the same bootstrap.
Estimate cluster_mean(std::span<const Cluster> clusters, uint64_t seed, int resamples = 2000);

// Two subjects on the same items, in the same order. Differences are second minus first.

/// Mean difference of scores with its 95 % interval: bootstrap over items, or over clusters of items where
/// `cluster_of` gives each item its cluster's number (any numbers).
Estimate paired_difference(std::span<const double> first, std::span<const double> second, uint64_t seed,
                           std::span<const size_t> cluster_of = {}, int resamples = 2000);

/// Two-sided p of the same difference under exchange of the two subjects: the share of `resamples` random
/// exchanges (by cluster) with a difference as large, the observed one counted in.
double paired_exchange_p(std::span<const double> first, std::span<const double> second, uint64_t seed,
                         std::span<const size_t> cluster_of = {}, int resamples = 10000);

/// Items on which exactly one of two subjects is right, out of n.
struct Discordance {
  int64_t only_first = 0, only_second = 0, n = 0;
};

/// Difference of two paired shares with its interval by score (Tango 1998), honest at zero discordant items
/// too, where any bootstrap collapses. confidence: of the two-sided interval.
Estimate paired_share_difference(const Discordance& counts, double confidence = 0.95);

/// Two-sided exact McNemar test: the chance of a split at least as uneven as `only_first` against
/// `only_second` if both were equally good. 1 when they never differ.
double mcnemar_p(int64_t only_first, int64_t only_second);

/// p values corrected for their number (Holm 1979), in the order given: reject where one is at most alpha.
std::vector<double> holm(std::span<const double> p);

/// "Not worse than the reference by more than `margin`": shown where the one-sided bound says so. Without a
/// significant difference nothing is shown yet.
struct NonInferiority {
  double difference = 0.0;  ///< candidate minus reference; higher is better
  double bound = 0.0;       ///< one-sided lower bound of the difference, at 1 - alpha
  double margin = 0.0;      ///< > 0
  bool shown = false;       ///< bound > -margin
};

/// Of paired shares (accuracy, recall): first is the reference, second the candidate. Bound by score.
NonInferiority non_inferiority(const Discordance& counts, double margin, double alpha = 0.05);
/// Of any statistic of the difference candidate minus reference, bootstrap over clusters. Prefer the other
/// for shares: with few discordant items a bootstrap's bound is too good.
NonInferiority non_inferiority(size_t clusters, const Statistic& difference, double margin, uint64_t seed,
                               double alpha = 0.05, int resamples = 2000);

// Planning. Nothing where no number of items would do: a difference of 0, or above what is possible.

/// A share with its 95 % Wilson score interval (Wilson 1927): honest at 0 and n successes too.
Estimate wilson_share(int64_t successes, int64_t n);

/// Paired items that show a `difference` of two shares when `discordant` is the share of items on which the
/// two differ (McNemar's test, two-sided; Connor 1987).
std::optional<int64_t> paired_sample_size(double discordant, double difference, double alpha = 0.05,
                                          double power = 0.8);
/// Items in each of two unpaired arms with shares near `share`.
std::optional<int64_t> unpaired_sample_size(double share, double difference, double alpha = 0.05,
                                            double power = 0.8);
/// Items that show a mean `difference` of values with standard deviation `sd` (paired: of the differences).
std::optional<int64_t> sample_size_for_mean(double sd, double difference, double alpha = 0.05,
                                            double power = 0.8);

}  // namespace assay
