// IQ1_M (read only): IQ1_S with blocks of 16 values and a shift per point; the f16 scale lies in the high
// nibbles of the four words of 3-bit scales.
//   value = scale * (1 + 2 * s[b]) * (level +- 1/8),  level in {-1, 0, 1}
// Source: dequantize_row_iq1_m in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/iq_grids.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

int scale_word(const IQ1_MBlock& block, int i) {
  return block.scales[2 * i] | block.scales[2 * i + 1] << 8;
}

uint16_t scale_of(const IQ1_MBlock& block) {
  int bits = 0;
  for (int i = 0; i < 4; ++i) bits |= scale_word(block, i) >> 12 << (4 * i);
  return static_cast<uint16_t>(bits);
}

struct IQ1_M : PointFormat<IQ1_M, IQ1_MBlock> {
  static void decode(const Block& block, float* out) {
    const float scale = IQ1_M::scale(block);
    for (int l = 0; l < 32; ++l) {
      const int b = l / 2, units = scale_word(block, b / 4) >> (b % 4 * 3) & 7;
      const int high = block.high_bits[l / 2] >> (l % 2 * 4) & 15;
      const float step = scale * static_cast<float>(2 * units + 1);
      decode_iq1_point(kIQ1Grid[block.points[l] | (high & 7) << 8], high & 8 ? -0.125f : 0.125f, step,
                       out + 8 * l);
    }
  }

  static float scale(const Block& block) { return float_from_f16(scale_of(block)); }
};

}  // namespace

FormatOps iq1_m_ops() noexcept {
  return block_format_ops<IQ1_M>(WeightKind::kIQ1_M, nullptr);
}

}  // namespace assay
