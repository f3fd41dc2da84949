// Q4_1: 32 values share an f16 scale and an f16 min.   value = scale * code + min,  code in [0, 15]
//
// Without importance every byte equals ggml's quantize_row_q4_1_ref for finite input: from the smallest value
// to the largest. With importance scale and min are searched (make_qkx3_quants) and the codes are then the
// nearest ones on the stored scale and min; ggml keeps the codes of the search, which err no less.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/list.hpp"
#include "formats/search.hpp"
#include "formats/simple_blocks.hpp"

namespace assay {
namespace {

constexpr int kMaxCode = 15;
constexpr LineSearch kSearch = {.max_code = kMaxCode, .first = -0.9f, .delta = 0.05f, .last_trial = 36};

struct Q4_1 {
  using Block = Q4_1Block;
  static constexpr int kLen = kBlockLen;

  static void pack(float scale, float min, const uint8_t* codes, Block& block) {
    block.scale = f16_from_float(scale);
    block.min = f16_from_float(min);
    pack_nibbles(codes, block.nibbles);
  }

  static void encode(const float* x, Block& block) {
    uint8_t codes[kLen];
    const auto [scale, min] = choose_affine_codes<kMaxCode>(x, codes);
    pack(scale, min, codes, block);
  }

  using Fit = LineFit;
  static void search(const float* x, const float* weights, int n_blocks, Fit* fits) {
    search_table().fit_lines(kSearch, x, weights, n_blocks, fits);
  }

  static void encode_fit(const float* x, const Fit& fit, Block& block) {
    const float scale = float_from_f16(f16_from_float(fit.scale));
    const float min = float_from_f16(f16_from_float(fit.min));
    int8_t nearest[kLen];
    choose_nearest_codes(x, kLen, scale, min, 0, kMaxCode, nearest);
    uint8_t codes[kLen];
    for (int i = 0; i < kLen; ++i) codes[i] = static_cast<uint8_t>(nearest[i]);
    pack(scale, min, codes, block);
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale), min = float_from_f16(block.min);
    uint8_t codes[kLen];
    unpack_nibbles(block.nibbles, codes);
    for (int i = 0; i < kLen; ++i) out[i] = static_cast<float>(codes[i]) * scale + min;
  }

  static void bound(const Block& block, const float* x, float* out) {
    bound_affine(float_from_f16(block.scale), float_from_f16(block.min), kMaxCode, x, out);
  }

  static bool is_finite(const Block& block) {
    return std::isfinite(float_from_f16(block.scale)) && std::isfinite(float_from_f16(block.min));
  }
};

}  // namespace

FormatOps q4_1_ops() noexcept {
  return block_format_ops<Q4_1>(WeightKind::kQ4_1, quantize_simple_blocks<Q4_1>);
}

}  // namespace assay
