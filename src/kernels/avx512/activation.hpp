#pragma once
#include "kernels/activation_math.hpp"
#include "kernels/avx512/exp.hpp"

namespace assay::avx512 {
namespace {

/// What activation_math.hpp asks for.
struct Ops {
  using F = __m512;
  ASSAY_INLINE static F splat(float x) { return _mm512_set1_ps(x); }
  ASSAY_INLINE static F add(F a, F b) { return _mm512_add_ps(a, b); }
  ASSAY_INLINE static F subtract(F a, F b) { return _mm512_sub_ps(a, b); }
  ASSAY_INLINE static F multiply(F a, F b) { return _mm512_mul_ps(a, b); }
  ASSAY_INLINE static F divide(F a, F b) { return _mm512_div_ps(a, b); }
  ASSAY_INLINE static F multiply_add(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  ASSAY_INLINE static F minimum(F a, F b) { return _mm512_min_ps(a, b); }
  ASSAY_INLINE static F maximum(F a, F b) { return _mm512_max_ps(a, b); }
  ASSAY_INLINE static F magnitude(F x) { return _mm512_andnot_ps(splat(-0.0f), x); }
  ASSAY_INLINE static F negative(F x) { return _mm512_xor_ps(splat(-0.0f), x); }
  ASSAY_INLINE static F with_sign_of(F sign, F x) {
    return _mm512_or_ps(_mm512_and_ps(splat(-0.0f), sign), magnitude(x));
  }
  ASSAY_INLINE static F choose_negative(F sign, F yes, F no) {
    return _mm512_mask_mov_ps(no, _mm512_movepi32_mask(_mm512_castps_si512(sign)), yes);
  }
  ASSAY_INLINE static F choose_less(F a, F b, F yes, F no) {
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), yes);
  }
  ASSAY_INLINE static F exp(F x) { return exp_approximate(x); }
};

ASSAY_INLINE __m512 activate_lanes(Activation activation, __m512 x) {
  return activate_register<Ops>(activation, x);
}

}  // namespace
}  // namespace assay::avx512
