// Q4_0: 32 values share one f16 scale.   value = scale * (code - 8),  code in [0, 15]
//
// Without importance every byte equals ggml's quantize_row_q4_0_ref for finite input: no search, the value of
// largest magnitude gets code 0. With importance the scale is searched (make_qx_quants) and the codes are
// then the nearest ones on the stored scale; ggml keeps the codes of the search, which err no less.
#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/list.hpp"
#include "formats/search.hpp"
#include "formats/simple_blocks.hpp"

namespace assay {
namespace {

constexpr int kHalf = 8;

struct Q4_0 {
  using Block = Q4_0Block;
  static constexpr int kLen = kBlockLen;

  static void pack(float scale, const uint8_t* codes, Block& block) {
    block.scale = f16_from_float(scale);
    pack_nibbles(codes, block.nibbles);
  }

  static void encode(const float* x, Block& block) {
    uint8_t codes[kLen];
    const float scale = choose_symmetric_codes<kHalf>(x, codes);
    pack(scale, codes, block);
  }

  using Fit = ScaleFit;
  static void search(const float* x, const float* weights, int n_blocks, Fit* fits) {
    search_table().fit_scales(kHalf, x, weights, kLen, n_blocks, fits);
  }

  static void encode_fit(const float* x, const Fit& fit, Block& block) {
    const float stored = float_from_f16(f16_from_float(fit.scale));
    int8_t nearest[kLen];
    choose_nearest_codes(x, kLen, stored, 0.0f, -kHalf, kHalf - 1, nearest);
    uint8_t codes[kLen];
    for (int i = 0; i < kLen; ++i) codes[i] = static_cast<uint8_t>(nearest[i] + kHalf);
    pack(stored, codes, block);
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    uint8_t codes[kLen];
    unpack_nibbles(block.nibbles, codes);
    for (int i = 0; i < kLen; ++i) out[i] = static_cast<float>(codes[i] - kHalf) * scale;
  }

  static void bound(const Block& block, const float* x, float* out) {
    bound_symmetric(float_from_f16(block.scale), kHalf, x, out);
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

}  // namespace

FormatOps q4_0_ops() noexcept {
  return block_format_ops<Q4_0>(WeightKind::kQ4_0, quantize_simple_blocks<Q4_0>);
}

}  // namespace assay
