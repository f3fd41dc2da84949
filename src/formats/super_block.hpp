#pragma once
#include <algorithm>
#include <cstdint>

#include "formats/block_rows.hpp"
#include "formats/search.hpp"

/// What Q4_K and Q5_K share: 256 values in 8 blocks of 32, where
///   value = (scale * scales[b]) * code - (min * mins[b])
/// with f16 scale and min, and 6-bit scales[b] and mins[b]. Only the width of the codes differs.
/// Source: quantize_row_q4_K_ref, quantize_row_q4_K_impl, get_scale_min_k4 in ggml src/ggml-quants.c.
namespace assay {

inline constexpr int kLineBlocks = 8;

struct LineSuperBlock {
  uint16_t scale, min;  ///< f16
  uint8_t scales[kLineBlocks], mins[kLineBlocks];
  uint8_t codes[256];
};

/// How a format searches: the largest code, and the trials without and with importance.
struct LineRecipe {
  int max_code;
  LineSearch plain, weighted;
};

/// Packs `n` <= kMaxSearchBlocks / kLineBlocks super-blocks. `importance` is null or holds a weight per
/// value.
void solve_line_super_blocks(const LineRecipe& recipe, const float* x, const float* importance, int n,
                             LineSuperBlock* out);

/// quantize_row of a format whose Format::pack lays out a solved super-block.
template <class Format, const LineRecipe& kRecipe>
void quantize_line_rows(const WeightFormat&, const float* source, int64_t cols, const float* importance,
                        PackedRowOut out) {
  constexpr int kAtOnce = kMaxSearchBlocks / kLineBlocks;
  const int64_t n = cols / Format::kLen;
  for (int64_t first = 0; first < n; first += kAtOnce) {
    const int count = static_cast<int>(std::min<int64_t>(kAtOnce, n - first));
    const int64_t at = first * Format::kLen;
    LineSuperBlock solved[kAtOnce];
    solve_line_super_blocks(kRecipe, source + at, importance ? importance + at : nullptr, count, solved);
    for (int i = 0; i < count; ++i) {
      typename Format::Block block;
      Format::pack(solved[i], block);
      const float* x = source + at + i * Format::kLen;
      if (importance && !is_within_bound<Format>(x, block)) {
        solve_line_super_blocks(kRecipe, x, nullptr, 1, solved + i);
        Format::pack(solved[i], block);
      }
      store_block(block, out.codes, first + i);
    }
  }
}

/// The 16 six-bit numbers in 12 bytes. For b < 4 byte b holds scales[b] and byte b + 4 holds mins[b] in
/// their low six bits; the two upper bits of these bytes belong to block b + 4, whose low nibbles share
/// byte b + 8:
///
///            7 6                 5 … 0                    7 … 4             3 … 0
///   byte b   scales[b+4] 5..4 |  scales[b]      byte b+8  mins[b+4] 3..0 |  scales[b+4] 3..0
///   byte b+4   mins[b+4] 5..4 |  mins[b]
void pack_line_scales(const uint8_t* scales, const uint8_t* mins, uint8_t* packed) noexcept;
void unpack_line_scales(const uint8_t* packed, uint8_t* scales, uint8_t* mins) noexcept;

/// value = steps[b] * code - offsets[b] for block b, as f32 products of the stored numbers.
struct LineGrid {
  float steps[kLineBlocks], offsets[kLineBlocks];
};
LineGrid unpack_line_grid(uint16_t scale, uint16_t min, const uint8_t* packed) noexcept;

/// Error bounds of the 256 values of one super-block; derived at the definition.
void bound_line_super_block(uint16_t scale, uint16_t min, const uint8_t* packed, int max_code, const float* x,
                            float* out) noexcept;

}  // namespace assay
