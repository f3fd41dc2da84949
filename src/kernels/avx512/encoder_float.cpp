#include "kernels/avx512/activation.hpp"
#include "kernels/encoder_float_attention.hpp"

namespace assay {
namespace avx512 {
namespace {

/// Lanes [first, last) of 16.
ASSAY_INLINE __mmask16 lanes_between(int64_t first, int64_t last) {
  return static_cast<__mmask16>(((1u << last) - 1) & ~((1u << first) - 1));
}

/// What encoder_float_tiles.hpp asks for: 24 accumulators, two registers of weights, one of a token.
struct FloatIsa {
  using V = __m512;
  static constexpr int kTokens = 12, kVectors = 2;

  ASSAY_INLINE static V splat(float x) { return _mm512_set1_ps(x); }
  ASSAY_INLINE static V add(V a, V b) { return _mm512_add_ps(a, b); }
  ASSAY_INLINE static V subtract(V a, V b) { return _mm512_sub_ps(a, b); }
  ASSAY_INLINE static V multiply(V a, V b) { return _mm512_mul_ps(a, b); }
  ASSAY_INLINE static V multiply_add(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
  ASSAY_INLINE static V maximum(V a, V b) { return _mm512_max_ps(a, b); }
  ASSAY_INLINE static V exp_low(V x) { return exp_of_low(x); }
  ASSAY_INLINE static V activate(Activation activation, V x) { return activate_lanes(activation, x); }

  ASSAY_INLINE static V load(const float* x) { return _mm512_loadu_ps(x); }
  ASSAY_INLINE static void store(float* x, V v) { _mm512_storeu_ps(x, v); }
  ASSAY_INLINE static V load_first(const float* x, int64_t n, float padding) {
    return _mm512_mask_loadu_ps(splat(padding), first_lanes(n), x);
  }
  ASSAY_INLINE static void store_first(float* x, V v, int64_t n) {
    _mm512_mask_storeu_ps(x, first_lanes(n), v);
  }
  ASSAY_INLINE static V load_between(const float* x, int64_t first, int64_t last, float padding) {
    return _mm512_mask_loadu_ps(splat(padding), lanes_between(first, last), x);
  }
  ASSAY_INLINE static V keep_between(V v, int64_t first, int64_t last) {
    return _mm512_maskz_mov_ps(lanes_between(first, last), v);
  }

  ASSAY_INLINE static float reduce(V v) { return reduce16(v); }
  ASSAY_INLINE static float largest(V v) { return _mm512_reduce_max_ps(v); }
  ASSAY_INLINE static float inverse_root(float x) {
    return _mm512_cvtss_f32(_mm512_div_ps(splat(1.0f), _mm512_sqrt_ps(splat(x))));
  }

  static void transpose(const float* in, int64_t in_stride, float* out, int64_t out_stride) noexcept {
    __m512 a[16], b[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = load(in + i * in_stride);
      // Pairs of rows, then fours: b[4g + c] holds column c of every quarter, rows 4g … 4g + 3.
#pragma GCC unroll 4
    for (int g = 0; g < 16; g += 4) {
      const __m512 low0 = _mm512_unpacklo_ps(a[g], a[g + 1]), high0 = _mm512_unpackhi_ps(a[g], a[g + 1]);
      const __m512 low1 = _mm512_unpacklo_ps(a[g + 2], a[g + 3]);
      const __m512 high1 = _mm512_unpackhi_ps(a[g + 2], a[g + 3]);
      b[g] = _mm512_shuffle_ps(low0, low1, 0x44);
      b[g + 1] = _mm512_shuffle_ps(low0, low1, 0xee);
      b[g + 2] = _mm512_shuffle_ps(high0, high1, 0x44);
      b[g + 3] = _mm512_shuffle_ps(high0, high1, 0xee);
    }
    // Then the quarters, as a 4 by 4 transpose of registers' quarters for every c.
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m512 even0 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x88);
      const __m512 odd0 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xdd);
      const __m512 even1 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x88);
      const __m512 odd1 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xdd);
      store(out + c * out_stride, _mm512_shuffle_f32x4(even0, even1, 0x88));
      store(out + (4 + c) * out_stride, _mm512_shuffle_f32x4(odd0, odd1, 0x88));
      store(out + (8 + c) * out_stride, _mm512_shuffle_f32x4(even0, even1, 0xdd));
      store(out + (12 + c) * out_stride, _mm512_shuffle_f32x4(odd0, odd1, 0xdd));
    }
  }
};

}  // namespace
}  // namespace avx512

const EncoderFloatIsa kAvx512EncoderFloat = encoder_float_table<avx512::FloatIsa>();

}  // namespace assay
