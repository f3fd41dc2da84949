// IQ3_S (read only): 8 blocks of 32 values, each eight points of four; a code is 9 bits of the point, one of
// them apart, and four signs.
//   value = scale * (1 + 2 * s[b]) * level
// Source: dequantize_row_iq3_s in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

constexpr float kLevels[8] = {1, 3, 5, 7, 9, 11, 13, 15};

struct IQ3_S : PointFormat<IQ3_S, IQ3_SBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int l = 0; l < 64; ++l) {
      const int b = l / 8, units = block.scales[b / 2] >> (b % 2 * 4) & 15;
      const float step = scale * static_cast<float>(1 + 2 * units);
      const int point = block.points[l] | (block.high_bits[b] >> (l % 8) & 1) << 8;
      decode_iq3_point(kIQ3SGrid[point], kLevels, block.signs[l / 2] >> (l % 2 * 4), step, out + 4 * l);
    }
  }
};

}  // namespace

FormatOps iq3_s_ops() noexcept {
  return block_format_ops<IQ3_S>(WeightKind::kIQ3_S, nullptr);
}

}  // namespace assay
