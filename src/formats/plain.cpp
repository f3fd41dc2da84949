// F32, F16, BF16: one number per value, little-endian.   value = number
//
// F16 and BF16 round to nearest, ties to even. A float beyond 65504 + 16 becomes an infinite F16, which
// is_finite reports.
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "formats/bounds.hpp"
#include "formats/list.hpp"

namespace assay {
namespace {

struct F32 {
  using Bits = float;
  static Bits encode(float value) { return value; }
  static float decode(Bits bits) { return bits; }
  static float bound(float) { return 0.0f; }
};

struct F16 {
  using Bits = uint16_t;
  static Bits encode(float value) { return f16_from_float(value); }
  static float decode(Bits bits) { return float_from_f16(bits); }
  static float bound(float value) { return f16_rounding(value); }
};

// 8 significant bits, so half a unit is at most 2^-8 of the value; subnormals are multiples of 2^-133.
struct BF16 {
  using Bits = uint16_t;
  static Bits encode(float value) { return bf16_from_float(value); }
  static float decode(Bits bits) { return float_from_bf16(bits); }
  static float bound(float value) { return std::max(std::abs(value) * 0x1p-8f, 0x1p-134f); }
};

template <class Number>
typename Number::Bits load(const std::byte* row, int64_t i) {
  typename Number::Bits bits;
  std::memcpy(&bits, row + i * static_cast<int64_t>(sizeof bits), sizeof bits);
  return bits;
}

template <class Number>
void quantize(const WeightFormat&, const float* source, int64_t cols, const float*, PackedRowOut out) {
  for (int64_t i = 0; i < cols; ++i) {
    const typename Number::Bits bits = Number::encode(source[i]);
    std::memcpy(out.codes + i * static_cast<int64_t>(sizeof bits), &bits, sizeof bits);
  }
}

template <class Number>
void dequantize(const WeightFormat&, PackedRow row, int64_t cols, float* out) {
  for (int64_t i = 0; i < cols; ++i) out[i] = Number::decode(load<Number>(row.codes, i));
}

template <class Number>
void bound_row(const WeightFormat&, const float* source, PackedRow, int64_t cols, float* bound) {
  for (int64_t i = 0; i < cols; ++i) bound[i] = Number::bound(source[i]);
}

template <class Number>
bool finite_row(const WeightFormat&, PackedRow row, int64_t cols) {
  for (int64_t i = 0; i < cols; ++i) {
    if (!std::isfinite(Number::decode(load<Number>(row.codes, i)))) return false;
  }
  return true;
}

template <class Number>
FormatOps number_ops(WeightKind kind) noexcept {
  return {kind, quantize<Number>, dequantize<Number>, bound_row<Number>, finite_row<Number>};
}

}  // namespace

FormatOps f32_ops() noexcept {
  return number_ops<F32>(WeightKind::kF32);
}
FormatOps f16_ops() noexcept {
  return number_ops<F16>(WeightKind::kF16);
}
FormatOps bf16_ops() noexcept {
  return number_ops<BF16>(WeightKind::kBF16);
}

}  // namespace assay
