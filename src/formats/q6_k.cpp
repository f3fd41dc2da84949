// Q6_K: 256 values in 16 blocks of 16; one f16 scale and an 8-bit scale per block.
//   value = (scale * scales[b]) * (code - 32),  code in [0, 63]; both scales may be negative
//
// Packing searches the scale of each block (make_qx_quants, weights x^2 or the importance itself), rounds it
// to 8 bits and takes the nearest codes on the stored grid: the same bytes as quantize_q6_K of ggml built
// without fused multiply-add.
#include <algorithm>
#include <cmath>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/block_scales.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/importance.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"
#include "formats/search.hpp"

namespace assay {
namespace {

constexpr int kBlocks = 16, kLenOfBlock = 16;
constexpr int kHalf = 32;

/// Codes of one block, 0 … 63, on its stored grid; where the stored step is 0, those of the search.
void choose_codes(const float* x, float step, const ScaleFit& fit, uint8_t* codes) {
  for (int i = 0; i < kLenOfBlock; ++i) {
    const float exact = step != 0.0f ? x[i] / step : fit.code_scale * x[i];
    const int code = static_cast<int>(clamp_code(round_even(exact), -kHalf, kHalf - 1)) + kHalf;
    codes[i] = static_cast<uint8_t>(step == 0.0f && fit.code_scale == 0.0f ? 0 : code);
  }
}

void pack_codes(const uint8_t* codes, Q6_KBlock& block) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* run = codes + half * 128;
    uint8_t *low = block.low + half * 64, *high = block.high + half * 32;
    for (int l = 0; l < 32; ++l) {
      low[l] = static_cast<uint8_t>((run[l] & 15) | (run[l + 64] & 15) << 4);
      low[l + 32] = static_cast<uint8_t>((run[l + 32] & 15) | (run[l + 96] & 15) << 4);
      high[l] = static_cast<uint8_t>(run[l] >> 4 | run[l + 32] >> 4 << 2 | run[l + 64] >> 4 << 4 |
                                     run[l + 96] >> 4 << 6);
    }
  }
}

struct Q6_K {
  using Block = Q6_KBlock;
  static constexpr int kLen = kSuperBlockLen;

  static void encode_fits(const float* x, const ScaleFit* fits, Block& block) {
    block = {};
    float scales[kBlocks];
    for (int b = 0; b < kBlocks; ++b) scales[b] = fits[b].scale;
    const float extreme = extreme_scale(scales, kBlocks);
    if (std::abs(extreme) < 1e-15f) return;  // GROUP_MAX_EPS
    const float inverse = -128.0f / extreme;
    block.scale = f16_from_float(1.0f / inverse);
    const float scale = float_from_f16(block.scale);
    uint8_t codes[kLen];
    for (int b = 0; b < kBlocks; ++b) {
      const int code = static_cast<int>(clamp_code(round_even(inverse * fits[b].scale), -128, 127));
      block.scales[b] = static_cast<int8_t>(code);
      choose_codes(x + b * kLenOfBlock, scale * static_cast<float>(code), fits[b], codes + b * kLenOfBlock);
    }
    pack_codes(codes, block);
  }

  static void decode(const Block& block, float* out) {
    const float scale = float_from_f16(block.scale);
    for (int run = 0; run < 8; ++run) {
      const uint8_t* low = block.low + run / 4 * 64 + run % 2 * 32;
      const uint8_t* high = block.high + run / 4 * 32;
      const int low_shift = run % 4 / 2 * 4, high_shift = run % 4 * 2;
      const float first = scale * block.scales[2 * run], second = scale * block.scales[2 * run + 1];
      for (int l = 0; l < 32; ++l) {
        const int code = (low[l] >> low_shift & 15) | (high[l] >> high_shift & 3) << 4;
        out[run * 32 + l] = (l < 16 ? first : second) * static_cast<float>(code - kHalf);
      }
    }
  }

  // Codes are the nearest ones on the stored grid. Outside of it: the first trial errs by at most one step
  // t = max|x| / 32 (the extreme opposite to the largest value is clamped), and a fit is kept only when its
  // weighted squared error is no larger. With w = x^2 this gives |e_i| <= t * sqrt(16) * max|x| / |x_i|,
  // and as no value left outside errs by more than |x_i|, |e_i| <= sqrt(4 * t * max|x|) = 0.36 * max|x|.
  // Importance moves the weights apart, so half of max|x| is allowed. Rounding the block's scale to 8 bits
  // (clamped at 127: one unit of the f16 scale) and that f16 itself shrink the grid further.
  static void bound(const Block& block, const float* x, float* out) {
    const float unit = float_from_f16(block.scale);
    const float scale_error = std::abs(unit) + 128 * f16_rounding(unit);
    for (int b = 0; b < kBlocks; ++b) {
      const float* values = x + b * kLenOfBlock;
      const float step = unit * block.scales[b], largest = largest_magnitude(values, kLenOfBlock);
      const float one = step * -kHalf, other = step * (kHalf - 1);
      const Grid grid{std::min(one, other), std::max(one, other), std::abs(step) / 2,
                      largest / 2 + kHalf * scale_error};
      const float rounding = float_rounding(std::max(largest, std::abs(one)));
      for (int i = 0; i < kLenOfBlock; ++i) {
        out[b * kLenOfBlock + i] = bound_on_grid(grid, values[i], rounding);
      }
    }
  }

  static bool is_finite(const Block& block) { return std::isfinite(float_from_f16(block.scale)); }
};

void search(const float* x, const float* importance, ScaleFit* fits) {
  search_table().fit_scales(kHalf, x, importance, kLenOfBlock, kBlocks, fits);
  if (!importance) return;
  for (int b = 0; b < kBlocks; ++b) {
    if (has_importance(importance + b * kLenOfBlock, kLenOfBlock)) continue;
    search_table().fit_scales(kHalf, x + b * kLenOfBlock, nullptr, kLenOfBlock, 1, fits + b);
  }
}

void quantize(const WeightFormat&, const float* source, int64_t cols, const float* importance,
              PackedRowOut out) {
  for (int64_t i = 0; i < cols / Q6_K::kLen; ++i) {
    const int64_t at = i * Q6_K::kLen;
    ScaleFit fits[kBlocks];
    search(source + at, importance ? importance + at : nullptr, fits);
    Q6_KBlock block;
    Q6_K::encode_fits(source + at, fits, block);
    if (importance && !is_within_bound<Q6_K>(source + at, block)) {
      search(source + at, nullptr, fits);
      Q6_K::encode_fits(source + at, fits, block);
    }
    store_block(block, out.codes, i);
  }
}

}  // namespace

FormatOps q6_k_ops() noexcept {
  return block_format_ops<Q6_K>(WeightKind::kQ6_K, quantize);
}

}  // namespace assay
