#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/isa.hpp"

namespace assay::scalar {

/// 2^n for n in [-126, 127].
inline float power_of_two(uint32_t n) noexcept {
  return std::bit_cast<float>((n + 127u) << 23);
}

/// See isa.hpp for the recipe.
inline float exp_approximate(float x) noexcept {
  x = kExpLowest > x ? kExpLowest : x;
  x = kExpHighest < x ? kExpHighest : x;
  const float shifted = std::fma(x, kLog2E, kRoundMagic);
  const float n = shifted - kRoundMagic;
  float r = std::fma(n, -kLn2High, x);
  r = std::fma(n, -kLn2Low, r);
  float p = kExpCoefficients[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, r, kExpCoefficients[i]);
  p = std::fma(p, r * r, r) + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) - kRoundMagicBits;
  const uint32_t half = static_cast<uint32_t>(static_cast<int32_t>(exponent) >> 1);
  return p * power_of_two(half) * power_of_two(exponent - half);
}

}  // namespace assay::scalar
