#pragma once
#include <span>

#include "eval/statistics.hpp"

namespace assay {

/// The median with its distribution-free 95 % interval: the narrowest pair of order statistics x(k), x(n+1-k)
/// that covers the true median with at least that probability, from the binomial distribution alone. Below
/// six values no pair does, and the interval is the whole line: a few timings prove nothing, where a
/// bootstrap would say they do. values must not be empty.
Estimate sample_median(std::span<const double> values);

}  // namespace assay
