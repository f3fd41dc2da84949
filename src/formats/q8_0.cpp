// Q8_0: 32 values share one f16 scale.   value = scale * code,  code in [-127, 127],  scale = max|x| / 127
//
// Codes are chosen against the scale in f32, before it is rounded to f16, ties away from zero: every byte
// equals ggml's quantize_row_q8_0_ref for finite input. Importance is ignored, there is nothing to search.
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

struct Q8_0 {
  using Block = Q8_0Block;
  static constexpr int kLen = kBlockLen;

  static void encode(const float* x, Block& block) {
    const float scale = largest_magnitude(x, kLen) / 127.0f;
    const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    block.scale = f16_from_float(scale);
    for (int i = 0; i < kLen; ++i) {
      // A subnormal scale makes the inverse infinite, hence the clamp.
      const float scaled = clamp_code(x[i] * inverse, -127.0f, 127.0f);
      block.codes[i] = static_cast<int8_t>(round_away(scaled));
    }
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int i = 0; i < kLen; ++i) out[i] = static_cast<float>(block.codes[i]) * scale;
  }

  // max|x| has code 127 by construction, so nothing is clamped but by the rounding of the scale.
  static void bound(const Block& block, const float* x, float* out) {
    const float scale = float_from_f16(block.scale);
    const float largest = largest_magnitude(x, kLen);
    const Grid grid{-127 * scale, 127 * scale, (scale + f16_rounding(scale)) / 2, f16_rounding(scale)};
    for (int i = 0; i < kLen; ++i) {
      const float rounding = scaled_rounding(scale, x[i], 127) + float_rounding(largest);
      out[i] = bound_on_grid(grid, x[i], rounding);
    }
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

void quantize(const WeightFormat&, const float* source, int64_t cols, const float*, PackedRowOut out) {
  encode_blocks<Q8_0>(source, cols, out.codes);
}

}  // namespace

FormatOps q8_0_ops() noexcept {
  return block_format_ops<Q8_0>(WeightKind::kQ8_0, quantize);
}

}  // namespace assay
