#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/half.hpp"
#include "formats/blocks.hpp"
#include "formats/rounding.hpp"

/// The codebooks of ggml's IQ1, IQ2 and IQ3: a code of 8 to 11 bits names a point of a lattice, whose
/// coordinates come from a short list of levels. An entry holds the coordinates' places in that list, the
/// first in the lowest bits: 8 of 2 bits, or 4 of 3 bits in IQ3. Source: iq2xxs_grid and its neighbours in
/// ggml src/ggml-common.h, as gguf-py lists them.
namespace assay {

extern const uint16_t kIQ2XXSGrid[256];
extern const uint16_t kIQ2XSGrid[512];
extern const uint16_t kIQ2SGrid[1024];
extern const uint16_t kIQ3XXSGrid[256];
extern const uint16_t kIQ3SGrid[512];
extern const uint16_t kIQ1Grid[2048];

/// Seven signs in the low bits; the eighth makes their number even. Bit j set: value j is negative.
inline uint8_t complete_signs(uint32_t seven) noexcept {
  return static_cast<uint8_t>((seven & 127) | static_cast<uint32_t>(std::popcount(seven & 127) & 1) << 7);
}

/// 8 values of IQ2: step * level, with signs.
inline void decode_iq2_point(uint16_t point, uint8_t signs, float step, float* out) noexcept {
  constexpr float kLevels[4] = {8, 25, 43, 0};
  for (int j = 0; j < 8; ++j) {
    const float value = step * kLevels[point >> 2 * j & 3];
    out[j] = signs >> j & 1 ? -value : value;
  }
}

/// 4 values of IQ3, whose signs lie in the low four bits.
inline void decode_iq3_point(uint16_t point, const float* levels, int signs, float step,
                             float* out) noexcept {
  for (int j = 0; j < 4; ++j) {
    const float value = step * levels[point >> 3 * j & 7];
    out[j] = signs >> j & 1 ? -value : value;
  }
}

/// 8 values of IQ1: step * (level + shift).
inline void decode_iq1_point(uint16_t point, float shift, float step, float* out) noexcept {
  for (int j = 0; j < 8; ++j)
    out[j] = step * (static_cast<float>(static_cast<int>(point >> 2 * j & 3) - 1) + shift);
}

/// What a format of points (Format) has beside its decode(): the block, the bounds, the check of its scale.
/// Where the scale is no member of the block, Format says where it is.
template <class Format, class PointBlock>
struct PointFormat {
  using Block = PointBlock;
  static constexpr int kLen = kSuperBlockLen;

  static float scale(const Block& block) noexcept { return float_from_f16(block.scale); }
  static bool is_finite(const Block& block) noexcept { return std::isfinite(Format::scale(block)); }

  /// For codebooks no single value tells whether its code is right: the nearest point for eight values at
  /// once may lie far from one of them. What is left is that neither side leaves the other's range.
  static void bound(const Block& block, const float* x, float* out) noexcept {
    float decoded[kLen];
    Format::decode(block, decoded);
    std::fill(out, out + kLen, largest_magnitude(x, kLen) + largest_magnitude(decoded, kLen));
  }
};

}  // namespace assay
