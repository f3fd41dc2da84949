#include "engine/encoder_positions.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace assay {

int64_t relative_bucket(int64_t key_minus_query, int64_t buckets, int64_t max_distance) noexcept {
  const int64_t half = buckets / 2;
  const int64_t first = key_minus_query > 0 ? half : 0;
  const int64_t distance = std::abs(key_minus_query);
  const int64_t exact = half / 2;
  if (distance < exact) return first + distance;
  // In f32, as the models were trained: rounding decides at the borders of buckets.
  const float share =
      std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const auto beyond = static_cast<int64_t>(share * static_cast<float>(half - exact));
  return first + std::min(exact + beyond, half - 1);
}

EncoderPositions::EncoderPositions(const ModelConfig& config, std::span<const float> relative)
    : config_(config), table_(relative.begin(), relative.end()) {
  const EncoderTraits& traits = *config.encoder;
  ASSAY_CHECK(static_cast<int64_t>(table_.size()) == traits.relative_buckets * config.n_heads);
  for (const EncoderAttention& layer : traits.layers)
    if (layer.rope_base > 0.0) angles_[layer.rope_base];
}

void EncoderPositions::reserve(int64_t length) {
  if (length <= length_) return;
  for (auto& [base, angles] : angles_) {
    RopeConfig rope;
    rope.base = base;
    rope.dim = config_.head_dim;
    const RopeFrequencies frequencies = rope_frequencies(rope, length);
    for (auto position = static_cast<int64_t>(angles.size()); position < length; ++position)
      angles.push_back(rope_angles(frequencies, position));
  }
  length_ = length;
  if (table_.empty()) return;
  const EncoderTraits& traits = *config_.encoder;
  const int64_t span = 2 * length - 1;
  expanded_.resize(static_cast<size_t>(config_.n_heads * span));
  for (int64_t i = 0; i < span; ++i) {
    const int64_t bucket =
        relative_bucket(i - (length - 1), traits.relative_buckets, traits.relative_max_distance);
    for (int64_t head = 0; head < config_.n_heads; ++head)
      expanded_[static_cast<size_t>(head * span + i)] =
          table_[static_cast<size_t>(bucket * config_.n_heads + head)];
  }
}

const std::vector<RopeAngles>* EncoderPositions::angles(int64_t layer) const {
  const double base = config_.encoder->layers[static_cast<size_t>(layer)].rope_base;
  return base > 0.0 ? &angles_.at(base) : nullptr;
}

const float* EncoderPositions::relative(int64_t head, int64_t length) const noexcept {
  if (expanded_.empty()) return nullptr;
  // A shorter text reads the middle of the longest text's biases.
  return expanded_.data() + head * (2 * length_ - 1) + (length_ - length);
}

}  // namespace assay
