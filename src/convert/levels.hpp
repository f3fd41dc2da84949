#pragma once
#include <string>
#include <vector>

#include "tensor/weight_format.hpp"

namespace assay {

/// Some whole rows of a weight, decoded.
struct RowSample {
  int64_t cols = 0;           ///< values taken of each row
  std::vector<float> values;  ///< rows of `cols` values

  int64_t rows() const noexcept { return cols == 0 ? 0 : static_cast<int64_t>(values.size()) / cols; }
};

/// Up to 64 rows, evenly spread, of at most 4096 values each. Empty when the format cannot be decoded.
RowSample sample_rows(const WeightView& weight);

/// Evidence that floats were quantized and written back, as a clause ("holds 15 distinct values in …"); empty
/// for honest weights. What counts: few distinct values over the whole sample, or over aligned windows of 32,
/// 64, 128 or 1024 values, or F32 windows on an even grid of at most 256 steps. What does not: constant or
/// ternary weights, zeros, samples below 4096 values, and values so close together that their element type
/// has no more of them.
std::string find_few_levels(const RowSample& sample);

/// True when nine tenths of the windows of 32 decoded values are constant: codes without information.
bool is_degenerate(const RowSample& sample);

/// True when 95 % of the windows of 32 values that 8-bit codes decode to hold at most 16 distinct ones, and
/// not one alone. Honest 8-bit codes of 32 weights have some 28: the scale is far too large for them, or the
/// weights had few levels before. No proof of a lie, for ternary weights are stored so.
bool uses_few_codes(const RowSample& sample);

}  // namespace assay
