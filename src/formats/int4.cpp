// int4: 32 or 64 values share an f16 scale of either sign.   value = scale * code,  code in [-8, 7]
//
//   codes   u8 [cols / 2]: byte i holds value 2i below and value 2i + 1 above, each as code + 8
//   scales  f16 [cols / group]
//
// The scale is searched, for the range has one code more below zero than above and the best step is seldom
// the one at which every value fits. With m the value of largest magnitude, the trials are
//   m / -8           m on the end of the longer side, so that all values fit but for the opposite extreme
//   m / ±(7 + k/8)   k = 0 … 16: m on or beyond either end
// each rounded to f16 before its codes are chosen, so that what is compared is what will be read. The trial
// of the smallest squared error wins, the first of equals; then the least-squares scale of its codes is tried
// too, unless it is below m / 9. Importance weighs the squares. Sums run in a fixed order of 8 lanes: the
// bytes are the same on every machine.
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "formats/bounds.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

constexpr float kLowest = -8.0f, kHighest = 7.0f;
constexpr int kTrials = 16;      // beyond the first, per sign
constexpr float kWidest = 9.0f;  // m / kWidest is the smallest scale
constexpr int kLanes = 8;

float round_to_f16(float value) {
  return float_from_f16(f16_from_float(value));
}

float load_scale(const std::byte* scales, int64_t group) {
  uint16_t bits;
  std::memcpy(&bits, scales + group * 2, sizeof bits);
  return float_from_f16(bits);
}

/// A group's values, and their weights or null.
struct Group {
  const float* x;
  const float* weights;
  int n;
};

/// The sums that judge a scale and refit it, over the codes nearest under it.
struct ScaleSums {
  float error = 0.0f;     ///< Σ w (x - scale q)²
  float products = 0.0f;  ///< Σ w x q
  float squares = 0.0f;   ///< Σ w q²
};

float add_lanes(const float* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

template <bool kWeighted>
ScaleSums sum_codes(const Group& group, float scale) {
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  float error[kLanes] = {}, products[kLanes] = {}, squares[kLanes] = {};
  for (int i = 0; i < group.n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float x = group.x[i + lane];
      const float q = clamp_code(round_even(x * inverse), kLowest, kHighest);
      const float weight = kWeighted ? group.weights[i + lane] : 1.0f;
      const float rest = x - scale * q;
      error[lane] += weight * (rest * rest);
      products[lane] += weight * (x * q);
      squares[lane] += weight * (q * q);
    }
  }
  return {add_lanes(error), add_lanes(products), add_lanes(squares)};
}

template <bool kWeighted>
float search_scale(const Group& group, float extreme) {
  float best = round_to_f16(extreme / kLowest);
  ScaleSums sums = sum_codes<kWeighted>(group, best);
  const auto attempt = [&](float scale) {
    const ScaleSums trial = sum_codes<kWeighted>(group, scale);
    if (trial.error < sums.error) best = scale, sums = trial;
  };
  for (int k = 0; k <= kTrials; ++k) {
    const float divisor = kHighest + static_cast<float>(k) / 8.0f;
    attempt(round_to_f16(extreme / divisor));
    attempt(round_to_f16(extreme / -divisor));
  }
  if (sums.squares > 0.0f) {
    const float refit = round_to_f16(sums.products / sums.squares);
    if (std::abs(refit) * kWidest >= std::abs(extreme)) attempt(refit);
  }
  return best;
}

float choose_scale(const Group& group) {
  const float extreme = extreme_value(group.x, group.n);
  if (extreme == 0.0f) return 0.0f;
  return group.weights != nullptr ? search_scale<true>(group, extreme) : search_scale<false>(group, extreme);
}

void pack_group(const Group& group, float scale, std::byte* out) {
  const auto nibble = [&](int i) {
    const float exact = scale != 0.0f ? group.x[i] / scale : 0.0f;
    return static_cast<unsigned>(static_cast<int>(clamp_code(round_even(exact), kLowest, kHighest)) + 8);
  };
  for (int i = 0; i < group.n; i += 2) out[i / 2] = static_cast<std::byte>(nibble(i) | nibble(i + 1) << 4);
}

void quantize(const WeightFormat& format, const float* source, int64_t cols, const float* importance,
              PackedRowOut out) {
  const int n = format.group_size;
  for (int64_t g = 0; g < cols / n; ++g) {
    const Group group{source + g * n, importance != nullptr ? importance + g * n : nullptr, n};
    const float scale = choose_scale(group);
    pack_group(group, scale, out.codes + g * n / 2);
    const uint16_t bits = f16_from_float(scale);
    std::memcpy(out.scales + g * 2, &bits, sizeof bits);
  }
}

void dequantize(const WeightFormat& format, PackedRow row, int64_t cols, float* out) {
  const int n = format.group_size;
  for (int64_t g = 0; g < cols / n; ++g) {
    const float scale = load_scale(row.scales, g);
    const std::byte* codes = row.codes + g * n / 2;
    for (int i = 0; i < n; i += 2) {
      const int byte = std::to_integer<int>(codes[i / 2]);
      out[g * n + i] = static_cast<float>((byte & 15) - 8) * scale;
      out[g * n + i + 1] = static_cast<float>((byte >> 4) - 8) * scale;
    }
  }
}

// Half a step of the stored scale, for codes are chosen against it. Outside of the grid: no scale is below
// m / 9 before its rounding to f16 (which counts up to 8 times), so its shorter side reaches 7 m / 9 and no
// value lies further out than 2 m / 9.
void bound_row(const WeightFormat& format, const float* source, PackedRow row, int64_t cols, float* bound) {
  const int n = format.group_size;
  for (int64_t g = 0; g < cols / n; ++g) {
    const float* x = source + g * n;
    const float scale = load_scale(row.scales, g), largest = largest_magnitude(x, n);
    const float one = kLowest * scale, other = kHighest * scale;
    const Grid grid{std::min(one, other), std::max(one, other), std::abs(scale) / 2,
                    largest * (1.0f - kHighest / kWidest) - kLowest * f16_rounding(scale)};
    for (int i = 0; i < n; ++i) bound[g * n + i] = bound_on_grid(grid, x[i], float_rounding(largest));
  }
}

bool finite_row(const WeightFormat& format, PackedRow row, int64_t cols) {
  for (int64_t g = 0; g < cols / format.group_size; ++g)
    if (!std::isfinite(load_scale(row.scales, g))) return false;
  return true;
}

}  // namespace

FormatOps int4_ops() noexcept {
  return {WeightKind::kInt4, quantize, dequantize, bound_row, finite_row};
}

}  // namespace assay
