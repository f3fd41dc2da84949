// IQ1_S (read only): 8 blocks of 32 values, each four points of eight from a codebook of 2048; per block a
// word of a 3-bit scale, a shift of the levels up or down by an eighth, and the high bits of the points.
//   value = scale * (1 + 2 * s[b]) * (level +- 1/8),  level in {-1, 0, 1}
// Source: dequantize_row_iq1_s in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

struct IQ1_S : PointFormat<IQ1_S, IQ1_SBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < 8; ++b) {
      uint16_t word;
      std::memcpy(&word, block.high_bits + 2 * b, sizeof word);
      const float step = scale * static_cast<float>(2 * (word >> 12 & 7) + 1);
      const float shift = word & 0x8000 ? -0.125f : 0.125f;
      for (int l = 0; l < 4; ++l) {
        const int point = block.points[4 * b + l] | (word >> 3 * l & 7) << 8;
        decode_iq1_point(kIQ1Grid[point], shift, step, out + 32 * b + 8 * l);
      }
    }
  }
};

}  // namespace

FormatOps iq1_s_ops() noexcept {
  return block_format_ops<IQ1_S>(WeightKind::kIQ1_S, nullptr);
}

}  // namespace assay
