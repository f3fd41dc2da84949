#pragma once
#include "kernels/activation_math.hpp"
#include "kernels/avx2/exp.hpp"

namespace assay::avx2 {
namespace {

/// What activation_math.hpp asks for.
struct Ops {
  using F = __m256;
  ASSAY_INLINE static F splat(float x) { return _mm256_set1_ps(x); }
  ASSAY_INLINE static F add(F a, F b) { return _mm256_add_ps(a, b); }
  ASSAY_INLINE static F subtract(F a, F b) { return _mm256_sub_ps(a, b); }
  ASSAY_INLINE static F multiply(F a, F b) { return _mm256_mul_ps(a, b); }
  ASSAY_INLINE static F divide(F a, F b) { return _mm256_div_ps(a, b); }
  ASSAY_INLINE static F multiply_add(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  ASSAY_INLINE static F minimum(F a, F b) { return _mm256_min_ps(a, b); }
  ASSAY_INLINE static F maximum(F a, F b) { return _mm256_max_ps(a, b); }
  ASSAY_INLINE static F magnitude(F x) { return _mm256_andnot_ps(splat(-0.0f), x); }
  ASSAY_INLINE static F negative(F x) { return _mm256_xor_ps(splat(-0.0f), x); }
  ASSAY_INLINE static F with_sign_of(F sign, F x) {
    return _mm256_or_ps(_mm256_and_ps(splat(-0.0f), sign), magnitude(x));
  }
  ASSAY_INLINE static F choose_negative(F sign, F yes, F no) { return _mm256_blendv_ps(no, yes, sign); }
  ASSAY_INLINE static F choose_less(F a, F b, F yes, F no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  ASSAY_INLINE static F exp(F x) { return exp_approximate(x); }
};

ASSAY_INLINE __m256 activate_lanes(Activation activation, __m256 x) {
  return activate_register<Ops>(activation, x);
}
ASSAY_INLINE Lanes activate_lanes(Activation activation, Lanes x) {
  return {activate_lanes(activation, x.low), activate_lanes(activation, x.high)};
}

}  // namespace
}  // namespace assay::avx2
