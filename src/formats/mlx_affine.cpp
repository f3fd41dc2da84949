// MLX affine: `group_size` values share a scale and a bias, kept in tensors of their own as F16, BF16 or F32.
//   value = scale * code + bias,  code in [0, 2^bits - 1]; scale and bias come with either sign
//
// Code i of a row lies in bits [i * bits, (i + 1) * bits) of the row's bytes, least significant first, so 8
// codes always fill `bits` whole bytes:
//
//   4 bits   byte 0: code 1 | code 0            (high nibble | low nibble)
//   3 bits   byte 0: code 2 (2 low bits) | code 1 | code 0,   byte 1: code 5 (1) | code 4 | code 3 | code 2 …
//
// The rule is that of MLX on the CPU, in f32: the extreme of larger magnitude becomes the bias, and the scale
// is stretched or shrunk until zero falls on a code too. Codes are chosen against the scale and bias before
// these are rounded to their type, ties to even. Importance is ignored, there is nothing to search.
// Source: quantize() in mlx/backend/cpu/quantized.cpp.
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "formats/bounds.hpp"
#include "formats/list.hpp"
#include "formats/rounding.hpp"

namespace assay {
namespace {

constexpr int kMaxGroup = 128;
constexpr int kRun = 8;  // codes that fill whole bytes at any width

float load_number(DType type, const std::byte* numbers, int64_t index) {
  if (type == DType::kF32) {
    float value;
    std::memcpy(&value, numbers + index * 4, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, numbers + index * 2, sizeof bits);
  return type == DType::kF16 ? float_from_f16(bits) : float_from_bf16(bits);
}

void store_number(DType type, float value, std::byte* numbers, int64_t index) {
  if (type == DType::kF32) {
    std::memcpy(numbers + index * 4, &value, sizeof value);
    return;
  }
  const uint16_t bits = type == DType::kF16 ? f16_from_float(value) : bf16_from_float(value);
  std::memcpy(numbers + index * 2, &bits, sizeof bits);
}

struct ScaleAndBias {
  float scale, bias;
};

/// Scale and bias before they are rounded to their type.
ScaleAndBias choose_scale(const float* x, int n, float max_code) {
  const auto [min, max] = value_range(x, n);
  const bool below = std::abs(min) > std::abs(max);
  const float width = (max - min) / max_code;
  const float floored = width > 1e-7f ? width : 1e-7f;  // a group of equal values would divide by 0
  const float scale = below ? floored : -floored;
  const float edge = below ? min : max;
  const float edge_code = std::rint(edge / scale);
  if (edge_code == 0.0f) return {scale, 0.0f};
  return {edge / edge_code, edge};
}

template <int kBits>
void pack_codes(const uint8_t* codes, int n, std::byte* out) {
  for (int i = 0; i < n; i += kRun, out += kBits) {
    uint64_t bits = 0;
    for (int k = 0; k < kRun; ++k) bits |= static_cast<uint64_t>(codes[i + k]) << (k * kBits);
    std::memcpy(out, &bits, kBits);
  }
}

template <int kBits>
void unpack_codes(const std::byte* packed, int n, uint8_t* codes) {
  for (int i = 0; i < n; i += kRun, packed += kBits) {
    uint64_t bits = 0;
    std::memcpy(&bits, packed, kBits);
    for (int k = 0; k < kRun; ++k) {
      codes[i + k] = static_cast<uint8_t>(bits >> (k * kBits) & ((1u << kBits) - 1));
    }
  }
}

template <int kBits>
void quantize_bits(const WeightFormat& format, const float* source, int64_t cols, PackedRowOut out) {
  constexpr float kMaxCode = (1 << kBits) - 1;
  const int n = format.group_size;
  for (int64_t group = 0; group < cols / n; ++group) {
    const float* x = source + group * n;
    const auto [scale, bias] = choose_scale(x, n, kMaxCode);
    uint8_t codes[kMaxGroup];
    for (int i = 0; i < n; ++i) {
      const float code = clamp_code(round_even((x[i] - bias) / scale), 0.0f, kMaxCode);
      codes[i] = static_cast<uint8_t>(static_cast<int>(code));
    }
    pack_codes<kBits>(codes, n, out.codes + group * n / kRun * kBits);
    store_number(format.scale_type, scale, out.scales, group);
    store_number(format.scale_type, bias, out.biases, group);
  }
}

template <int kBits>
void dequantize_bits(const WeightFormat& format, PackedRow row, int64_t cols, float* out) {
  const int n = format.group_size;
  for (int64_t group = 0; group < cols / n; ++group) {
    const float scale = load_number(format.scale_type, row.scales, group);
    const float bias = load_number(format.scale_type, row.biases, group);
    uint8_t codes[kMaxGroup];
    unpack_codes<kBits>(row.codes + group * n / kRun * kBits, n, codes);
    float* to = out + group * n;
    for (int i = 0; i < n; ++i) to[i] = static_cast<float>(codes[i]) * scale + bias;
  }
}

/// Calls `run` with the width as a compile-time constant.
template <class Run>
void with_bits(int bits, Run run) {
  switch (bits) {
    case 2:
      return run(std::integral_constant<int, 2>());
    case 3:
      return run(std::integral_constant<int, 3>());
    case 4:
      return run(std::integral_constant<int, 4>());
    case 5:
      return run(std::integral_constant<int, 5>());
    case 6:
      return run(std::integral_constant<int, 6>());
    default:
      return run(std::integral_constant<int, 8>());
  }
}

void quantize(const WeightFormat& format, const float* source, int64_t cols, const float*, PackedRowOut out) {
  with_bits(format.bits, [&](auto bits) { quantize_bits<bits()>(format, source, cols, out); });
}

void dequantize(const WeightFormat& format, PackedRow row, int64_t cols, float* out) {
  with_bits(format.bits, [&](auto bits) { dequantize_bits<bits()>(format, row, cols, out); });
}

/// Largest error of rounding to `type` for the numbers that became `stored`.
float type_rounding(DType type, float stored) {
  if (type == DType::kF16) return f16_rounding(stored);
  return type == DType::kBF16 ? std::max(std::abs(stored) * 0x1p-8f, 0x1p-134f) : 0.0f;
}

float round_to_type(DType type, float value) {
  if (type == DType::kF16) return float_from_f16(f16_from_float(value));
  return type == DType::kBF16 ? float_from_bf16(bf16_from_float(value)) : value;
}

/// How far the stored scale and bias lie from those that the codes were chosen against: exactly, where the
/// rule applied to the source gives the stored numbers; else by what their type can lose (files whose scales
/// come from a search or from training).
ScaleAndBias storage_rounding(DType type, const ScaleAndBias& stored, const ScaleAndBias& chosen) {
  if (round_to_type(type, chosen.scale) == stored.scale && round_to_type(type, chosen.bias) == stored.bias) {
    return {std::abs(chosen.scale - stored.scale), std::abs(chosen.bias - stored.bias)};
  }
  return {type_rounding(type, stored.scale), type_rounding(type, stored.bias)};
}

// Half a step, plus code * |rounding of the scale| with code about (x - bias) / scale, plus the rounding of
// the bias. With bf16 and 8 bits the scale alone may be off by 2^-8 of itself, a whole step at code 255.
// Outside of the grid: putting zero on a code shrinks the grid by up to one step at the end opposite to the
// bias; two steps of the source's own range are allowed.
void bound_row(const WeightFormat& format, const float* source, PackedRow row, int64_t cols, float* bound) {
  const int n = format.group_size;
  const DType type = format.scale_type;
  const float max_code = static_cast<float>((1 << format.bits) - 1);
  for (int64_t group = 0; group < cols / n; ++group) {
    const float* x = source + group * n;
    const ScaleAndBias stored{load_number(type, row.scales, group), load_number(type, row.biases, group)};
    const ScaleAndBias rounding = storage_rounding(type, stored, choose_scale(x, n, max_code));
    const ValueRange range = value_range(x, n);
    const float step = std::abs(stored.scale), chosen_step = std::max(step - rounding.scale, 0.0f);
    const float end = stored.scale * max_code + stored.bias;
    const float widest_step = std::max((range.max - range.min) / max_code, 1e-7f) * 2.0f;
    const Grid grid{std::min(stored.bias, end), std::max(stored.bias, end), (step + rounding.scale) / 2,
                    widest_step};
    const float fixed = rounding.bias + float_rounding(std::max(std::abs(range.min), std::abs(range.max)));
    for (int i = 0; i < n; ++i) {
      const float position = std::abs(x[i] - stored.bias) + rounding.bias + step;
      const float code = position < max_code * chosen_step ? position / chosen_step : max_code;
      bound[group * n + i] = bound_on_grid(grid, x[i], code * rounding.scale + fixed);
    }
  }
}

bool finite_row(const WeightFormat& format, PackedRow row, int64_t cols) {
  for (int64_t group = 0; group < cols / format.group_size; ++group) {
    if (!std::isfinite(load_number(format.scale_type, row.scales, group))) return false;
    if (!std::isfinite(load_number(format.scale_type, row.biases, group))) return false;
  }
  return true;
}

}  // namespace

FormatOps mlx_affine_ops() noexcept {
  return {WeightKind::kMlxAffine, quantize, dequantize, bound_row, finite_row};
}

}  // namespace assay
