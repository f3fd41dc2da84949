#include "kernels/mixture.hpp"

#include "kernels/avx2/intrinsics.hpp"

namespace assay::avx2 {
namespace {

/// Dimensions [begin, begin + 16) of kQueries queries; all 16 are there.
template <int kQueries>
ASSAY_INLINE void mix_tile(const float* weights, int64_t stride, const float* values, int64_t n_keys,
                           int64_t dim, float* out, int64_t out_stride) {
  __m256 low[kQueries], high[kQueries];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    low[q] = _mm256_loadu_ps(out + q * out_stride);
    high[q] = _mm256_loadu_ps(out + q * out_stride + 8);
  }
  for (int64_t k = 0; k < n_keys; ++k) {
    const __m256 first = _mm256_loadu_ps(values + k * dim), second = _mm256_loadu_ps(values + k * dim + 8);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const __m256 weight = _mm256_broadcast_ss(weights + q * stride + k);
      low[q] = _mm256_fmadd_ps(weight, first, low[q]);
      high[q] = _mm256_fmadd_ps(weight, second, high[q]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    _mm256_storeu_ps(out + q * out_stride, low[q]);
    _mm256_storeu_ps(out + q * out_stride + 8, high[q]);
  }
}

template <int kQueries>
void mix_queries(const float* weights, int64_t stride, const float* values, int64_t n_keys, int64_t dim,
                 float* out, int64_t out_stride) noexcept {
  int64_t d = 0;
  for (; d + 16 <= dim; d += 16)
    mix_tile<kQueries>(weights, stride, values + d, n_keys, dim, out + d, out_stride);
  for (; d < dim; ++d)
    for (int q = 0; q < kQueries; ++q) {
      float sum = out[q * out_stride + d];
      for (int64_t k = 0; k < n_keys; ++k)
        sum = __builtin_fmaf(weights[q * stride + k], values[k * dim + d], sum);
      out[q * out_stride + d] = sum;
    }
}

}  // namespace

void mix_onto(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept {
  int64_t q = 0;
  for (; q + 4 <= queries; q += 4)
    mix_queries<4>(weights + q * stride, stride, values, n_keys, dim, out + q * out_stride, out_stride);
  for (; q < queries; ++q)
    mix_queries<1>(weights + q * stride, stride, values, n_keys, dim, out + q * out_stride, out_stride);
}

}  // namespace assay::avx2
