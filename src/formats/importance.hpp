#pragma once
#include <cmath>
#include <cstdint>

namespace assay {

/// Mean of x^2, added in order (which is the order ggml adds in).
inline float mean_square(const float* x, int64_t n) noexcept {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum / static_cast<float>(n);
}

/// Weights of the searches by importance: importance * sqrt(energy + x^2), where `energy` is a mean square
/// of the neighbourhood. The square root is an empirical correction of ggml's author: larger values deserve
/// more care than the activations alone say. Source: quantize_row_q4_K_impl, ggml src/ggml-quants.c.
inline void weigh_by_importance(const float* x, const float* importance, int n, float energy,
                                float* weights) noexcept {
  for (int i = 0; i < n; ++i) weights[i] = importance[i] * std::sqrt(energy + x[i] * x[i]);
}

/// False for a stretch that no activation reached, where a search would find a scale of 0.
inline bool has_importance(const float* importance, int n) noexcept {
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) sum += importance[i];
  return sum > 0.0f;
}

}  // namespace assay
