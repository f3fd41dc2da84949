// IQ4_XS: 256 values in 8 blocks of 32; one f16 scale, a 6-bit scale per block,
// and the uneven levels of IQ4_NL.
//   value = (scale * (scales[b] - 32)) * kIQ4Levels[code],  code in [0, 15]
//
// Packing searches the scale of each block (search.hpp, fit_levels), gives the
// largest one the code -32, rounds the others and takes the nearest levels on
// the stored grid. Source: dequantize_row_iq4_xs, quantize_row_iq4_nl_impl in
// ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/block_scales.hpp"
#include "formats/iq4_levels.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

constexpr int kBlocks = 8;

int unpack_scale(const IQ4_XSBlock& block, int b) {
  const int low = block.scales_low[b / 2] >> (b % 2 * 4) & 15;
  const int high = block.scales_high >> (2 * b) & 3;
  return (low | high << 4) - 32;
}

struct IQ4_XS {
  using Block = IQ4_XSBlock;
  static constexpr int kLen = kSuperBlockLen;

  static void encode_fits(const float* x, const ScaleFit* fits, Block& block) {
    float scales[kBlocks];
    for (int b = 0; b < kBlocks; ++b) scales[b] = fits[b].scale;
    const float unit = extreme_scale(scales, kBlocks) / -32;
    block = {};
    block.scale = f16_from_float(unit);
    const float stored = float_from_f16(block.scale);
    for (int b = 0; b < kBlocks; ++b) {
      const float exact = unit != 0.0f ? scales[b] / unit : 0.0f;
      const int units = static_cast<int>(clamp_code(round_even(exact), -32, 31)), code = units + 32;
      block.scales_low[b / 2] = static_cast<uint8_t>(block.scales_low[b / 2] | (code & 15) << (b % 2 * 4));
      block.scales_high = static_cast<uint16_t>(block.scales_high | code >> 4 << (2 * b));
      encode_iq4(x + b * kBlockLen, stored * static_cast<float>(units), block.nibbles + b * 16);
    }
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < kBlocks; ++b) {
      const float step = scale * static_cast<float>(unpack_scale(block, b));
      decode_iq4(block.nibbles + b * 16, step, out + b * 32);
    }
  }

  // ggml chooses codes against the f32 scale times the block's scale, so the f16 rounding of the scale counts
  // up to 127 * 32 times; the block's own scale was rounded to a whole unit of it, which moves the ends of
  // the grid by up to 127 / 2 units (a whole unit where it was clamped at 31).
  static void bound(const Block& block, const float* x, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < kBlocks; ++b) {
      const int units = unpack_scale(block, b);
      const float step = scale * static_cast<float>(units);
      const float rounding = 127 * static_cast<float>(std::abs(units)) * f16_rounding(scale);
      bound_iq4(step, 127 * (std::abs(scale) + 32 * f16_rounding(scale)), rounding, x + b * 32, out + b * 32);
    }
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

}  // namespace

FormatOps iq4_xs_ops() noexcept {
  return block_format_ops<IQ4_XS>(WeightKind::kIQ4_XS, quantize_iq4_rows<IQ4_XS>);
}

}  // namespace assay
