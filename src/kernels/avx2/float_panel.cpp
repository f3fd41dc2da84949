#include "kernels/float_panel.hpp"

#include <cstring>

#include "kernels/avx2/lanes.hpp"
#include "kernels/avx2/plain.hpp"

namespace assay::avx2 {
namespace {

/// What float_panel.hpp asks for. Sixteen registers hold half the lanes of 12 results, three tokens and one
/// row; the other half comes in a second pass over columns that are in the first-level cache by then.
struct PanelIsa {
  static constexpr int kTokens = 3;
  static constexpr int64_t kColumns = 512;
  static constexpr int kRows = kFloatTileRows;

  /// Lanes 0 to 7 or, with every pointer 8 further, 8 to 15.
  template <int kCount>
  ASSAY_INLINE static void multiply_half(const float* w, const float* x, int64_t x_stride, int64_t n,
                                         bool first, float* lanes) {
    __m256 acc[kRows][kCount];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
      for (int t = 0; t < kCount; ++t)
        acc[r][t] = first ? _mm256_setzero_ps() : _mm256_loadu_ps(lanes + (kRows * t + r) * 16);
    for (int64_t e = 0; e < n; e += 16, w += 16 * kRows) {
      __m256 values[kCount];
#pragma GCC unroll 3
      for (int t = 0; t < kCount; ++t) values[t] = _mm256_loadu_ps(x + t * x_stride + e);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m256 weight = _mm256_loadu_ps(w + 16 * r);
#pragma GCC unroll 3
        for (int t = 0; t < kCount; ++t) acc[r][t] = _mm256_fmadd_ps(weight, values[t], acc[r][t]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
      for (int t = 0; t < kCount; ++t) _mm256_storeu_ps(lanes + (kRows * t + r) * 16, acc[r][t]);
  }

  /// Lanes l + 8, l + 4, l + 2 and l + 1 of four rows at once.
  ASSAY_INLINE static __m128 reduce_rows(const float* lanes) {
    __m256 eight[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const Lanes all = load(lanes + 16 * r);
      eight[r] = _mm256_add_ps(all.low, all.high);
    }
    // Rows 0 and 2, and rows 1 and 3, a half each; then two lanes of all.
    const __m256 even = _mm256_add_ps(_mm256_permute2f128_ps(eight[0], eight[2], 0x20),
                                      _mm256_permute2f128_ps(eight[0], eight[2], 0x31));
    const __m256 odd = _mm256_add_ps(_mm256_permute2f128_ps(eight[1], eight[3], 0x20),
                                     _mm256_permute2f128_ps(eight[1], eight[3], 0x31));
    const __m256 two = _mm256_add_ps(_mm256_shuffle_ps(even, odd, 0x44), _mm256_shuffle_ps(even, odd, 0xee));
    const __m128 low = _mm256_castps256_ps128(two), high = _mm256_extractf128_ps(two, 1);
    return _mm_add_ps(_mm_shuffle_ps(low, high, 0x88), _mm_shuffle_ps(low, high, 0xdd));
  }

  template <int kCount>
  static void multiply(const FloatTile& tile) noexcept {
    multiply_half<kCount>(tile.w, tile.x, tile.x_stride, tile.n, tile.first, tile.lanes);
    multiply_half<kCount>(tile.w + 8, tile.x + 8, tile.x_stride, tile.n, tile.first, tile.lanes + 8);
    if (!tile.last) return;
    for (int t = 0; t < kCount; ++t) {
      float* out = tile.out + t * tile.out_stride;
      const __m128 sums = reduce_rows(tile.lanes + 16 * kRows * t);
      if (tile.rows == kRows) {
        _mm_storeu_ps(out, sums);
      } else {
        float copy[kRows];
        _mm_storeu_ps(copy, sums);
        std::memcpy(out, copy, static_cast<size_t>(tile.rows) * sizeof(float));
      }
    }
  }
};

}  // namespace

void multiply_float_panel(const FloatPanelJob& job) noexcept {
  FloatPanel<PanelIsa>::multiply(job);
}

}  // namespace assay::avx2
