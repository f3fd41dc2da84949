#pragma once
#include <algorithm>
#include <cmath>

namespace assay {

/// What error bounds are made of. A packed value is `scale * code + offset` with code in a range, so the
/// block represents a grid between `low` and `high`:
///
///   inside the grid    a correct code is the nearest one:        |error| <= half a step
///   outside of it      a correct code is the end of the grid:    |error| <= distance to that end,
///                      but no correct search leaves a value further outside than `clamp_limit`, which
///                      each format derives from the values of the source block. Without this limit a
///                      scale of zero would excuse every error.
///   rounding           codes were chosen against scales that were rounded afterwards, and f32 arithmetic.
struct Grid {
  float low, high;
  float half_step;
  float clamp_limit;
};

inline float bound_on_grid(const Grid& grid, float value, float rounding) noexcept {
  const float outside = std::max({grid.low - value, value - grid.high, 0.0f});
  return std::max(grid.half_step, std::min(outside, grid.clamp_limit)) + rounding;
}

/// Largest |v - f16(v)| for the v that were rounded to `stored`: half a unit of an 11-bit significand, or
/// half of the smallest subnormal.
inline float f16_rounding(float stored) noexcept {
  return std::max(std::abs(stored) * 0x1p-11f, 0x1p-25f);
}

/// Error of a product `scale * code` with |code| <= max_code that comes from storing the scale as f16, for a
/// value known to be near `value`: code * |scale - stored| where code is about value / scale. A subnormal
/// scale has no relative precision, hence the full range of codes.
inline float scaled_rounding(float stored_scale, float value, float max_code) noexcept {
  if (std::abs(stored_scale) < 0x1p-14f) return max_code * 0x1p-25f;
  return std::min(std::abs(value) + std::abs(stored_scale), max_code * std::abs(stored_scale)) * 0x1p-11f;
}

/// Allowance for f32 arithmetic while packing and unpacking: fewer than 16 roundings of 2^-24 each, relative
/// to the largest number that took part.
inline float float_rounding(float magnitude) noexcept {
  return std::abs(magnitude) * 0x1p-20f;
}

}  // namespace assay
