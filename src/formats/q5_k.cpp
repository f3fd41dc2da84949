// Q5_K: Q4_K with five bits per code: 256 values in 8 blocks of 32; f16 scale and min, and a 6-bit scale and
// min per block.
//   value = (scale * scales[b]) * code - (min * mins[b]),  code in [0, 31]
//
// Packing is Q4_K's with other trials (quantize_q5_K of ggml).
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/list.hpp"
#include "formats/super_block.hpp"

namespace assay {
namespace {

constexpr int kMaxCode = 31;
constexpr LineRecipe kRecipe = {
    .max_code = kMaxCode,
    .plain = {.max_code = kMaxCode, .first = -0.5f, .delta = 0.1f, .last_trial = 15},
    .weighted = {.max_code = kMaxCode, .first = -0.9f, .delta = 0.05f, .last_trial = 36},
};

struct Q5_K {
  using Block = Q5_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  static void pack(const LineSuperBlock& solved, Block& block) {
    block.scale = solved.scale;
    block.min = solved.min;
    pack_line_scales(solved.scales, solved.mins, block.scales);
    uint8_t high[32] = {};
    for (int pair = 0; pair < kLineBlocks / 2; ++pair) {
      const uint8_t* codes = solved.codes + pair * 64;
      for (int l = 0; l < 32; ++l) {
        block.nibbles[pair * 32 + l] = static_cast<uint8_t>((codes[l] & 15) | (codes[l + 32] & 15) << 4);
        high[l] = static_cast<uint8_t>(high[l] | (codes[l] >> 4 | codes[l + 32] >> 4 << 1) << (2 * pair));
      }
    }
    std::memcpy(block.high_bits, high, sizeof high);
  }

  static void decode(const Block& block, float* out) {
    const LineGrid grid = unpack_line_grid(block.scale, block.min, block.scales);
    for (int b = 0; b < kLineBlocks; ++b) {
      const uint8_t* nibbles = block.nibbles + b / 2 * 32;
      const int shift = b % 2 * 4;
      for (int l = 0; l < 32; ++l) {
        const int code = (nibbles[l] >> shift & 15) | (block.high_bits[l] >> b & 1) << 4;
        out[b * 32 + l] = grid.steps[b] * static_cast<float>(code) - grid.offsets[b];
      }
    }
  }

  static void bound(const Block& block, const float* x, float* out) {
    bound_line_super_block(block.scale, block.min, block.scales, kMaxCode, x, out);
  }

  static bool is_finite(const Block& block) {
    return std::isfinite(float_from_f16(block.scale)) && std::isfinite(float_from_f16(block.min));
  }
};

}  // namespace

FormatOps q5_k_ops() noexcept {
  return block_format_ops<Q5_K>(WeightKind::kQ5_K, quantize_line_rows<Q5_K, kRecipe>);
}

}  // namespace assay
