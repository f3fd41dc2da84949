// int8: a row of any length shares one f32 scale.   value = scale * code,  code in [-127, 127],
//                                                   scale = max|x| / 127
//
//   codes   i8 [cols], two's complement, -128 never occurs
//   scales  f32, one a row
//
// Codes are chosen against the scale as it is stored, by division, ties to even. A row of zeros, or one whose
// scale would underflow to 0, has scale 1 and codes 0. Leaving -128 out keeps the codes symmetric, so that
// |code| fits seven bits and products of two codes sum without saturating on every processor. Importance is
// ignored, there is nothing to search.
#include <cmath>
#include <cstring>

#include "formats/bounds.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

constexpr float kMaxCode = 127.0f;

float load_scale(const std::byte* scales) {
  float scale;
  std::memcpy(&scale, scales, sizeof scale);
  return scale;
}

void quantize(const WeightFormat&, const float* source, int64_t cols, const float*, PackedRowOut out) {
  const float exact = largest_magnitude(source, static_cast<int>(cols)) / kMaxCode;
  const float scale = exact == 0.0f ? 1.0f : exact;
  for (int64_t i = 0; i < cols; ++i) {
    const float code = clamp_code(round_even(source[i] / scale), -kMaxCode, kMaxCode);
    const auto byte = static_cast<int8_t>(static_cast<int>(code));
    std::memcpy(out.codes + i, &byte, sizeof byte);
  }
  std::memcpy(out.scales, &scale, sizeof scale);
}

void dequantize(const WeightFormat&, PackedRow row, int64_t cols, float* out) {
  const float scale = load_scale(row.scales);
  for (int64_t i = 0; i < cols; ++i)
    out[i] = static_cast<float>(static_cast<int8_t>(std::to_integer<uint8_t>(row.codes[i]))) * scale;
}

// Half a step of the stored scale, for it is the one that codes were chosen against. max|x| has code 127, and
// nothing lies outside of the grid but by the rounding of max|x| / 127: half a unit of f32 is part of the
// arithmetic allowed everywhere, half of f32's smallest subnormal may count 127 times.
void bound_row(const WeightFormat&, const float* source, PackedRow row, int64_t cols, float* bound) {
  const float scale = std::abs(load_scale(row.scales));
  const float rounding = float_rounding(largest_magnitude(source, static_cast<int>(cols)));
  const Grid grid{-kMaxCode * scale, kMaxCode * scale, scale / 2, kMaxCode * 0x1p-149f};
  for (int64_t i = 0; i < cols; ++i) bound[i] = bound_on_grid(grid, source[i], rounding);
}

bool finite_row(const WeightFormat&, PackedRow row, int64_t) {
  return std::isfinite(load_scale(row.scales));
}

}  // namespace

FormatOps int8_ops() noexcept {
  return {WeightKind::kInt8, quantize, dequantize, bound_row, finite_row};
}

}  // namespace assay
