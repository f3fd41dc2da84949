// IQ3_XXS (read only): 8 blocks of 32 values, each eight points of four from a codebook of 256; per block a
// word of a 4-bit scale and four times seven signs.
//   value = scale * (1/2 + s[b]) / 2 * level
// Source: dequantize_row_iq3_xxs in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

constexpr float kLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};

struct IQ3_XXS : PointFormat<IQ3_XXS, IQ3_XXSBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < 8; ++b) {
      uint32_t word;
      std::memcpy(&word, block.signs + 4 * b, sizeof word);
      const float step = scale * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
      for (int l = 0; l < 8; ++l) {
        const int signs = complete_signs(word >> 7 * (l / 2)) >> (l % 2 * 4);
        decode_iq3_point(kIQ3XXSGrid[block.points[8 * b + l]], kLevels, signs, step, out + 32 * b + 4 * l);
      }
    }
  }
};

}  // namespace

FormatOps iq3_xxs_ops() noexcept {
  return block_format_ops<IQ3_XXS>(WeightKind::kIQ3_XXS, nullptr);
}

}  // namespace assay
