#pragma once
#include <cstdint>

namespace assay {

/// One token's activations for the integer dot products, in groups of 32 values: code = round(value / scale)
/// in [-127, 127] with scale = max|value| / 127 per group. KernelTable::quantize_activations fills the three
/// arrays. A group that holds a NaN or an infinity has scale NaN and codes 0, so every product with it is
/// NaN; a group whose largest magnitude is below 2^-100 has scale 0 and codes 0.
struct QuantizedRow {
  const int8_t* codes;  ///< [cols]
  const float* scales;  ///< [cols / 32]
  const int32_t* sums;  ///< [cols / 32], sum of the group's codes
};

/// Queries that attend to the same keys and values: query i starts at first + i * stride.
struct Queries {
  const float* first;
  int64_t stride, count, dim;
};

}  // namespace assay
