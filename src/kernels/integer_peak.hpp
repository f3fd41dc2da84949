#pragma once
#include <cstdint>
#include <string_view>

namespace assay {

/// Multiplies bytes in registers alone, `turns` times around a loop of the widest integer products that the
/// table `isa` uses and this processor must have; returns how many multiply-adds that was. 0 and no work for
/// a table without such a loop ("scalar").
int64_t run_integer_products(std::string_view isa, int64_t turns) noexcept;

/// Multiply-adds of bytes that this thread completes in a second when nothing but registers is read: the roof
/// of the integer products of the table `isa`. 0 where there is no such loop. Takes some 50 ms; the best of
/// several rounds, because the machine may be shared.
double measure_integer_peak(std::string_view isa);

}  // namespace assay
