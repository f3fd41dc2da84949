// Q2_K: 256 values in 16 blocks of 16; f16 scale and min, and a 4-bit scale and min per block.
//   value = (scale * (scales[b] & 15)) * code - (min * (scales[b] >> 4)),  code in [0, 3]
//
// Packing searches scale and min of each block (make_qkx2_quants by absolute errors weighed by |value|; with
// importance make_qkx3_quants and make_qp_quants), rounds them to four bits and takes the nearest codes on
// the stored grid: the same bytes as quantize_q2_K of ggml built without fused multiply-add. Source:
// dequantize_row_q2_K in ggml src/ggml-quants.c.
#include <algorithm>
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/block_scales.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/code_pairs.hpp"
#include "formats/importance.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"
#include "formats/search.hpp"

namespace assay {
namespace {

constexpr int kBlocks = 16, kLenOfBlock = 16;
constexpr int kMaxCode = 3;
constexpr float kMaxScale = 15.0f;
constexpr LineSearch kPlain = {.max_code = kMaxCode,
                               .first = -0.5f,
                               .delta = 0.1f,
                               .last_trial = 15,
                               .block_len = kLenOfBlock,
                               .absolute = true};
/// From smallest to largest, where the search left a value further outside than the bound allows.
constexpr LineSearch kRange = {
    .max_code = kMaxCode, .first = 0, .delta = 0, .last_trial = -1, .block_len = kLenOfBlock};
constexpr LineSearch kWeighted = {
    .max_code = kMaxCode, .first = -0.9f, .delta = 0.05f, .last_trial = 36, .block_len = kLenOfBlock};

struct Q2_K {
  using Block = Q2_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  /// `block_weights` is null without importance.
  static void encode_fits(const float* x, const LineFit* fits, const float* block_weights, Block& block) {
    float scales[kBlocks], mins[kBlocks];
    for (int b = 0; b < kBlocks; ++b) scales[b] = fits[b].scale, mins[b] = -fits[b].min;
    const auto choose = [&](const float* values, uint8_t* codes) {
      return f16_from_float(block_weights
                                ? solve_block_scales(values, block_weights, kBlocks, kMaxScale, codes)
                                : round_block_scales(values, kBlocks, kMaxScale, codes));
    };
    uint8_t scale_codes[kBlocks], min_codes[kBlocks], codes[kLen];
    block.scale = choose(scales, scale_codes);
    block.min = choose(mins, min_codes);
    const float scale = float_from_f16(block.scale), min = float_from_f16(block.min);
    for (int b = 0; b < kBlocks; ++b) {
      block.scales[b] = static_cast<uint8_t>(scale_codes[b] | min_codes[b] << 4);
      choose_line_codes(x + b * kLenOfBlock, kLenOfBlock, scale * scale_codes[b], min * min_codes[b], fits[b],
                        kMaxCode, codes + b * kLenOfBlock);
    }
    pack_code_pairs(codes, block.codes);
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale), min = float_from_f16(block.min);
    for (int b = 0; b < kBlocks; ++b) {
      const float step = scale * static_cast<float>(block.scales[b] & 15);
      const float offset = min * static_cast<float>(block.scales[b] >> 4);
      const uint8_t* codes = block.codes + b / 8 * 32 + b % 2 * 16;
      const int shift = b % 8 / 2 * 2;
      for (int l = 0; l < kLenOfBlock; ++l) {
        out[b * kLenOfBlock + l] = step * static_cast<float>(codes[l] >> shift & 3) - offset;
      }
    }
  }

  // Codes are the nearest ones on the stored grid, as in Q4_K (super_block.cpp). Outside the grid nothing but
  // the search itself limits the error of a small value, as errors are weighed by |x|; half of the span is
  // allowed, which blocks are packed to keep (in 2.6 million values ggml's search never exceeded it without
  // importance). The rounding of the 4-bit scales comes on top.
  static void bound(const Block& block, const float* x, float* out) {
    const float scale = float_from_f16(block.scale), min = float_from_f16(block.min);
    const float scale_error = std::abs(scale) + 15 * f16_rounding(scale);
    const float min_error = std::abs(min) + 15 * f16_rounding(min);
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      const auto [lowest, highest] = value_range(values, kLenOfBlock);
      const float step = scale * static_cast<float>(block.scales[b] & 15);
      const float low = -min * static_cast<float>(block.scales[b] >> 4), high = 3 * step + low;
      const float span = std::max(highest, 0.0f) - std::min(lowest, 0.0f);
      const Grid grid{std::min(low, high), std::max(low, high), std::abs(step) / 2,
                      span / 2 + 3 * scale_error + min_error};
      const float rounding = float_rounding(std::max({-lowest, highest, std::abs(low), std::abs(high)}));
      for (int i = 0; i < kLenOfBlock; ++i) {
        out[b * kLenOfBlock + i] = bound_on_grid(grid, values[i], rounding);
      }
    }
  }

  static bool is_finite(const Block& block) {
    return std::isfinite(float_from_f16(block.scale)) && std::isfinite(float_from_f16(block.min));
  }
};

void encode_plain(const float* x, Q2_KBlock& block) {
  float weights[kSuperBlockLen];
  for (int i = 0; i < kSuperBlockLen; ++i) weights[i] = std::abs(x[i]);
  LineFit fits[kBlocks];
  for (const LineSearch* search : {&kPlain, &kRange}) {
    search_table().fit_lines(*search, x, weights, kBlocks, fits);
    Q2_K::encode_fits(x, fits, nullptr, block);
    if (is_within_bound<Q2_K>(x, block)) return;
  }
}

void encode_weighted(const float* x, const float* importance, Q2_KBlock& block) {
  float weights[kSuperBlockLen], block_weights[kBlocks] = {};
  weigh_by_importance(x, importance, kSuperBlockLen, mean_square(x, kSuperBlockLen), weights);
  for (int i = 0; i < kSuperBlockLen; ++i) block_weights[i / kLenOfBlock] += weights[i];
  LineFit fits[kBlocks];
  search_table().fit_lines(kWeighted, x, weights, kBlocks, fits);
  Q2_K::encode_fits(x, fits, block_weights, block);
}

void quantize(const WeightFormat&, const float* source, int64_t cols, const float* importance,
              PackedRowOut out) {
  for (int64_t i = 0; i < cols / Q2_K::kLen; ++i) {
    const float* x = source + i * Q2_K::kLen;
    Q2_KBlock block;
    if (importance) encode_weighted(x, importance + i * Q2_K::kLen, block);
    if (!importance || !is_within_bound<Q2_K>(x, block)) encode_plain(x, block);
    store_block(block, out.codes, i);
  }
}

}  // namespace

FormatOps q2_k_ops() noexcept {
  return block_format_ops<Q2_K>(WeightKind::kQ2_K, quantize);
}

}  // namespace assay
