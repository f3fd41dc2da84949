#pragma once
#include <algorithm>
#include <cmath>

#include "formats/blocks.hpp"
#include "formats/bounds.hpp"
#include "formats/rounding.hpp"

namespace assay {

/// out[j] = step * level of code j for a block of 32 nibbles laid out as in Q4_0.
inline void decode_iq4(const uint8_t* nibbles, float step, float* out) noexcept {
  for (int j = 0; j < 16; ++j) {
    out[j] = step * static_cast<float>(kIQ4Levels[nibbles[j] & 15]);
    out[j + 16] = step * static_cast<float>(kIQ4Levels[nibbles[j] >> 4]);
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
