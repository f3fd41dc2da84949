#include "kernels/float_panel.hpp"

#include "kernels/avx512/intrinsics.hpp"
#include "kernels/avx512/plain.hpp"

namespace assay::avx512 {
namespace {

// One step of the sums that reduce the lanes: of two registers, or of one register with itself. Each takes
// one blend and one shuffle, so that both vector ports share the work.

/// Halves: a's in the first, b's in the second.
ASSAY_INLINE __m512 add_halves(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a, b), _mm512_shuffle_f32x4(a, b, 0x4e));
}
ASSAY_INLINE __m512 add_halves(__m512 a) {
  return _mm512_add_ps(a, _mm512_shuffle_f32x4(a, a, 0x4e));
}
/// Quarters 0 and 2 from a, 1 and 3 from b.
ASSAY_INLINE __m512 add_quarter_pairs(__m512 a, __m512 b) {
  const __m512i kOther = _mm512_set_epi32(27, 26, 25, 24, 15, 14, 13, 12, 19, 18, 17, 16, 7, 6, 5, 4);
  return _mm512_add_ps(_mm512_mask_blend_ps(0xf0f0, a, b), _mm512_permutex2var_ps(a, kOther, b));
}
ASSAY_INLINE __m512 add_quarter_pairs(__m512 a) {
  return _mm512_add_ps(a, _mm512_shuffle_f32x4(a, a, 0xb1));
}
/// In every quarter: lanes 0 and 1 from a, 2 and 3 from b.
ASSAY_INLINE __m512 add_lane_pairs(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_mask_blend_ps(0xcccc, a, b), _mm512_shuffle_ps(a, b, 0x4e));
}
/// In every quarter: lanes 0 and 2 from a, 1 and 3 from b.
ASSAY_INLINE __m512 add_lanes_of(__m512 a, __m512 b) {
  const __m512i kOther = _mm512_set_epi32(30, 15, 28, 13, 26, 11, 24, 9, 22, 7, 20, 5, 18, 3, 16, 1);
  return _mm512_add_ps(_mm512_mask_blend_ps(0xaaaa, a, b), _mm512_permutex2var_ps(a, kOther, b));
}

/// The sums of four rows' lanes for up to four tokens: rows side by side, tokens 0, 2, 1, 3 in the quarters.
template <int kTokens>
ASSAY_INLINE __m512 reduce_lanes(const __m512 (*acc)[kFloatTileRows]) {
  __m512 rows[kFloatTileRows];
#pragma GCC unroll 4
  for (int r = 0; r < kFloatTileRows; ++r) {
    const __m512 low =
        kTokens > 1 ? add_halves(acc[0][r], acc[kTokens > 1 ? 1 : 0][r]) : add_halves(acc[0][r]);
    if constexpr (kTokens > 2)
      rows[r] = add_quarter_pairs(
          low, kTokens > 3 ? add_halves(acc[2][r], acc[kTokens > 3 ? 3 : 2][r]) : add_halves(acc[2][r]));
    else
      rows[r] = add_quarter_pairs(low);
  }
  return add_lanes_of(add_lane_pairs(rows[0], rows[2]), add_lane_pairs(rows[1], rows[3]));
}

/// What float_panel.hpp asks for: 24 accumulators, four registers of weights, one of a token.
struct PanelIsa {
  static constexpr int kTokens = 6;
  static constexpr int64_t kColumns = 1024;
  static constexpr int kRows = kFloatTileRows;
  /// The panel comes from the second-level cache, four lines in twelve cycles: asked for so many steps of 16
  /// columns ahead, which makes the product 5 % faster.
  static constexpr int kAhead = 4;

  ASSAY_INLINE static void store_rows(__m128 sums, __mmask8 rows, float* out) {
    _mm_mask_storeu_ps(out, rows, sums);
  }
  template <int kCount>
  ASSAY_INLINE static void store_tokens(const __m512 (*acc)[kRows], const FloatTile& tile, int64_t token) {
    const __m512 sums = reduce_lanes<kCount>(acc);
    const auto rows = static_cast<__mmask8>((1 << tile.rows) - 1);
    float* out = tile.out + token * tile.out_stride;
    store_rows(_mm512_castps512_ps128(sums), rows, out);
    if constexpr (kCount > 1) store_rows(_mm512_extractf32x4_ps(sums, 2), rows, out + tile.out_stride);
    if constexpr (kCount > 2) store_rows(_mm512_extractf32x4_ps(sums, 1), rows, out + 2 * tile.out_stride);
    if constexpr (kCount > 3) store_rows(_mm512_extractf32x4_ps(sums, 3), rows, out + 3 * tile.out_stride);
  }

  template <int kCount>
  static void multiply(const FloatTile& tile) noexcept {
    __m512 acc[kCount][kRows];
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t)
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
        acc[t][r] = tile.first ? _mm512_setzero_ps() : _mm512_loadu_ps(tile.lanes + (kRows * t + r) * 16);
    const float *w = tile.w, *x = tile.x;
#pragma GCC unroll 2
    for (int64_t e = 0; e < tile.n; e += 16, w += 16 * kRows) {
      __m512 weights[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) weights[r] = _mm512_loadu_ps(w + 16 * r);
#pragma GCC unroll 6
      for (int t = 0; t < kCount; ++t) {
        const __m512 value = _mm512_loadu_ps(x + t * tile.x_stride + e);
        if (t < kRows) __builtin_prefetch(w + 16 * (kAhead * kRows + t), 0, 3);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) acc[t][r] = _mm512_fmadd_ps(weights[r], value, acc[t][r]);
      }
    }
    if (tile.last) {
      store_tokens < kCount<4 ? kCount : 4>(acc, tile, 0);
      if constexpr (kCount > 4) store_tokens<kCount - 4>(acc + 4, tile, 4);
      return;
    }
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t)
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(tile.lanes + (kRows * t + r) * 16, acc[t][r]);
  }
};

}  // namespace

void multiply_float_panel(const FloatPanelJob& job) noexcept {
  FloatPanel<PanelIsa>::multiply(job);
}

}  // namespace assay::avx512
