#include "kernels/mixture.hpp"

#include "kernels/avx512/intrinsics.hpp"

// The sums of a tile of queries and dimensions stay in registers while the keys pass by; every value is
// loaded once for all queries of the tile.

namespace assay::avx512 {
namespace {

/// A part of the dimensions, and the queries that share it.
struct Tile {
  const float* weights;
  int64_t stride;
  const float* values;
  int64_t n_keys, dim, begin;
  float* out;
  int64_t out_stride;

  /// Dimensions [begin, begin + 16 * kVectors) of kQueries queries.
  template <int kQueries, int kVectors>
  ASSAY_INLINE void run() const {
    __mmask16 lanes[kVectors];
    __m512 acc[kQueries][kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = dim - begin - 16 * v;
      lanes[v] = left >= 16 ? static_cast<__mmask16>(0xffff) : first_lanes(left > 0 ? left : 0);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q)
        acc[q][v] = _mm512_maskz_loadu_ps(lanes[v], out + q * out_stride + begin + 16 * v);
    }
    for (int64_t k = 0; k < n_keys; ++k) {
      __m512 value[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v)
        value[v] = _mm512_maskz_loadu_ps(lanes[v], values + k * dim + begin + 16 * v);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        const __m512 weight = _mm512_set1_ps(weights[q * stride + k]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) acc[q][v] = _mm512_fmadd_ps(weight, value[v], acc[q][v]);
      }
    }
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v)
        _mm512_mask_storeu_ps(out + q * out_stride + begin + 16 * v, lanes[v], acc[q][v]);
  }
};

/// All dimensions of kQueries queries. One query alone takes more of them at a time, so that there are enough
/// independent sums to keep both multipliers busy.
template <int kQueries>
void run_queries(Tile tile) noexcept {
  constexpr int kVectors = kQueries == 1 ? 8 : 4;
  for (tile.begin = 0; tile.begin < tile.dim; tile.begin += 16 * kVectors)
    tile.template run<kQueries, kVectors>();
}

}  // namespace

void mix_onto(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept {
  const auto tile = [&](int64_t q) {
    return Tile{weights + q * stride, stride, values, n_keys, dim, 0, out + q * out_stride, out_stride};
  };
  int64_t q = 0;
  for (; q + 4 <= queries; q += 4) run_queries<4>(tile(q));
  for (; q + 2 <= queries; q += 2) run_queries<2>(tile(q));
  if (q < queries) run_queries<1>(tile(q));
}

}  // namespace assay::avx512
