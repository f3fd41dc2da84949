// NVFP4: 64 values in 4 blocks of 16; an 8-bit float scale per block; codes are 4-bit floats.
//   value = scales[b] * fp4[code],  fp4 = 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their negatives
//
// Packing is a formula: scale = largest / 6. The same bytes as ggml's quantize_row_nvfp4_ref for blocks below
// 464 * 6. The smallest scale is 2^-9, so blocks of values below a hundredth lose precision: files that
// others wrote keep a factor per tensor beside it, which this layout does not have.
#include "formats/block_rows.hpp"
#include "formats/e4m3.hpp"
#include "formats/fp4_levels.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

constexpr int kBlocks = 4, kLenOfBlock = 16;

float half_scale_of(uint8_t bits) {
  return bits == kE4M3NotANumber ? 0.0f : float_from_e4m3(bits) / 2;
}

struct NVFP4 {
  using Block = NVFP4Block;
  static constexpr int kLen = kBlocks * kLenOfBlock;

  static void encode(const float* x, Block& block) {
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      block.scales[b] = e4m3_from_float_up(largest_magnitude(values, kLenOfBlock) / 6);
      encode_fp4(values, half_scale_of(block.scales[b]), kLenOfBlock, block.nibbles + b * 8);
    }
  }

  static void decode(const Block& block, float* out) {
    for (int b = 0; b < kBlocks; ++b)
      decode_fp4(block.nibbles + b * 8, half_scale_of(block.scales[b]), kLenOfBlock, out + b * kLenOfBlock);
  }

  // Three bits of mantissa round the scale by up to a sixteenth of itself, and below 2^-6 by up to 2^-10.
  static void bound(const Block& block, const float* x, float* out) {
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      const float largest = largest_magnitude(values, kLenOfBlock);
      bound_fp4(half_scale_of(block.scales[b]), std::max(largest / 16, 6 * 0x1p-10f), values, kLenOfBlock,
                out + b * kLenOfBlock);
    }
  }

  static bool is_finite(const Block& block) {
    return std::none_of(block.scales, block.scales + kBlocks,
                        [](uint8_t bits) { return (bits & 0x7f) == kE4M3NotANumber; });
  }
};

}  // namespace

FormatOps nvfp4_ops() noexcept {
  return block_format_ops<NVFP4>(WeightKind::kNVFP4,
                                 [](const WeightFormat&, const float* source, int64_t cols, const float*,
                                    PackedRowOut out) { encode_blocks<NVFP4>(source, cols, out.codes); });
}

}  // namespace assay
