// IQ2_XXS (read only): 8 blocks of 32 values, each four points of eight from a codebook of 256; per block a
// 4-bit scale and four times seven signs, all in one word.
//   value = scale * (1/2 + s[b]) / 4 * level
// Source: dequantize_row_iq2_xxs in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

struct IQ2_XXS : PointFormat<IQ2_XXS, IQ2_XXSBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < 8; ++b) {
      uint32_t signs;
      std::memcpy(&signs, block.points + 8 * b + 4, sizeof signs);
      const float step = scale * (0.5f + static_cast<float>(signs >> 28)) * 0.25f;
      for (int l = 0; l < 4; ++l)
        decode_iq2_point(kIQ2XXSGrid[block.points[8 * b + l]], complete_signs(signs >> 7 * l), step,
                         out + 32 * b + 8 * l);
    }
  }
};

}  // namespace

FormatOps iq2_xxs_ops() noexcept {
  return block_format_ops<IQ2_XXS>(WeightKind::kIQ2_XXS, nullptr);
}

}  // namespace assay
