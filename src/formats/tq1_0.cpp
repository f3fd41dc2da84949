// TQ1_0: 256 values share one f16 scale; five codes a byte.   value = scale * (code - 1),  code in [0, 2]
//
// A byte holds five ternary digits as a fraction of 256: ceil(digits * 256 / 243). Multiplied by 3^n (mod
// 256) its next digit is the integer part of byte * 3 / 256. The same bytes as ggml's quantize_row_tq1_0_ref.
#include "formats/block_rows.hpp"
#include "formats/list.hpp"
#include "formats/ternary.hpp"

namespace assay {
namespace {

/// Values [first, first + stride * digits) lie in `stride` bytes from `byte` on: value first + n * stride + m
/// is digit n of byte m.
struct Run {
  int first, byte, stride, digits;
};
constexpr Run kRuns[] = {{0, 0, 32, 5}, {160, 32, 16, 5}, {240, 48, 4, 4}};
constexpr int kPowers[5] = {1, 3, 9, 27, 81};

struct TQ1_0 {
  using Block = TQ1_0Block;
  static constexpr int kLen = kSuperBlockLen;

  static void encode(const float* x, Block& block) {
    uint8_t codes[kLen];
    block.scale = f16_from_float(choose_ternary_codes(x, kLen, codes));
    for (const Run& run : kRuns) {
      for (int m = 0; m < run.stride; ++m) {
        int digits = 0;
        for (int n = 0; n < 5; ++n)
          digits = 3 * digits + (n < run.digits ? codes[run.first + n * run.stride + m] : 0);
        block.codes[run.byte + m] = static_cast<uint8_t>((digits * 256 + 242) / 243);
      }
    }
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (const Run& run : kRuns) {
      for (int n = 0; n < run.digits; ++n) {
        for (int m = 0; m < run.stride; ++m) {
          const int shifted = block.codes[run.byte + m] * kPowers[n] & 255;
          out[run.first + n * run.stride + m] = static_cast<float>((shifted * 3 >> 8) - 1) * scale;
        }
      }
    }
  }

  static void bound(const Block& block, const float* x, float* out) {
    bound_ternary(float_from_f16(block.scale), x, kLen, out);
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

}  // namespace

FormatOps tq1_0_ops() noexcept {
  return block_format_ops<TQ1_0>(WeightKind::kTQ1_0,
                                 [](const WeightFormat&, const float* source, int64_t cols, const float*,
                                    PackedRowOut out) { encode_blocks<TQ1_0>(source, cols, out.codes); });
}

}  // namespace assay
