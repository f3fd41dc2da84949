// IQ2_S (read only): 16 blocks of 16 values, each two points of eight; a code is 10 bits of the point, two of
// them apart, and eight signs.
//   value = scale * (1/2 + s[b]) / 4 * level
// Source: dequantize_row_iq2_s in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

struct IQ2_S : PointFormat<IQ2_S, IQ2_SBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int l = 0; l < 32; ++l) {
      const int units = block.scales[l / 4] >> (l % 4 / 2 * 4) & 15;
      const float step = scale * (0.5f + static_cast<float>(units)) * 0.25f;
      const int point = block.points[l] | (block.high_bits[l / 4] >> (l % 4 * 2) & 3) << 8;
      decode_iq2_point(kIQ2SGrid[point], block.signs[l], step, out + 8 * l);
    }
  }
};

}  // namespace

FormatOps iq2_s_ops() noexcept {
  return block_format_ops<IQ2_S>(WeightKind::kIQ2_S, nullptr);
}

}  // namespace assay
