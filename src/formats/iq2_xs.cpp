// IQ2_XS (read only): 16 blocks of 16 values, each two points of eight; a code is 9 bits of the point and
// seven signs.
//   value = scale * (1/2 + s[b]) / 4 * level
// Source: dequantize_row_iq2_xs in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

struct IQ2_XS : PointFormat<IQ2_XS, IQ2_XSBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int l = 0; l < 32; ++l) {
      const int units = block.scales[l / 4] >> (l % 4 / 2 * 4) & 15;
      const float step = scale * (0.5f + static_cast<float>(units)) * 0.25f;
      uint16_t code;
      std::memcpy(&code, block.codes + 2 * l, sizeof code);
      decode_iq2_point(kIQ2XSGrid[code & 511], complete_signs(code >> 9), step, out + 8 * l);
    }
  }
};

}  // namespace

FormatOps iq2_xs_ops() noexcept {
  return block_format_ops<IQ2_XS>(WeightKind::kIQ2_XS, nullptr);
}

}  // namespace assay
