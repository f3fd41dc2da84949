#include <algorithm>
#include <bit>
#include <cmath>

#include "base/half.hpp"
#include "kernels/isa.hpp"
#include "kernels/scalar/exp.hpp"
#include "kernels/scalar/lanes.hpp"
#include "kernels/scalar/matmul.hpp"

namespace assay {
namespace scalar {
namespace {

/// The largest magnitude of a group, as bits; a NaN ranks above infinity.
uint32_t largest_magnitude(const float* x) noexcept {
  uint32_t largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  return largest;
}

/// Nearest integer, ties to even, of a value in [-127.5, 127.5].
int32_t round_to_int(float value) noexcept {
  return static_cast<int32_t>(std::bit_cast<uint32_t>(value + kRoundMagic) - kRoundMagicBits);
}

void quantize_activations(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums) {
  const int64_t groups = cols / 32;
  for (int64_t group = 0; group < groups; ++group) {
    const uint32_t magnitude = largest_magnitude(x + 32 * group);
    const bool finite = magnitude < kInfinityBits;
    const bool zero = magnitude < kTinyActivationBits || !finite;
    const float largest = std::bit_cast<float>(magnitude);
    const float inverse = zero ? 0.0f : 127.0f / largest;
    int32_t sum = 0;
    for (int i = 0; i < 32; ++i) {
      const int32_t code = zero ? 0 : round_to_int(x[32 * group + i] * inverse);
      codes[32 * group + i] = static_cast<int8_t>(code);
      sum += code;
    }
    scales[group] = !finite ? std::bit_cast<float>(0x7fc00000u) : zero ? 0.0f : largest / 127.0f;
    sums[group] = sum;
  }
}

float dot(const float* a, const float* b, int64_t n) {
  float acc[kLanes] = {};
  for (int64_t e = 0; e < n; e += kLanes)
    for (int64_t l = 0; l < kLanes; ++l)
      acc[l] = std::fma(e + l < n ? a[e + l] : 0.0f, e + l < n ? b[e + l] : 0.0f, acc[l]);
  return reduce_lanes(acc);
}

float dot_f16(const float* a, const uint16_t* b, int64_t n) {
  float acc[kLanes] = {};
  for (int64_t e = 0; e < n; e += kLanes)
    for (int64_t l = 0; l < kLanes; ++l)
      acc[l] = std::fma(e + l < n ? a[e + l] : 0.0f, e + l < n ? float_from_f16(b[e + l]) : 0.0f, acc[l]);
  return reduce_lanes(acc);
}

void add_scaled(float scale, const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = std::fma(scale, x[i], y[i]);
}

void add_scaled_f16(float scale, const uint16_t* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = std::fma(scale, float_from_f16(x[i]), y[i]);
}

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const float inverse = 1.0f / std::sqrt(mean + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * inverse * weight[i];
}

void softmax(float* x, int64_t n) {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  float acc[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exp_approximate(x[i] - largest);
    acc[i % kLanes] += x[i];
  }
  const float inverse = 1.0f / reduce_lanes(acc);
  for (int64_t i = 0; i < n; ++i) x[i] *= inverse;
}

void silu_mul(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + exp_approximate(-gate[i])) * up[i];
}

void f16_from_f32(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = f16_from_float(x[i]);
}

}  // namespace
}  // namespace scalar

const IsaTable kScalarIsa = {
    .name = "scalar",
    .decode = scalar::decode,
    .accumulate = scalar::accumulate,
    .matmul_plain = scalar::matmul_plain,
    .multiply_float_panel = nullptr,
    .matmul_fast = scalar::matmul_fast,
    .panel_bytes = nullptr,
    .matmul_panels = nullptr,
    .score = nullptr,
    .score_f16 = nullptr,
    .mix = nullptr,
    .mix_f16 = nullptr,
    .quantize_activations = scalar::quantize_activations,
    .dot = scalar::dot,
    .dot_f16 = scalar::dot_f16,
    .add_scaled = scalar::add_scaled,
    .add_scaled_f16 = scalar::add_scaled_f16,
    .rms_norm = scalar::rms_norm,
    .softmax = scalar::softmax,
    .silu_mul = scalar::silu_mul,
    .f16_from_f32 = scalar::f16_from_f32,
};

}  // namespace assay
