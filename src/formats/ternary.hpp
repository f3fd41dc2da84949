#pragma once
#include <algorithm>
#include <cmath>

#include "base/half.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/rounding.hpp"

/// What TQ1_0 and TQ2_0 share: 256 values in {-1, 0, 1} times the largest magnitude.
namespace assay {

/// Codes 0, 1, 2; ties away from zero. Returns the scale before it is rounded to f16. Source:
/// quantize_row_tq1_0_ref in ggml src/ggml-quants.c.
inline float choose_ternary_codes(const float* x, int n, uint8_t* codes) noexcept {
  const float scale = largest_magnitude(x, n);
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  for (int i = 0; i < n; ++i) {
    const float clamped = clamp_code(x[i] * inverse, -1.0f, 1.0f);
    codes[i] = static_cast<uint8_t>(round_away(clamped) + 1);
  }
  return scale;
}

/// Half of the scale, before it was rounded to f16; nothing lies outside but by that rounding.
inline void bound_ternary(float scale, const float* x, int n, float* out) noexcept {
  const float largest = largest_magnitude(x, n);
  const Grid grid{-std::abs(scale), std::abs(scale), (std::abs(scale) + f16_rounding(scale)) / 2,
                  f16_rounding(scale)};
  for (int i = 0; i < n; ++i)
    out[i] = bound_on_grid(grid, x[i], f16_rounding(scale) + float_rounding(largest));
}

}  // namespace assay
