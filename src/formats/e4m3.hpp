#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace assay {

/// 8-bit floats E4M3 without a sign, as the scales of NVFP4 store them: bias 7, 2^-9 … 448.
inline constexpr uint8_t kE4M3NotANumber = 0x7f;
inline constexpr float kE4M3Largest = 448.0f;

inline float float_from_e4m3(uint8_t bits) noexcept {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

/// Nearest, ties upwards as in ggml_fp32_to_ue4m3; beyond the largest not a number, which ggml clamps.
inline uint8_t e4m3_from_float_up(float value) noexcept {
  if (!(value > 0.0f)) return std::isnan(value) ? kE4M3NotANumber : uint8_t{0};
  if (value >= 464.0f) return kE4M3NotANumber;  // nearer to 480, which would be the next
  if (value >= kE4M3Largest) return 0x7e;
  if (value < 0x1p-6f) return static_cast<uint8_t>(std::min(static_cast<int>(value * 512.0f + 0.5f), 7));
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  // Mantissa and exponent side by side: a carry out of the one goes into the other.
  const uint32_t rounded = (bits >> 20) + (bits >> 19 & 1) - (uint32_t{127 - 7} << 3);
  return static_cast<uint8_t>(std::min<uint32_t>(rounded, 0x7e));
}

}  // namespace assay
