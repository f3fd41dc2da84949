// Q8_1 (read only): 32 values share one f16 scale; a second f16 holds scale * (sum of the codes), which
// products use and decoding does not.   value = scale * code,  code in [-127, 127]
// Source: quantize_row_q8_1_ref in ggml src/ggml-quants.c.
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

struct Q8_1 {
  using Block = Q8_1Block;
  static constexpr int kLen = kBlockLen;

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int i = 0; i < kLen; ++i) out[i] = static_cast<float>(block.codes[i]) * scale;
  }

  // As in Q8_0: the largest value gets code 127, and codes are chosen before the scale is rounded.
  static void bound(const Block& block, const float* x, float* out) {
    const float scale = float_from_f16(block.scale), largest = largest_magnitude(x, kLen);
    for (int i = 0; i < kLen; ++i) {
      out[i] = (std::abs(scale) + f16_rounding(scale)) / 2 + scaled_rounding(scale, x[i], 127.0f) +
               float_rounding(largest);
    }
  }

  static bool is_finite(const Block& block) {
    return std::isfinite(float_from_f16(block.scale)) && std::isfinite(float_from_f16(block.sum));
  }
};

}  // namespace

FormatOps q8_1_ops() noexcept {
  return block_format_ops<Q8_1>(WeightKind::kQ8_1, nullptr);
}

}  // namespace assay
