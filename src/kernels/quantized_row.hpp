#pragma once
#include <cstdint>

namespace assay {

/// One token's activations for the integer dot products, in groups of 32 values: code = round(value / scale)
/// in [-127, 127] with scale = max|value| / 127 per group. KernelTable::quantize_activations fills the three
/// arrays. A group that holds a NaN or an infinity has scale NaN and codes 0, so every product with it is
/// NaN; a group whose largest magnitude is below 2^-100 has scale 0 and codes 0.
///
/// The codes lie in kernel order: of every four groups (a quad, 128 values; the last quad of a row may hold
/// n < 4 groups) first the values 0..15 of each group, then the values 16..31 of each group:
///
///     quad:  g0[0..15] g1[0..15] g2[0..15] g3[0..15]   g0[16..31] g1[16..31] g2[16..31] g3[16..31]
///
/// which is the order in which a 512-bit register holds the two nibbles of four blocks.
struct QuantizedRow {
  const int8_t* codes;  ///< [cols], kernel order
  const float* scales;  ///< [cols / 32]
  const int32_t* sums;  ///< [cols / 32], sum of the group's codes
};

}  // namespace assay
