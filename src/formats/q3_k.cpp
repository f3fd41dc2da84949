// Q3_K (read only): 256 values in 16 blocks of 16; one f16 scale and a 6-bit scale per block.
//   value = (scale * (scales[b] - 32)) * (code - 4),  code in [0, 7]: two bits in `codes`, one in `high_bits`
// Source: dequantize_row_q3_K in ggml src/ggml-quants.c.
#include <algorithm>
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

constexpr int kBlocks = 16, kLenOfBlock = 16;

/// The low four bits of scale b lie in byte b % 8, below for b < 8 and above for the others; the two high
/// bits in byte 8 + b % 4, at bit 2 * (b / 4).
int unpack_scale(const uint8_t* packed, int b) {
  const int low = b < 8 ? packed[b] & 15 : packed[b - 8] >> 4;
  const int high = packed[8 + b % 4] >> (2 * (b / 4)) & 3;
  return (low | high << 4) - 32;
}

struct Q3_K {
  using Block = Q3_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < kBlocks; ++b) {
      const float step = scale * static_cast<float>(unpack_scale(block.scales, b));
      const uint8_t* codes = block.codes + b / 8 * 32 + b % 2 * 16;
      const uint8_t* high = block.high_bits + b % 2 * 16;
      const int shift = b % 8 / 2 * 2, high_shift = b / 2;
      for (int l = 0; l < kLenOfBlock; ++l) {
        const int code = (codes[l] >> shift & 3) | (high[l] >> high_shift & 1) << 2;
        out[b * kLenOfBlock + l] = step * static_cast<float>(code - 4);
      }
    }
  }

  // Codes are the nearest ones on the stored grid, as in Q6_K. With eight levels the search may leave any
  // value but the largest outside, so only the value itself limits the error there, plus the rounding of the
  // 6-bit scales.
  static void bound(const Block& block, const float* x, float* out) {
    const float unit = float_from_f16(block.scale);
    const float scale_error = std::abs(unit) + 32 * f16_rounding(unit);
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      const float step = unit * static_cast<float>(unpack_scale(block.scales, b));
      const float largest = largest_magnitude(values, kLenOfBlock);
      const Grid grid{std::min(-4 * step, 3 * step), std::max(-4 * step, 3 * step), std::abs(step) / 2,
                      0.75f * largest + 4 * scale_error};
      const float rounding = float_rounding(std::max(largest, std::abs(4 * step)));
      for (int i = 0; i < kLenOfBlock; ++i) {
        out[b * kLenOfBlock + i] = bound_on_grid(grid, values[i], rounding);
      }
    }
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

}  // namespace

FormatOps q3_k_ops() noexcept {
  return block_format_ops<Q3_K>(WeightKind::kQ3_K, nullptr);
}

}  // namespace assay
