#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "models/model_config.hpp"

namespace assay {

/// dim/2 frequencies by which a position turns each pair, and the factor on cos and sin (1 except for yarn).
struct RopeFrequencies {
  std::vector<float> values;
  float amplitude = 1.0f;
};

/// The frequencies for a sequence of `length` positions; only dynamic NTK scaling depends on the length.
/// Source: transformers, modeling_rope_utils.py (_compute_*_parameters).
RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t length);

/// cos and sin of one position for every pair, [dim/2] each.
struct RopeAngles {
  std::vector<float> cosines, sines;
};
RopeAngles rope_angles(const RopeFrequencies& frequencies, int64_t position);

/// Rotates one head in place. Pairs are (i, i + dim/2), or (2i, 2i + 1) when interleaved.
void rotate_head(std::span<float> head, const RopeAngles& angles, bool interleaved) noexcept;

}  // namespace assay
