#include "formats/block_scales.hpp"

#include <algorithm>
#include <cmath>

#include "formats/rounding.hpp"

namespace assay {
namespace {

/// make_qp_quants. The order of the float operations is ggml's, since it decides ties.
struct ScaleSolver {
  const float *x, *weights;
  int n;
  float max_code;
  uint8_t* codes;
  float sum_xl = 0, sum_l2 = 0;  // sums of w * x * code and w * code^2

  int nearest(float value) const { return static_cast<int>(clamp_code(round_even(value), 0.0f, max_code)); }

  float error_of(float inverse, float scale) const {
    float error = 0;
    for (int b = 0; b < n; ++b) {
      const float rest = x[b] - scale * static_cast<float>(nearest(inverse * x[b]));
      error += weights[b] * rest * rest;
    }
    return error;
  }

  float best_inverse(float max) const {
    float best = max_code / max;
    float least = error_of(best, 1.0f / best);
    for (int trial = -4; trial <= 4; ++trial) {
      if (trial == 0) continue;
      const float inverse = (0.1f * static_cast<float>(trial) + max_code) / max;
      const float error = error_of(inverse, 1.0f / inverse);
      if (error < least) least = error, best = inverse;
    }
    return best;
  }

  bool improve_code(int b) {
    const float w = weights[b], old = codes[b];
    float xl = sum_xl - w * x[b] * old;
    float l2 = sum_l2 - w * old * old;
    if (!(xl > 0 && l2 > 0)) return false;
    const int moved = nearest(x[b] * l2 / xl);
    if (moved == codes[b]) return false;
    const float code = static_cast<float>(moved);
    xl += w * x[b] * code;
    l2 += w * code * code;
    if (!(xl * xl * sum_l2 > sum_xl * sum_xl * l2)) return false;
    codes[b] = static_cast<uint8_t>(moved);
    sum_xl = xl, sum_l2 = l2;
    return true;
  }

  float solve() {
    const float max = std::max(0.0f, *std::max_element(x, x + n));
    std::fill_n(codes, n, uint8_t{0});
    if (!(max >= 1e-15f)) return 0.0f;  // GROUP_MAX_EPS
    const float inverse = best_inverse(max);
    for (int b = 0; b < n; ++b) {
      codes[b] = static_cast<uint8_t>(nearest(inverse * x[b]));
      const float code = codes[b];
      sum_xl += weights[b] * x[b] * code;
      sum_l2 += weights[b] * code * code;
    }
    for (int pass = 0; pass < 5; ++pass) {
      bool changed = false;
      for (int b = 0; b < n; ++b) changed |= improve_code(b);
      if (!changed) break;
    }
    return sum_l2 > 0 ? sum_xl / sum_l2 : 0.0f;
  }
};

}  // namespace

float solve_block_scales(const float* x, const float* weights, int n, float max_code,
                         uint8_t* codes) noexcept {
  return ScaleSolver{x, weights, n, max_code, codes}.solve();
}

float round_block_scales(const float* x, int n, float max_code, uint8_t* codes) noexcept {
  const float max = std::max(0.0f, *std::max_element(x, x + n));
  const float inverse = max > 0 ? max_code / max : 0.0f;
  for (int b = 0; b < n; ++b)
    codes[b] = static_cast<uint8_t>(static_cast<int>(clamp_code(round_even(inverse * x[b]), 0.0f, max_code)));
  return max / max_code;
}

float extreme_scale(const float* scales, int n) noexcept {
  float extreme = 0;
  for (int b = 0; b < n; ++b) {
    if (std::isnan(scales[b])) return scales[b];
    if (std::abs(scales[b]) > std::abs(extreme)) extreme = scales[b];
  }
  return extreme;
}

void choose_line_codes(const float* x, int n, float step, float offset, const LineFit& fit, int max_code,
                       uint8_t* codes) noexcept {
  const float high = static_cast<float>(max_code);
  if (step != 0.0f) {
    for (int i = 0; i < n; ++i) {
      const float code = clamp_code(round_even((x[i] + offset) / step), 0.0f, high);
      codes[i] = static_cast<uint8_t>(static_cast<int>(code));
    }
    return;
  }
  for (int i = 0; i < n; ++i) {
    const float code = clamp_code(round_even(fit.code_scale * (x[i] - fit.code_base)), 0.0f, high);
    codes[i] = static_cast<uint8_t>(static_cast<int>(code));
  }
}

}  // namespace assay
