// Q3_K: 256 values in 16 blocks of 16; one f16 scale and a 6-bit scale per block.
//   value = (scale * (scales[b] - 32)) * (code - 4),  code in [0, 7]: two bits in `codes`, one in `high_bits`
//
// Packing starts from the nearest codes and moves one at a time while the fit gains (make_q3_quants); with
// importance it tries scales for the blocks and then for their scales (make_qx_quants). The codes are then
// the nearest ones on the stored grid: the same bytes as quantize_q3_K of ggml built without fused
// multiply-add. Source: dequantize_row_q3_K in ggml src/ggml-quants.c.
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
constexpr int kHalf = 4;        // codes run from -4 to 3
constexpr int kHalfScale = 32;  // and scales from -32 to 31

/// The low four bits of scale b lie in byte b % 8, below for b < 8 and above for the others; the two high
/// bits in byte 8 + b % 4, at bit 2 * (b / 4).
int unpack_scale(const uint8_t* packed, int b) {
  const int low = b < 8 ? packed[b] & 15 : packed[b - 8] >> 4;
  const int high = packed[8 + b % 4] >> (2 * (b / 4)) & 3;
  return (low | high << 4) - 32;
}

/// `scale` is a stored one, -32 … 31.
void pack_scale(int scale, int b, uint8_t* packed) {
  const int code = scale + 32;
  packed[b % 8] = static_cast<uint8_t>(packed[b % 8] | (code & 15) << (b < 8 ? 0 : 4));
  packed[8 + b % 4] = static_cast<uint8_t>(packed[8 + b % 4] | code >> 4 << (2 * (b / 4)));
}

int nearest_code(float value, int limit) {
  const float half = static_cast<float>(limit);
  return static_cast<int>(clamp_code(round_even(value), -half, half - 1));
}

/// The scale of 16 values and their codes, -4 … 3: the scale that puts the largest on -4, then one code after
/// the other goes where the least-squares fit of the rest wants it, errors weighed by x^2.
struct CodeDescent {
  const float* x;
  int codes[kLenOfBlock] = {};
  float sum_xl = 0, sum_l2 = 0;  // sums of w * x * code and w * code^2

  bool improve_code(int i) {
    const float w = x[i] * x[i], old = static_cast<float>(codes[i]);
    float xl = sum_xl - w * x[i] * old;
    if (!(xl > 0)) return false;
    float l2 = sum_l2 - w * old * old;
    const int moved = nearest_code(x[i] * l2 / xl, kHalf);
    if (moved == codes[i]) return false;
    const float code = static_cast<float>(moved);
    xl += w * x[i] * code;
    l2 += w * code * code;
    if (!(l2 > 0 && xl * xl * sum_l2 > sum_xl * sum_xl * l2)) return false;
    codes[i] = moved, sum_xl = xl, sum_l2 = l2;
    return true;
  }

  float solve() {
    const float extreme = extreme_value(x, kLenOfBlock);
    if (std::abs(extreme) < 1e-15f) return 0.0f;  // GROUP_MAX_EPS
    if (!std::isfinite(extreme)) return extreme;  // is_finite() shall see it
    const float inverse = static_cast<float>(-kHalf) / extreme;
    for (int i = 0; i < kLenOfBlock; ++i) {
      codes[i] = nearest_code(inverse * x[i], kHalf);
      const float code = static_cast<float>(codes[i]), w = x[i] * x[i];
      sum_xl += w * x[i] * code;
      sum_l2 += w * code * code;
    }
    for (int pass = 0; pass < 5; ++pass) {
      bool changed = false;
      for (int i = 0; i < kLenOfBlock; ++i) changed |= improve_code(i);
      if (!changed) break;
    }
    return sum_l2 > 0.0f ? sum_xl / sum_l2 : 0.0f;
  }
};

struct Q3_K {
  using Block = Q3_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  /// `units` are the blocks' scales, -32 … 31; `searched` are codes 0 … 7 for blocks whose stored step is 0.
  static void encode_scales(const float* x, float scale, const int* units, const uint8_t* searched,
                            Block& block) {
    block = {};
    block.scale = f16_from_float(scale);
    const float stored = float_from_f16(block.scale);
    uint8_t codes[kLen];
    for (int b = 0; b < kBlocks; ++b) {
      pack_scale(units[b], b, block.scales);
      const float step = stored * static_cast<float>(units[b]);
      for (int i = b * kLenOfBlock; i < (b + 1) * kLenOfBlock; ++i) {
        codes[i] =
            step != 0.0f ? static_cast<uint8_t>(nearest_code(x[i] / step, kHalf) + kHalf) : searched[i];
        block.high_bits[i % 32] = static_cast<uint8_t>(block.high_bits[i % 32] | codes[i] >> 2 << (i / 32));
      }
    }
    pack_code_pairs(codes, block.codes);
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int b = 0; b < kBlocks; ++b) {
      const float step = scale * static_cast<float>(unpack_scale(block.scales, b));
      const uint8_t* codes = block.codes + b / 8 * 32 + b % 2 * 16;
      const uint8_t* high = block.high_bits + b % 2 * 16;
      const int shift = b % 8 / 2 * 2, high_shift = b / 2;
      for (int l = 0; l < kLenOfBlock; ++l) {
        const int code = (codes[l] >> shift & 3) | (high[l] >> high_shift & 1) << 2;
        out[b * kLenOfBlock + l] = step * static_cast<float>(code - 4);
      }
    }
  }

  // Codes are the nearest ones on the stored grid, as in Q6_K. With eight levels the search may leave any
  // value but the largest outside, so only the value itself limits the error there, plus the rounding of the
  // 6-bit scales.
  static void bound(const Block& block, const float* x, float* out) {
    const float unit = float_from_f16(block.scale);
    const float scale_error = std::abs(unit) + 32 * f16_rounding(unit);
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      const float step = unit * static_cast<float>(unpack_scale(block.scales, b));
      const float largest = largest_magnitude(values, kLenOfBlock);
      const Grid grid{std::min(-4 * step, 3 * step), std::max(-4 * step, 3 * step), std::abs(step) / 2,
                      0.75f * largest + 4 * scale_error};
      const float rounding = float_rounding(std::max(largest, std::abs(4 * step)));
      for (int i = 0; i < kLenOfBlock; ++i) {
        out[b * kLenOfBlock + i] = bound_on_grid(grid, values[i], rounding);
      }
    }
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

/// Without importance the scale of largest magnitude gets -32, and the others round.
void encode_plain(const float* x, Q3_KBlock& block) {
  float scales[kBlocks];
  uint8_t codes[kSuperBlockLen];
  for (int b = 0; b < kBlocks; ++b) {
    CodeDescent descent{x + b * kLenOfBlock};
    scales[b] = descent.solve();
    const int shift = std::abs(extreme_value(descent.x, kLenOfBlock)) < 1e-15f ? 0 : kHalf;
    for (int i = 0; i < kLenOfBlock; ++i)
      codes[b * kLenOfBlock + i] = static_cast<uint8_t>(descent.codes[i] + shift);
  }
  const float extreme = extreme_scale(scales, kBlocks);
  int units[kBlocks];
  const float inverse = extreme != 0.0f ? static_cast<float>(-kHalfScale) / extreme : 0.0f;
  for (int b = 0; b < kBlocks; ++b)
    units[b] = extreme != 0.0f ? nearest_code(inverse * scales[b], kHalfScale) : -kHalfScale;
  Q3_K::encode_scales(x, extreme != 0.0f ? 1.0f / inverse : 0.0f, units, codes, block);
}

void encode_weighted(const float* x, const float* importance, Q3_KBlock& block) {
  float weights[kSuperBlockLen], scales[kBlocks], block_weights[kBlocks] = {};
  weigh_by_importance(x, importance, kSuperBlockLen, 2 * mean_square(x, kSuperBlockLen), weights);
  for (int i = 0; i < kSuperBlockLen; ++i) block_weights[i / kLenOfBlock] += weights[i];
  ScaleFit fits[kBlocks], whole;
  search_table().fit_scales(kHalf, x, weights, kLenOfBlock, kBlocks, fits);
  uint8_t codes[kSuperBlockLen];
  for (int b = 0; b < kBlocks; ++b) {
    scales[b] = fits[b].scale;
    for (int i = b * kLenOfBlock; i < (b + 1) * kLenOfBlock; ++i)
      codes[i] = static_cast<uint8_t>(
          fits[b].code_scale != 0.0f ? nearest_code(fits[b].code_scale * x[i], kHalf) + kHalf : 0);
  }
  search_table().fit_scales(kHalfScale, scales, block_weights, kBlocks, 1, &whole);
  int units[kBlocks];
  for (int b = 0; b < kBlocks; ++b)
    units[b] =
        whole.code_scale != 0.0f ? nearest_code(whole.code_scale * scales[b], kHalfScale) : -kHalfScale;
  Q3_K::encode_scales(x, whole.scale, units, codes, block);
}

void quantize(const WeightFormat&, const float* source, int64_t cols, const float* importance,
              PackedRowOut out) {
  for (int64_t i = 0; i < cols / Q3_K::kLen; ++i) {
    const float* x = source + i * Q3_K::kLen;
    Q3_KBlock block;
    if (importance) encode_weighted(x, importance + i * Q3_K::kLen, block);
    if (!importance || !is_within_bound<Q3_K>(x, block)) encode_plain(x, block);
    store_block(block, out.codes, i);
  }
}

}  // namespace

FormatOps q3_k_ops() noexcept {
  return block_format_ops<Q3_K>(WeightKind::kQ3_K, quantize);
}

}  // namespace assay
