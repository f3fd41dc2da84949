#include "kernels/avx2/activation.hpp"
#include "kernels/encoder_float_attention.hpp"

namespace assay {
namespace avx2 {
namespace {

/// What encoder_float_tiles.hpp asks for: 12 accumulators, two registers of weights, one of a token.
struct FloatIsa {
  using V = Lanes;
  static constexpr int kTokens = 6, kVectors = 1;

  ASSAY_INLINE static V splat(float x) { return avx2::splat(x); }
  ASSAY_INLINE static V add(V a, V b) { return avx2::add(a, b); }
  ASSAY_INLINE static V subtract(V a, V b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  ASSAY_INLINE static V multiply(V a, V b) { return avx2::multiply(a, b); }
  ASSAY_INLINE static V multiply_add(V a, V b, V c) { return avx2::multiply_add(a, b, c); }
  ASSAY_INLINE static V maximum(V a, V b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  ASSAY_INLINE static V exp_low(V x) { return {exp_of_low(x.low), exp_of_low(x.high)}; }
  ASSAY_INLINE static V activate(Activation activation, V x) { return activate_lanes(activation, x); }

  ASSAY_INLINE static V load(const float* x) { return avx2::load(x); }
  ASSAY_INLINE static void store(float* x, V v) { avx2::store(x, v); }
  ASSAY_INLINE static V load_first(const float* x, int64_t n, float padding) {
    return avx2::load(x, n, padding);
  }
  ASSAY_INLINE static void store_first(float* x, V v, int64_t n) { avx2::store(x, v, n); }

  /// All bits set in the lanes of [first, last), eight of them from lane `begin` on.
  ASSAY_INLINE static __m256i lanes_between(int64_t first, int64_t last, int begin) {
    const __m256i lane = _mm256_add_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_epi32(begin));
    const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(first)), lane);
    return _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(last)), lane));
  }
  ASSAY_INLINE static __m256 load_masked(const float* x, __m256i mask, float padding) {
    return _mm256_blendv_ps(_mm256_set1_ps(padding), _mm256_maskload_ps(x, mask), _mm256_castsi256_ps(mask));
  }
  ASSAY_INLINE static V load_between(const float* x, int64_t first, int64_t last, float padding) {
    return {load_masked(x, lanes_between(first, last, 0), padding),
            load_masked(x + 8, lanes_between(first, last, 8), padding)};
  }
  ASSAY_INLINE static V keep_between(V v, int64_t first, int64_t last) {
    return {_mm256_and_ps(v.low, _mm256_castsi256_ps(lanes_between(first, last, 0))),
            _mm256_and_ps(v.high, _mm256_castsi256_ps(lanes_between(first, last, 8)))};
  }

  ASSAY_INLINE static float reduce(V v) { return avx2::reduce(v); }
  ASSAY_INLINE static float largest(V v) {
    const __m256 eight = _mm256_max_ps(v.low, v.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
  }
  ASSAY_INLINE static float inverse_root(float x) {
    return _mm256_cvtss_f32(_mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_sqrt_ps(_mm256_set1_ps(x))));
  }

  /// Eight by eight: pairs of rows, fours, then the halves of registers.
  ASSAY_INLINE static void transpose8(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
    __m256 a[8], b[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(in + i * in_stride);
#pragma GCC unroll 2
    for (int g = 0; g < 8; g += 4) {
      const __m256 low0 = _mm256_unpacklo_ps(a[g], a[g + 1]), high0 = _mm256_unpackhi_ps(a[g], a[g + 1]);
      const __m256 low1 = _mm256_unpacklo_ps(a[g + 2], a[g + 3]);
      const __m256 high1 = _mm256_unpackhi_ps(a[g + 2], a[g + 3]);
      b[g] = _mm256_shuffle_ps(low0, low1, 0x44);
      b[g + 1] = _mm256_shuffle_ps(low0, low1, 0xee);
      b[g + 2] = _mm256_shuffle_ps(high0, high1, 0x44);
      b[g + 3] = _mm256_shuffle_ps(high0, high1, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      _mm256_storeu_ps(out + c * out_stride, _mm256_permute2f128_ps(b[c], b[4 + c], 0x20));
      _mm256_storeu_ps(out + (4 + c) * out_stride, _mm256_permute2f128_ps(b[c], b[4 + c], 0x31));
    }
  }
  static void transpose(const float* in, int64_t in_stride, float* out, int64_t out_stride) noexcept {
    for (int row = 0; row < 16; row += 8)
      for (int column = 0; column < 16; column += 8)
        transpose8(in + row * in_stride + column, in_stride, out + column * out_stride + row, out_stride);
  }
};

}  // namespace
}  // namespace avx2

const EncoderFloatIsa kAvx2EncoderFloat = encoder_float_table<avx2::FloatIsa>();

}  // namespace assay
