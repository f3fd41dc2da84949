#include "engine/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "models/rope_config.hpp"

namespace assay {
namespace {

double plain_frequency(double base, int64_t pair, int64_t dim) {
  return std::pow(base, -2.0 * static_cast<double>(pair) / static_cast<double>(dim));
}

/// NTK-aware base for a sequence longer than the model was trained for.
double dynamic_base(const RopeConfig& rope, int64_t length) {
  const auto context = static_cast<double>(rope.original_context);
  const double stretched = std::max(static_cast<double>(length), context);
  const auto dim = static_cast<double>(rope.dim);
  return rope.base * std::pow(rope.factor * stretched / context - (rope.factor - 1.0), dim / (dim - 2.0));
}

/// The pair (as a real number) that turns `rotations` times over the original context.
double yarn_correction_pair(const RopeConfig& rope, double rotations) {
  const double context = static_cast<double>(rope.original_context);
  return static_cast<double>(rope.dim) * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.base));
}

/// Blends stretched and plain frequencies: fast pairs keep theirs, slow pairs are divided by the factor.
void scale_yarn(const RopeConfig& rope, std::vector<float>& frequencies) {
  double low = yarn_correction_pair(rope, rope.beta_fast);
  double high = yarn_correction_pair(rope, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.dim - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double plain = plain_frequency(rope.base, static_cast<int64_t>(i), rope.dim);
    frequencies[i] = static_cast<float>(plain / rope.factor * ramp + plain * (1.0 - ramp));
  }
}

void scale_llama3(const RopeConfig& rope, std::vector<float>& frequencies) {
  const auto context = static_cast<double>(rope.original_context);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double plain = plain_frequency(rope.base, static_cast<int64_t>(i), rope.dim);
    const double wavelength = 2.0 * std::numbers::pi / plain;
    double scaled = plain;
    if (wavelength > context / rope.low_freq_factor) {
      scaled = plain / rope.factor;
    } else if (wavelength >= context / rope.high_freq_factor) {
      const double smooth =
          (context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      scaled = (1.0 - smooth) * plain / rope.factor + smooth * plain;
    }
    frequencies[i] = static_cast<float>(scaled);
  }
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t length) {
  using enum RopeConfig::Scaling;
  RopeFrequencies out;
  out.values.resize(static_cast<size_t>(rope.dim / 2));
  const double base = rope.scaling == kDynamicNtk ? dynamic_base(rope, length) : rope.base;
  const double divisor = rope.scaling == kLinear ? rope.factor : 1.0;
  for (size_t i = 0; i < out.values.size(); ++i)
    out.values[i] = static_cast<float>(plain_frequency(base, static_cast<int64_t>(i), rope.dim) / divisor);
  if (rope.scaling == kYarn) {
    scale_yarn(rope, out.values);
    out.amplitude = static_cast<float>(rope_attention_factor(rope));
  } else if (rope.scaling == kLlama3) {
    scale_llama3(rope, out.values);
  } else if (rope.scaling == kFactors) {
    ASSAY_CHECK(rope.factors.size() == out.values.size());
    for (size_t i = 0; i < out.values.size(); ++i) out.values[i] /= rope.factors[i];
  }
  return out;
}

RopeAngles rope_angles(const RopeFrequencies& frequencies, int64_t position) {
  const size_t pairs = frequencies.values.size();
  RopeAngles angles{std::vector<float>(pairs), std::vector<float>(pairs)};
  for (size_t i = 0; i < pairs; ++i) {
    // The product is rounded to f32, as the models were trained with.
    const double angle = static_cast<float>(position) * frequencies.values[i];
    angles.cosines[i] = static_cast<float>(std::cos(angle)) * frequencies.amplitude;
    angles.sines[i] = static_cast<float>(std::sin(angle)) * frequencies.amplitude;
  }
  return angles;
}

void rotate_head(std::span<float> head, const RopeAngles& angles, bool interleaved) noexcept {
  const size_t pairs = angles.cosines.size();
  const size_t step = interleaved ? 2 : 1;
  const size_t distance = interleaved ? 1 : pairs;
  for (size_t i = 0; i < pairs; ++i) {
    float& a = head[i * step];
    float& b = head[i * step + distance];
    const float rotated_a = a * angles.cosines[i] - b * angles.sines[i];
    const float rotated_b = b * angles.cosines[i] + a * angles.sines[i];
    a = rotated_a;
    b = rotated_b;
  }
}

}  // namespace assay
