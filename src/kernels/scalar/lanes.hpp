#pragma once

namespace assay::scalar {

inline constexpr int kLanes = 16;

/// Lane l adds lane l + 8, then l + 4, l + 2, l + 1.
inline float reduce_lanes(float* lanes) noexcept {
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  return lanes[0];
}

}  // namespace assay::scalar
