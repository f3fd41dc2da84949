// Q4_K: 256 values in 8 blocks of 32; f16 scale and min, and a 6-bit scale and min per block.
//   value = (scale * scales[b]) * code - (min * mins[b]),  code in [0, 15]
//
// Packing searches scale and min of each block (make_qkx2_quants; with importance make_qkx3_quants and
// make_qp_quants), rounds them to six bits and takes the nearest codes on the stored grid: the same bytes as
// quantize_q4_K of ggml built without fused multiply-add.
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/list.hpp"
#include "formats/super_block.hpp"

namespace assay {
namespace {

constexpr int kMaxCode = 15;
constexpr LineRecipe kRecipe = {
    .max_code = kMaxCode,
    .plain = {.max_code = kMaxCode, .first = -1.0f, .delta = 0.1f, .last_trial = 20},
    .weighted = {.max_code = kMaxCode, .first = -0.9f, .delta = 0.05f, .last_trial = 36},
};

struct Q4_K {
  using Block = Q4_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  static void pack(const LineSuperBlock& solved, Block& block) {
    block.scale = solved.scale;
    block.min = solved.min;
    pack_line_scales(solved.scales, solved.mins, block.scales);
    for (int pair = 0; pair < kLineBlocks / 2; ++pair) {
      const uint8_t* codes = solved.codes + pair * 64;
      for (int l = 0; l < 32; ++l) {
        block.nibbles[pair * 32 + l] = static_cast<uint8_t>(codes[l] | codes[l + 32] << 4);
      }
    }
  }

  static void decode(const Block& block, float* out) {
    const LineGrid grid = unpack_line_grid(block.scale, block.min, block.scales);
    for (int b = 0; b < kLineBlocks; ++b) {
      const uint8_t* nibbles = block.nibbles + b / 2 * 32;
      const int shift = b % 2 * 4;
      for (int l = 0; l < 32; ++l) {
        const float code = static_cast<float>(nibbles[l] >> shift & 15);
        out[b * 32 + l] = grid.steps[b] * code - grid.offsets[b];
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

FormatOps q4_k_ops() noexcept {
  return block_format_ops<Q4_K>(WeightKind::kQ4_K, quantize_line_rows<Q4_K, kRecipe>);
}

}  // namespace assay
