#pragma once
#include <algorithm>
#include <cmath>

#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/rounding.hpp"

/// The 4-bit floats E2M1 that MXFP4 and NVFP4 share: sign, two bits of exponent, one of mantissa.
/// Source: OCP Microscaling Formats 1.0, 5.3.3; kvalues_mxfp4 in ggml src/ggml-common.h.
namespace assay {

/// Twice the values, so that they are whole.
inline constexpr int8_t kFp4Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// out[j] = half_scale * doubled value of the code, of `n` values laid out as in Q4_0: the low nibbles first,
/// then the high ones.
inline void decode_fp4(const uint8_t* nibbles, float half_scale, int n, float* out) noexcept {
  for (int j = 0; j < n / 2; ++j) {
    out[j] = static_cast<float>(kFp4Doubled[nibbles[j] & 15]) * half_scale;
    out[j + n / 2] = static_cast<float>(kFp4Doubled[nibbles[j] >> 4]) * half_scale;
  }
}

/// The nearest code; of two that are equally near the one with the lower number, as ggml's best_index_mxfp4
/// takes it.
inline uint8_t nearest_fp4(float x, float half_scale) noexcept {
  int best = 0;
  float least = std::abs(x);
  for (int code = 1; code < 16; ++code) {
    const float error = std::abs(static_cast<float>(kFp4Doubled[code]) * half_scale - x);
    if (error < least) least = error, best = code;
  }
  return static_cast<uint8_t>(best);
}

inline void encode_fp4(const float* x, float half_scale, int n, uint8_t* nibbles) noexcept {
  for (int j = 0; j < n / 2; ++j) {
    nibbles[j] =
        static_cast<uint8_t>(nearest_fp4(x[j], half_scale) | nearest_fp4(x[j + n / 2], half_scale) << 4);
  }
}

/// Half of the gap between the two values around x, and outside of them what the scale's own rule gives up.
inline void bound_fp4(float half_scale, float clamp_limit, const float* x, int n, float* out) noexcept {
  const float largest = largest_magnitude(x, n);
  for (int i = 0; i < n; ++i) {
    const float position = half_scale != 0.0f ? std::abs(x[i]) / half_scale : 0.0f;
    const float half_gap = position > 8 ? 2.0f : position > 4 ? 1.0f : 0.5f;
    const Grid grid{-12 * half_scale, 12 * half_scale, half_scale * half_gap, clamp_limit};
    out[i] = bound_on_grid(grid, x[i], float_rounding(largest));
  }
}

}  // namespace assay
