#pragma once
#include "kernels/avx2/lanes.hpp"

namespace assay::avx2 {
namespace {

ASSAY_INLINE __m256 power_of_two(__m256i exponent) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}

/// exp_approximate of what is below kExpHighest.
ASSAY_INLINE __m256 exp_of_low(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(kExpLowest), x);
  const __m256 magic = _mm256_set1_ps(kRoundMagic);
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(kLog2E), magic);
  const __m256 n = _mm256_sub_ps(shifted, magic);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), r);
  __m256 p = _mm256_set1_ps(kExpCoefficients[0]);
  for (int i = 1; i < 6; ++i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpCoefficients[i]));
  p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0f));
  const __m256i exponent =
      _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(static_cast<int>(kRoundMagicBits)));
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  return _mm256_mul_ps(_mm256_mul_ps(p, power_of_two(half)), power_of_two(_mm256_sub_epi32(exponent, half)));
}

/// See isa.hpp for the recipe.
ASSAY_INLINE __m256 exp_approximate(__m256 x) {
  return exp_of_low(_mm256_min_ps(_mm256_set1_ps(kExpHighest), x));
}
ASSAY_INLINE Lanes exp_approximate(Lanes x) {
  return {exp_approximate(x.low), exp_approximate(x.high)};
}

}  // namespace
}  // namespace assay::avx2
