#include "kernels/avx512/attention.hpp"

#include "kernels/avx512/intrinsics.hpp"

// Scores and mixtures of the queries that share keys and values: each key and value is loaded (and converted
// from f16) once for four queries, and 16 scores share the additions across their lanes.

namespace assay::avx512 {
namespace {

ASSAY_INLINE __m512 load(const float* x, __mmask16 lanes) {
  return _mm512_maskz_loadu_ps(lanes, x);
}
ASSAY_INLINE __m512 load(const uint16_t* x, __mmask16 lanes) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, x));
}

/// The lanes of v[4c + g] added up as by reduce16, to lane 4g + c.
ASSAY_INLINE __m512 reduce_all(const __m512 (&v)[16]) {
  __m512 quads[4];
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512* of = v + 4 * c;
    const __m512 low =
        _mm512_add_ps(_mm512_shuffle_f32x4(of[0], of[1], 0x44), _mm512_shuffle_f32x4(of[0], of[1], 0xee));
    const __m512 high =
        _mm512_add_ps(_mm512_shuffle_f32x4(of[2], of[3], 0x44), _mm512_shuffle_f32x4(of[2], of[3], 0xee));
    quads[c] = _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
  }
  const auto add_pairs = [](__m512 a, __m512 b) __attribute__((always_inline)) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  };
  const __m512 low = add_pairs(quads[0], quads[1]), high = add_pairs(quads[2], quads[3]);
  return _mm512_add_ps(_mm512_shuffle_ps(low, high, 0x88), _mm512_shuffle_ps(low, high, 0xdd));
}

/// kQueries (4, 2, 1) queries by 16 / kQueries keys.
template <int kQueries, class T>
ASSAY_INLINE void score_tile(const Queries& queries, int64_t query, const T* keys, int64_t key,
                             int64_t n_keys, float scale, float* scores, int64_t stride) {
  constexpr int kKeys = 16 / kQueries, kQuarters = 4 / kQueries;  // quarters of a register to a query
  const int64_t dim = queries.dim, left = n_keys - key;
  const float* q = queries.first + query * queries.stride;
  const T* from[kKeys];
#pragma GCC unroll 16
  for (int k = 0; k < kKeys; ++k) from[k] = keys + (key + (k < left ? k : left - 1)) * dim;
  __m512 acc[16];
#pragma GCC unroll 16
  for (__m512& sum : acc) sum = _mm512_setzero_ps();
  for (int64_t d = 0; d < dim; d += 16) {
    const __mmask16 lanes = dim - d >= 16 ? static_cast<__mmask16>(0xffff) : first_lanes(dim - d);
    __m512 values[kQueries];
#pragma GCC unroll 4
    for (int i = 0; i < kQueries; ++i) values[i] = load(q + i * queries.stride + d, lanes);
#pragma GCC unroll 16
    for (int k = 0; k < kKeys; ++k) {
      const __m512 value = load(from[k] + d, lanes);
#pragma GCC unroll 4
      for (int i = 0; i < kQueries; ++i) {
        __m512& sum = acc[4 * (k % 4) + i * kQuarters + k / 4];
        sum = _mm512_fmadd_ps(values[i], value, sum);
      }
    }
  }
  const __m512 sums = _mm512_mul_ps(reduce_all(acc), _mm512_set1_ps(scale));
  const __mmask16 there = left >= kKeys ? static_cast<__mmask16>(0xffff) : first_lanes(left);
  float* to = scores + query * stride + key;
  if constexpr (kQueries == 1) {
    _mm512_mask_storeu_ps(to, there, sums);
  } else if constexpr (kQueries == 2) {
    const auto lanes = static_cast<__mmask8>(there);
    _mm256_mask_storeu_ps(to, lanes, _mm512_castps512_ps256(sums));
    _mm256_mask_storeu_ps(to + stride, lanes, _mm512_extractf32x8_ps(sums, 1));
  } else {
    const auto lanes = static_cast<__mmask8>(there & 15);
    _mm_mask_storeu_ps(to, lanes, _mm512_castps512_ps128(sums));
    _mm_mask_storeu_ps(to + stride, lanes, _mm512_extractf32x4_ps(sums, 1));
    _mm_mask_storeu_ps(to + 2 * stride, lanes, _mm512_extractf32x4_ps(sums, 2));
    _mm_mask_storeu_ps(to + 3 * stride, lanes, _mm512_extractf32x4_ps(sums, 3));
  }
}

template <int kQueries, class T>
void score_some(const Queries& queries, int64_t query, const T* keys, int64_t n_keys, float scale,
                float* scores, int64_t stride) {
  for (int64_t key = 0; key < n_keys; key += 16 / kQueries)
    score_tile<kQueries>(queries, query, keys, key, n_keys, scale, scores, stride);
}

template <class T>
void score_all(const Queries& queries, const T* keys, int64_t n_keys, float scale, float* scores,
               int64_t stride) {
  int64_t query = 0;
  for (; query + 4 <= queries.count; query += 4)
    score_some<4>(queries, query, keys, n_keys, scale, scores, stride);
  for (; query + 2 <= queries.count; query += 2)
    score_some<2>(queries, query, keys, n_keys, scale, scores, stride);
  if (query < queries.count) score_some<1>(queries, query, keys, n_keys, scale, scores, stride);
}

/// Dimensions [begin, begin + 64) of kQueries queries' mixtures.
template <int kQueries, class T>
ASSAY_INLINE void mix_tile(const float* weights, int64_t stride, const T* values, int64_t n_keys, int64_t dim,
                           int64_t begin, float* out, int64_t out_stride) {
  constexpr int kVectors = 4;
  __mmask16 lanes[kVectors];
  __m512 acc[kQueries][kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = dim - begin - 16 * v;
    lanes[v] = left >= 16 ? static_cast<__mmask16>(0xffff)
               : left > 0 ? first_lanes(left)
                          : static_cast<__mmask16>(0);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) acc[q][v] = _mm512_setzero_ps();
  }
  for (int64_t i = 0; i < n_keys; ++i) {
    __m512 value[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) value[v] = load(values + i * dim + begin + 16 * v, lanes[v]);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const __m512 weight = _mm512_set1_ps(weights[q * stride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[q][v] = _mm512_fmadd_ps(weight, value[v], acc[q][v]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      _mm512_mask_storeu_ps(out + q * out_stride + begin + 16 * v, lanes[v], acc[q][v]);
}

template <class T>
void mix_all(const float* weights, int64_t stride, int64_t queries, const T* values, int64_t n_keys,
             int64_t dim, float* out, int64_t out_stride) {
  for (int64_t d = 0; d < dim; d += 64) {
    int64_t q = 0;
    for (; q + 4 <= queries; q += 4)
      mix_tile<4>(weights + q * stride, stride, values, n_keys, dim, d, out + q * out_stride, out_stride);
    for (; q < queries; ++q)
      mix_tile<1>(weights + q * stride, stride, values, n_keys, dim, d, out + q * out_stride, out_stride);
  }
}

}  // namespace

void score(const Queries& queries, const float* keys, int64_t n_keys, float scale, float* scores,
           int64_t stride) noexcept {
  score_all(queries, keys, n_keys, scale, scores, stride);
}
void score_f16(const Queries& queries, const uint16_t* keys, int64_t n_keys, float scale, float* scores,
               int64_t stride) noexcept {
  score_all(queries, keys, n_keys, scale, scores, stride);
}
void mix(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
         int64_t dim, float* out, int64_t out_stride) noexcept {
  mix_all(weights, stride, queries, values, n_keys, dim, out, out_stride);
}
void mix_f16(const float* weights, int64_t stride, int64_t queries, const uint16_t* values, int64_t n_keys,
             int64_t dim, float* out, int64_t out_stride) noexcept {
  mix_all(weights, stride, queries, values, n_keys, dim, out, out_stride);
}

}  // namespace assay::avx512
