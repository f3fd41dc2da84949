#pragma once
#include <string_view>

namespace assay::bench {

/// Multiply-adds of bytes that one thread completes in a second when nothing but registers is read: the roof
/// of the integer products of the table `isa`, which this processor must be able to run. 0 for "scalar".
/// Takes some 50 ms; the best of several rounds, because the machine may be shared.
double measure_integer_peak(std::string_view isa);

}  // namespace assay::bench
