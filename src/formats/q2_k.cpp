// Q2_K (read only): 256 values in 16 blocks of 16; f16 scale and min, and a 4-bit scale and min per block.
//   value = (scale * (scales[b] & 15)) * code - (min * (scales[b] >> 4)),  code in [0, 3]
// Source: dequantize_row_q2_K in ggml src/ggml-quants.c.
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

struct Q2_K {
  using Block = Q2_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale), min = float_from_f16(block.min);
    for (int b = 0; b < kBlocks; ++b) {
      const float step = scale * static_cast<float>(block.scales[b] & 15);
      const float offset = min * static_cast<float>(block.scales[b] >> 4);
      const uint8_t* codes = block.codes + b / 8 * 32 + b % 2 * 16;
      const int shift = b % 8 / 2 * 2;
      for (int l = 0; l < kLenOfBlock; ++l) {
        out[b * kLenOfBlock + l] = step * static_cast<float>(codes[l] >> shift & 3) - offset;
      }
    }
  }

  // Codes are the nearest ones on the stored grid, as in Q4_K (super_block.cpp). With only four levels and
  // errors weighed by |x| the search may leave small values anywhere in the span of the block, so outside
  // the grid only a whole span limits the error, plus the rounding of the 4-bit scales.
  static void bound(const Block& block, const float* x, float* out) {
    const float scale = float_from_f16(block.scale), min = float_from_f16(block.min);
    const float scale_error = std::abs(scale) + 15 * f16_rounding(scale);
    const float min_error = std::abs(min) + 15 * f16_rounding(min);
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      const auto [lowest, highest] = value_range(values, kLenOfBlock);
      const float step = scale * static_cast<float>(block.scales[b] & 15);
      const float low = -min * static_cast<float>(block.scales[b] >> 4), high = 3 * step + low;
      const float span = std::max(highest, 0.0f) - std::min(lowest, 0.0f);
      const Grid grid{std::min(low, high), std::max(low, high), std::abs(step) / 2,
                      span + 3 * scale_error + min_error};
      const float rounding = float_rounding(std::max({-lowest, highest, std::abs(low), std::abs(high)}));
      for (int i = 0; i < kLenOfBlock; ++i) {
        out[b * kLenOfBlock + i] = bound_on_grid(grid, values[i], rounding);
      }
    }
  }

  static bool is_finite(const Block& block) {
    return std::isfinite(float_from_f16(block.scale)) && std::isfinite(float_from_f16(block.min));
  }
};

}  // namespace

FormatOps q2_k_ops() noexcept {
  return block_format_ops<Q2_K>(WeightKind::kQ2_K, nullptr);
}

}  // namespace assay
