// IQ4_NL: 32 values share one f16 scale; codes name 16 uneven levels, dense around 0.
//   value = scale * kIQ4Levels[code],  code in [0, 15]
//
// Packing searches the scale (search.hpp, fit_levels) and takes the nearest levels on the stored one.
// Source: dequantize_row_iq4_nl, quantize_row_iq4_nl_impl in ggml src/ggml-quants.c.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/iq4_levels.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

struct IQ4_NL {
  using Block = IQ4_NLBlock;
  static constexpr int kLen = kBlockLen;

  static void encode_fits(const float* x, const ScaleFit* fit, Block& block) {
    block.scale = f16_from_float(fit->scale);
    encode_iq4(x, float_from_f16(block.scale), block.nibbles);
  }

  static void decode(const Block& block, float* out) {
    decode_iq4(block.nibbles, float_from_f16(block.scale), out);
  }

  // ggml chooses codes against the scale before it is rounded to f16.
  static void bound(const Block& block, const float* x, float* out) {
    const float scale = float_from_f16(block.scale);
    const float rounding = 127 * f16_rounding(scale);
    bound_iq4(scale, rounding, rounding, x, out);
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

}  // namespace

FormatOps iq4_nl_ops() noexcept {
  return block_format_ops<IQ4_NL>(WeightKind::kIQ4_NL, quantize_iq4_rows<IQ4_NL>);
}

}  // namespace assay
