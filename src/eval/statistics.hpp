#pragma once
#include <cstdint>
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

/// Mean over all values with a 95 % percentile interval by bootstrap over clusters: values within a cluster
/// depend on each other, clusters do not. The same seed gives the same interval. With fewer than two clusters
/// the interval is the whole line (low = -inf, high = inf): nothing can be said.
Estimate cluster_mean(std::span<const Cluster> clusters, uint64_t seed, int resamples = 2000);

}  // namespace assay
