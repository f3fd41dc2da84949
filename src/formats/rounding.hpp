#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace assay {

/// Rounds to the nearest integer, ties to even, for |value| < 2^22: adding 1.5 * 2^23 leaves no bits behind
/// the point. Unlike std::rint it becomes vector code on every processor. Larger values come back rounded to
/// some multiple of a power of two, which is enough for what gets clamped afterwards.
inline float round_even(float value) noexcept {
  constexpr float kShift = 12582912.0f;
  return (value + kShift) - kShift;
}

/// Rounds to the nearest integer, ties away from zero, like std::round, for |value| < 2^22: the largest float
/// below a half, added with the sign of the value, carries exactly those that round away.
inline int round_away(float value) noexcept {
  return static_cast<int>(value + std::copysign(0x1.fffffep-2f, value));
}

/// max(low, min(high, value)); NaN gives low. Written so that a later cast to an integer is always defined.
inline float clamp_code(float value, float low, float high) noexcept {
  const float raised = value > low ? value : low;
  return raised < high ? raised : high;
}

/// Largest |x[i]|; NaN when one is NaN. Compares bit patterns as integers, which vectorizes.
inline float largest_magnitude(const float* x, int n) noexcept {
  int32_t largest = 0;
  for (int i = 0; i < n; ++i) {
    const int32_t magnitude = std::bit_cast<int32_t>(x[i]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  return std::bit_cast<float>(largest);
}

/// The value with the largest magnitude, the first one where several share it; +0 for nothing but zeros.
inline float extreme_value(const float* x, int n) noexcept {
  const float largest = largest_magnitude(x, n);
  if (largest == 0.0f) return 0.0f;
  int has_positive = 0, has_negative = 0;
  for (int i = 0; i < n; ++i) {
    has_positive |= x[i] == largest;
    has_negative |= x[i] == -largest;
  }
  if (has_positive == has_negative) {
    for (int i = 0; i < n; ++i) {
      if (x[i] == largest || x[i] == -largest) return x[i];
    }
    return largest;
  }
  return has_positive ? largest : -largest;
}

struct ValueRange {
  float min, max;
};

/// Smallest and largest of n >= 8 values, n a multiple of 8. NaN are passed over; a row of nothing but NaN
/// gives {+inf, -inf}.
inline ValueRange value_range(const float* x, int n) noexcept {
  constexpr float kInfinity = __builtin_inff();
  constexpr int kLanes = 8;
  float low[kLanes], high[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) low[lane] = kInfinity, high[lane] = -kInfinity;
  for (int i = 0; i < n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane];
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
    }
  }
  ValueRange range{low[0], high[0]};
  for (int lane = 1; lane < kLanes; ++lane) {
    range.min = low[lane] < range.min ? low[lane] : range.min;
    range.max = high[lane] > range.max ? high[lane] : range.max;
  }
  return range;
}

}  // namespace assay
