#include "formats/super_block.hpp"

#include <algorithm>
#include <cmath>

#include "base/half.hpp"
#include "formats/block_scales.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/importance.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

constexpr float kMaxScale = 63.0f;  // six bits

/// From the fits of 8 blocks to the stored numbers. `block_weights` is null without importance.
void finish_super_block(const float* x, const LineFit* fits, const float* block_weights, int max_code,
                        LineSuperBlock& out) {
  float scales[kLineBlocks], mins[kLineBlocks];
  for (int b = 0; b < kLineBlocks; ++b) {
    scales[b] = fits[b].scale;
    mins[b] = -fits[b].min;
  }
  float scale, min;
  if (block_weights) {
    scale = solve_block_scales(scales, block_weights, kLineBlocks, kMaxScale, out.scales);
    min = solve_block_scales(mins, block_weights, kLineBlocks, kMaxScale, out.mins);
  } else {
    scale = round_block_scales(scales, kLineBlocks, kMaxScale, out.scales);
    min = round_block_scales(mins, kLineBlocks, kMaxScale, out.mins);
  }
  out.scale = f16_from_float(scale);
  out.min = f16_from_float(min);
  const float stored_scale = float_from_f16(out.scale), stored_min = float_from_f16(out.min);
  for (int b = 0; b < kLineBlocks; ++b) {
    choose_line_codes(x + b * kBlockLen, kBlockLen, stored_scale * out.scales[b], stored_min * out.mins[b],
                      fits[b], max_code, out.codes + b * kBlockLen);
  }
}

}  // namespace

void solve_line_super_blocks(const LineRecipe& recipe, const float* x, const float* importance, int n,
                             LineSuperBlock* out) {
  LineFit fits[kMaxSearchBlocks];
  if (!importance) {
    search_table().fit_lines(recipe.plain, x, nullptr, n * kLineBlocks, fits);
    for (int i = 0; i < n; ++i) {
      finish_super_block(x + i * kSuperBlockLen, fits + i * kLineBlocks, nullptr, recipe.max_code, out[i]);
    }
    return;
  }
  float weights[kMaxSearchBlocks * kBlockLen], block_weights[kMaxSearchBlocks];
  for (int i = 0; i < n; ++i) {
    const float* from = x + i * kSuperBlockLen;
    const float energy = 2 * mean_square(from, kSuperBlockLen);
    weigh_by_importance(from, importance + i * kSuperBlockLen, kSuperBlockLen, energy,
                        weights + i * kSuperBlockLen);
  }
  for (int b = 0; b < n * kLineBlocks; ++b) {
    block_weights[b] = 0;
    for (int i = 0; i < kBlockLen; ++i) block_weights[b] += weights[b * kBlockLen + i];
  }
  search_table().fit_lines(recipe.weighted, x, weights, n * kLineBlocks, fits);
  for (int i = 0; i < n; ++i) {
    finish_super_block(x + i * kSuperBlockLen, fits + i * kLineBlocks, block_weights + i * kLineBlocks,
                       recipe.max_code, out[i]);
  }
}

void pack_line_scales(const uint8_t* scales, const uint8_t* mins, uint8_t* packed) noexcept {
  for (int b = 0; b < 4; ++b) {
    packed[b] = static_cast<uint8_t>(scales[b] | scales[b + 4] >> 4 << 6);
    packed[b + 4] = static_cast<uint8_t>(mins[b] | mins[b + 4] >> 4 << 6);
    packed[b + 8] = static_cast<uint8_t>((scales[b + 4] & 15) | (mins[b + 4] & 15) << 4);
  }
}

void unpack_line_scales(const uint8_t* packed, uint8_t* scales, uint8_t* mins) noexcept {
  for (int b = 0; b < 4; ++b) {
    scales[b] = packed[b] & 63;
    mins[b] = packed[b + 4] & 63;
    scales[b + 4] = static_cast<uint8_t>((packed[b + 8] & 15) | packed[b] >> 6 << 4);
    mins[b + 4] = static_cast<uint8_t>(packed[b + 8] >> 4 | packed[b + 4] >> 6 << 4);
  }
}

LineGrid unpack_line_grid(uint16_t scale, uint16_t min, const uint8_t* packed) noexcept {
  uint8_t scales[kLineBlocks], mins[kLineBlocks];
  unpack_line_scales(packed, scales, mins);
  const float wide_scale = float_from_f16(scale), wide_min = float_from_f16(min);
  LineGrid grid;
  for (int b = 0; b < kLineBlocks; ++b) {
    grid.steps[b] = wide_scale * scales[b];
    grid.offsets[b] = wide_min * mins[b];
  }
  return grid;
}

// Codes are the nearest ones on the stored grid, so inside it the error is half a step and nothing else.
//
// Outside: the search accepts a fit only when its weighted squared error is no larger than that of the
// plain fit from min to max, whose every error is at most h = span / (2 * max_code), where span includes 0.
// Hence w_i * e_i^2 <= h^2 * sum(w), and as w = rms + |x| makes sum(w) <= 64 * rms <= 64 * w_i, no value
// errs by more than 8 h = 4 * span / max_code: 0.27 of the span in Q4_K, 0.13 in Q5_K. Importance moves
// these weights apart, so half of the span is allowed.
// Then the blocks' scales and mins are rounded to six bits, half a unit of the super-block's f16 scale and
// min (a whole one is allowed, as the search by importance may prefer the neighbour), and these f16
// themselves are rounded.
void bound_line_super_block(uint16_t scale, uint16_t min, const uint8_t* packed, int max_code, const float* x,
                            float* out) noexcept {
  const LineGrid blocks = unpack_line_grid(scale, min, packed);
  const float unit_scale = std::abs(float_from_f16(scale)), unit_min = std::abs(float_from_f16(min));
  const float codes = static_cast<float>(max_code);
  const float scale_error = unit_scale + kMaxScale * f16_rounding(unit_scale);
  const float min_error = unit_min + kMaxScale * f16_rounding(unit_min);
  for (int b = 0; b < kLineBlocks; ++b) {
    const float* values = x + b * kBlockLen;
    const auto [lowest, highest] = value_range(values, kBlockLen);
    const float span = std::max(highest, 0.0f) - std::min(lowest, 0.0f);
    const float low = -blocks.offsets[b], high = blocks.steps[b] * codes + low;
    const Grid grid{std::min(low, high), std::max(low, high), std::abs(blocks.steps[b]) / 2,
                    span / 2 + codes * scale_error + min_error};
    const float rounding = float_rounding(std::max({-lowest, highest, std::abs(low), std::abs(high)}));
    for (int i = 0; i < kBlockLen; ++i) out[b * kBlockLen + i] = bound_on_grid(grid, values[i], rounding);
  }
}

}  // namespace assay
