#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.hpp"
#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/importance.hpp"
#include "formats/rounding.hpp"
#include "formats/search.hpp"

/// What the four formats Q4_0, Q4_1, Q5_0, Q5_1 share: codes of a block of 32 and the bits they lie in.
namespace assay {

/// Source: quantize_row_q4_0_ref and its neighbours in ggml src/ggml-quants.c.
inline void pack_nibbles(const uint8_t* codes, uint8_t* nibbles) noexcept {
  for (int j = 0; j < 16; ++j) nibbles[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

inline void unpack_nibbles(const uint8_t* nibbles, uint8_t* codes) noexcept {
  for (int j = 0; j < 16; ++j) {
    codes[j] = nibbles[j] & 15;
    codes[j + 16] = nibbles[j] >> 4;
  }
}

/// Bit 4 of each of 32 codes.
inline void pack_high_bits(const uint8_t* codes, uint8_t* high_bits) noexcept {
  uint32_t bits = 0;
  for (int j = 0; j < 32; ++j) bits |= static_cast<uint32_t>(codes[j] >> 4 & 1) << j;
  std::memcpy(high_bits, &bits, sizeof bits);
}

inline void add_high_bits(const uint8_t* high_bits, uint8_t* codes) noexcept {
  uint32_t bits;
  std::memcpy(&bits, high_bits, sizeof bits);
  for (int j = 0; j < 32; ++j) codes[j] = static_cast<uint8_t>(codes[j] | (bits >> j & 1) << 4);
}

/// value = scale * (code - kHalf), code in [0, 2 * kHalf - 1]. The value of largest magnitude gets code 0
/// whatever its sign, so the scale is negative when that value is positive. Returns the scale before it is
/// rounded to f16; codes are chosen against it, ties upwards.
template <int kHalf>
float choose_symmetric_codes(const float* x, uint8_t* codes) noexcept {
  const float scale = extreme_value(x, kBlockLen) / static_cast<float>(-kHalf);
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kBlockLen; ++i) {
    const float shifted = clamp_code(x[i] * inverse + (kHalf + 0.5f), 0.0f, 2 * kHalf - 1);
    codes[i] = static_cast<uint8_t>(static_cast<int>(shifted));
  }
  return scale;
}

struct ScaleAndMin {
  float scale, min;
};

/// value = scale * code + min, code in [0, kMaxCode], from the smallest value to the largest. Returns scale
/// and min before they are rounded to f16; codes are chosen against them, ties upwards.
template <int kMaxCode>
ScaleAndMin choose_affine_codes(const float* x, uint8_t* codes) noexcept {
  const auto [min, max] = value_range(x, kBlockLen);
  const float scale = (max - min) / static_cast<float>(kMaxCode);
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kBlockLen; ++i) {
    const float shifted = clamp_code((x[i] - min) * inverse + 0.5f, 0.0f, kMaxCode);
    codes[i] = static_cast<uint8_t>(static_cast<int>(shifted));
  }
  return {scale, min};
}

/// The nearest codes on the grid scale * code + offset, code in [low, high]; the code nearest 0 for a scale
/// of 0.
inline void choose_nearest_codes(const float* x, int n, float scale, float offset, float low, float high,
                                 int8_t* codes) noexcept {
  for (int i = 0; i < n; ++i) {
    const float exact = scale != 0.0f ? (x[i] - offset) / scale : 0.0f;
    codes[i] = static_cast<int8_t>(static_cast<int>(clamp_code(round_even(exact), low, high)));
  }
}

/// quantize_row of the four: by Format::encode, or with importance by Format::search over as many blocks as
/// one call takes and Format::encode_fit.
template <class Format>
void quantize_simple_blocks(const WeightFormat&, const float* source, int64_t cols, const float* importance,
                            PackedRowOut out) {
  if (!importance) return encode_blocks<Format>(source, cols, out.codes);
  const float energy = mean_square(source, cols);
  const int64_t n_blocks = cols / kBlockLen;
  for (int64_t first = 0; first < n_blocks; first += kMaxSearchBlocks) {
    const int count = static_cast<int>(std::min<int64_t>(kMaxSearchBlocks, n_blocks - first));
    const float* x = source + first * kBlockLen;
    float weights[kMaxSearchBlocks * kBlockLen];
    weigh_by_importance(x, importance + first * kBlockLen, count * kBlockLen, energy, weights);
    typename Format::Fit fits[kMaxSearchBlocks];
    Format::search(x, weights, count, fits);
    for (int b = 0; b < count; ++b) {
      typename Format::Block block;
      Format::encode_fit(x + b * kBlockLen, fits[b], block);
      if (!is_within_bound<Format>(x + b * kBlockLen, block)) Format::encode(x + b * kBlockLen, block);
      store_block(block, out.codes, first + b);
    }
  }
}

/// Bound of a symmetric block. The value of largest magnitude is represented exactly but for rounding; the
/// opposite extreme may lie one step outside, and a search by importance may give up more, but never more
/// than half of the largest magnitude.
inline void bound_symmetric(float scale, int half, const float* x, float* out) noexcept {
  const float step = std::abs(scale), halves = static_cast<float>(half);
  const float one = scale * -halves, other = scale * (halves - 1);
  const float largest = largest_magnitude(x, kBlockLen);
  const Grid grid{std::min(one, other), std::max(one, other), (step + f16_rounding(scale)) / 2, largest / 2};
  for (int i = 0; i < kBlockLen; ++i) {
    out[i] = bound_on_grid(grid, x[i], scaled_rounding(scale, x[i], halves) + float_rounding(largest));
  }
}

/// Bound of an affine block. All values lie on the grid but for rounding; a search by importance may give
/// up at most half of the range that the values and zero span.
inline void bound_affine(float scale, float min, int max_code, const float* x, float* out) noexcept {
  const auto [lowest, highest] = value_range(x, kBlockLen);
  const float codes = static_cast<float>(max_code);
  const float end = scale * codes + min;
  const float span = std::max(highest, 0.0f) - std::min(lowest, 0.0f);
  const Grid grid{std::min(min, end), std::max(min, end), (std::abs(scale) + f16_rounding(scale)) / 2,
                  span / 2};
  const float largest = std::max(std::abs(lowest), std::abs(highest));
  for (int i = 0; i < kBlockLen; ++i) {
    const float rounding =
        scaled_rounding(scale, x[i] - min, codes) + f16_rounding(min) + float_rounding(largest);
    out[i] = bound_on_grid(grid, x[i], rounding);
  }
}

}  // namespace assay
