#pragma once
#include <algorithm>
#include <cmath>

#include "formats/block_rows.hpp"
#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/importance.hpp"
#include "formats/rounding.hpp"
#include "formats/search.hpp"

namespace assay {

/// out[j] = step * level of code j for a block of 32 nibbles laid out as in Q4_0.
inline void decode_iq4(const uint8_t* nibbles, float step, float* out) noexcept {
  for (int j = 0; j < 16; ++j) {
    out[j] = step * static_cast<float>(kIQ4Levels[nibbles[j] & 15]);
    out[j + 16] = step * static_cast<float>(kIQ4Levels[nibbles[j] >> 4]);
  }
}

/// The levels nearest to x on the stored grid, packed as in Q4_0. ggml takes those nearest on the step before
/// it was rounded to f16, so with the same scales no value errs more here than there.
inline void encode_iq4(const float* x, float step, uint8_t* nibbles) noexcept {
  int codes[kBlockLen];
  for (int i = 0; i < kBlockLen; ++i) {
    const float position = step != 0.0f ? x[i] / step : 0.0f;
    int code = 0;
    for (int k = 1; k < 16; ++k) {
      code += position >= static_cast<float>(kIQ4Levels[k] + kIQ4Levels[k - 1]) / 2;
    }
    codes[i] = code;
  }
  for (int j = 0; j < 16; ++j) nibbles[j] = static_cast<uint8_t>(codes[j] | codes[j + 16] << 4);
}

/// Scales of `n_blocks` <= kMaxSearchBlocks blocks. With importance the weights are as in the K-quants, and
/// every `neighbourhood` values share twice their mean square; a block that importance left out is fitted
/// without. Source: quantize_row_iq4_nl_impl, ggml src/ggml-quants.c.
inline void search_iq4(const float* x, const float* importance, int n_blocks, int neighbourhood,
                       ScaleFit* fits) {
  if (!importance) return search_table().fit_levels(x, nullptr, n_blocks, fits);
  float weights[kMaxSearchBlocks * kBlockLen];
  for (int at = 0; at < n_blocks * kBlockLen; at += neighbourhood) {
    weigh_by_importance(x + at, importance + at, neighbourhood, 2 * mean_square(x + at, neighbourhood),
                        weights + at);
  }
  search_table().fit_levels(x, weights, n_blocks, fits);
  for (int b = 0; b < n_blocks; ++b) {
    if (has_importance(importance + b * kBlockLen, kBlockLen)) continue;
    search_table().fit_levels(x + b * kBlockLen, nullptr, 1, fits + b);
  }
}

/// quantize_row of a format whose Format::encode_fits(x, fits, block) packs Format::kLen values from the fits
/// of their blocks of 32.
template <class Format>
void quantize_iq4_rows(const WeightFormat&, const float* source, int64_t cols, const float* importance,
                       PackedRowOut out) {
  constexpr int kFits = Format::kLen / kBlockLen, kAtOnce = kMaxSearchBlocks / kFits;
  const int64_t n = cols / Format::kLen;
  for (int64_t first = 0; first < n; first += kAtOnce) {
    const int count = static_cast<int>(std::min<int64_t>(kAtOnce, n - first));
    const int64_t at = first * Format::kLen;
    ScaleFit fits[kMaxSearchBlocks];
    search_iq4(source + at, importance ? importance + at : nullptr, count * kFits, Format::kLen, fits);
    for (int i = 0; i < count; ++i) {
      const float* x = source + at + i * Format::kLen;
      typename Format::Block block;
      Format::encode_fits(x, fits + i * kFits, block);
      if (importance && !is_within_bound<Format>(x, block)) {
        search_iq4(x, nullptr, kFits, Format::kLen, fits + i * kFits);
        Format::encode_fits(x, fits + i * kFits, block);
      }
      store_block(block, out.codes, first + i);
    }
  }
}

/// Bound of such a block when codes are the nearest levels: half of the gap between the two levels around
/// the value (the gaps run from 10 to 24). Outside of the levels the search may give up at most
/// three quarters of the largest magnitude, plus what rounding the step takes off the ends (`end_rounding`).
/// `rounding` is the error that comes from choosing codes against an unrounded step.
inline void bound_iq4(float step, float end_rounding, float rounding, const float* x, float* out) noexcept {
  const float largest = largest_magnitude(x, kBlockLen);
  for (int i = 0; i < kBlockLen; ++i) {
    const float position = step != 0.0f ? x[i] / step : 0.0f;
    int above = 1;
    while (above < 15 && static_cast<float>(kIQ4Levels[above]) < position) ++above;
    const float half_gap = static_cast<float>(kIQ4Levels[above] - kIQ4Levels[above - 1]) / 2;
    const float one = step * -127.0f, other = step * 113.0f;
    const Grid grid{std::min(one, other), std::max(one, other), std::abs(step) * half_gap,
                    0.75f * largest + end_rounding};
    out[i] = bound_on_grid(grid, x[i], rounding + float_rounding(largest));
  }
}

}  // namespace assay
