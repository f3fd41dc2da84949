// MXFP4: 32 values share a power of two; codes are 4-bit floats.
//   value = 2^(exponent - 127) * fp4[code],  fp4 = 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their negatives
//
// Packing is a formula: the largest value lies between 4 and 8 before it is clamped to 6. The same bytes as
// ggml's quantize_row_mxfp4_ref, but for values whose exponent leaves a byte: 0 and 255 (not a number) here.
#include <bit>

#include "formats/block_rows.hpp"
#include "formats/fp4_levels.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

constexpr uint8_t kNotANumber = 255;

/// 2^(exponent - 128): half of the scale, as fp4_levels.hpp counts in halves. Source: ggml-impl.h,
/// ggml_e8m0_to_fp32_half.
float half_scale_of(uint8_t exponent) {
  const uint32_t bits =
      exponent < 2 ? uint32_t{0x00200000} << exponent : static_cast<uint32_t>(exponent - 1) << 23;
  return std::bit_cast<float>(bits);
}

struct MXFP4 {
  using Block = MXFP4Block;
  static constexpr int kLen = kBlockLen;

  static void encode(const float* x, Block& block) {
    const float largest = largest_magnitude(x, kLen);
    block.exponent = 0;
    if (!std::isfinite(largest)) {
      block.exponent = kNotANumber;
    } else if (largest > 0.0f) {
      block.exponent = static_cast<uint8_t>(std::max(std::ilogb(largest) - 2 + 127, 0));
    }
    encode_fp4(x, half_scale_of(block.exponent), kLen, block.nibbles);
  }

  static void decode(const Block& block, float* out) {
    decode_fp4(block.nibbles, half_scale_of(block.exponent), kLen, out);
  }

  // ggml's rule leaves up to a quarter of the largest value outside, that of MLX (nearest power) up to 0.3.
  static void bound(const Block& block, const float* x, float* out) {
    bound_fp4(half_scale_of(block.exponent), 0.3f * largest_magnitude(x, kLen), x, kLen, out);
  }

  static bool is_finite(const Block& block) { return block.exponent != kNotANumber; }
};

}  // namespace

FormatOps mxfp4_ops() noexcept {
  return block_format_ops<MXFP4>(WeightKind::kMXFP4,
                                 [](const WeightFormat&, const float* source, int64_t cols, const float*,
                                    PackedRowOut out) { encode_blocks<MXFP4>(source, cols, out.codes); });
}

}  // namespace assay
