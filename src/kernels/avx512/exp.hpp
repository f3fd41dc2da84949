#pragma once
#include "kernels/avx512/intrinsics.hpp"

namespace assay::avx512 {
namespace {

/// exp_approximate of what is below kExpHighest. One scalef rounds as the two halves of 2^n do: the first of
/// them is exact.
ASSAY_INLINE __m512 exp_of_low(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(kExpLowest), x);
  const __m512 magic = _mm512_set1_ps(kRoundMagic);
  const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(kLog2E), magic), magic);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  __m512 p = _mm512_set1_ps(kExpCoefficients[0]);
  for (int i = 1; i < 6; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpCoefficients[i]));
  p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

/// See isa.hpp for the recipe.
ASSAY_INLINE __m512 exp_approximate(__m512 x) {
  return exp_of_low(_mm512_min_ps(_mm512_set1_ps(kExpHighest), x));
}

}  // namespace
}  // namespace assay::avx512
