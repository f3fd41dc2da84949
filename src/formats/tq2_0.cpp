// TQ2_0: 256 values share one f16 scale; two bits per code.   value = scale * (code - 1),  code in [0, 2]
//
// For models that were trained on three values; packing anything else loses most of it. The same bytes as
// ggml's quantize_row_tq2_0_ref.
#include "formats/block_rows.hpp"
#include "formats/code_pairs.hpp"
#include "formats/list.hpp"
#include "formats/ternary.hpp"

namespace assay {
namespace {

struct TQ2_0 {
  using Block = TQ2_0Block;
  static constexpr int kLen = kSuperBlockLen;

  static void encode(const float* x, Block& block) {
    uint8_t codes[kLen];
    block.scale = f16_from_float(choose_ternary_codes(x, kLen, codes));
    pack_code_pairs(codes, block.codes);
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int i = 0; i < kLen; ++i) {
      const int code = block.codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
      out[i] = static_cast<float>(code - 1) * scale;
    }
  }

  static void bound(const Block& block, const float* x, float* out) {
    bound_ternary(float_from_f16(block.scale), x, kLen, out);
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

}  // namespace

FormatOps tq2_0_ops() noexcept {
  return block_format_ops<TQ2_0>(WeightKind::kTQ2_0,
                                 [](const WeightFormat&, const float* source, int64_t cols, const float*,
                                    PackedRowOut out) { encode_blocks<TQ2_0>(source, cols, out.codes); });
}

}  // namespace assay
