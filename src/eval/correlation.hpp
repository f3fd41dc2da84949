#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "eval/statistics.hpp"

namespace assay {

/// Ranks from 1, ties sharing the mean of their places.
std::vector<double> average_ranks(std::span<const double> values);

/// Pearson's correlation; NaN when one side is constant or holds fewer than two values. Sizes must agree.
double pearson(std::span<const double> a, std::span<const double> b);
/// Pearson's correlation of the average ranks.
double spearman(std::span<const double> a, std::span<const double> b);

/// statistic(all indices) with a 95 % percentile interval: the statistic of `resamples` draws of n indices
/// with replacement. Paired by construction, for the statistic sees the same draw of everything it compares.
/// Draws whose statistic is NaN are left out; the interval is the whole line when fewer than two remain.
Estimate bootstrap(int64_t n, uint64_t seed, int resamples,
                   const std::function<double(std::span<const int64_t>)>& statistic);

}  // namespace assay
