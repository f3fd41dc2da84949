#include "tensor/weight_format.hpp"

#include <array>

#include "base/error.hpp"

namespace assay {
namespace {

using enum WeightKind;

// Block lengths and sizes: ggml/src/ggml-common.h; type names: ggml/src/ggml.c.
constexpr auto kKinds = std::to_array<WeightKindFacts>({
    {kF32, "F32", 1, 4},
    {kF16, "F16", 1, 2},
    {kQ4_0, "Q4_0", 32, 18},
    {kQ4_1, "Q4_1", 32, 20},
    {kQ5_0, "Q5_0", 32, 22},
    {kQ5_1, "Q5_1", 32, 24},
    {kQ8_0, "Q8_0", 32, 34},
    {kQ8_1, "Q8_1", 32, 36},
    {kQ2_K, "Q2_K", 256, 84},
    {kQ3_K, "Q3_K", 256, 110},
    {kQ4_K, "Q4_K", 256, 144},
    {kQ5_K, "Q5_K", 256, 176},
    {kQ6_K, "Q6_K", 256, 210},
    {kQ8_K, "Q8_K", 256, 292},
    {kIQ2_XXS, "IQ2_XXS", 256, 66},
    {kIQ2_XS, "IQ2_XS", 256, 74},
    {kIQ3_XXS, "IQ3_XXS", 256, 98},
    {kIQ1_S, "IQ1_S", 256, 50},
    {kIQ4_NL, "IQ4_NL", 32, 18},
    {kIQ3_S, "IQ3_S", 256, 110},
    {kIQ2_S, "IQ2_S", 256, 82},
    {kIQ4_XS, "IQ4_XS", 256, 136},
    {kI8, "I8", 1, 1},
    {kI16, "I16", 1, 2},
    {kI32, "I32", 1, 4},
    {kI64, "I64", 1, 8},
    {kF64, "F64", 1, 8},
    {kIQ1_M, "IQ1_M", 256, 56},
    {kBF16, "BF16", 1, 2},
    {kTQ1_0, "TQ1_0", 256, 54},
    {kTQ2_0, "TQ2_0", 256, 66},
    {kMXFP4, "MXFP4", 32, 17},
    {kNVFP4, "NVFP4", 64, 36},
});

const WeightKindFacts& facts_of(WeightKind kind) noexcept {
  for (const WeightKindFacts& facts : kKinds) {
    if (facts.kind == kind) return facts;
  }
  return kKinds[0];
}

}  // namespace

std::span<const WeightKindFacts> weight_kinds() noexcept {
  return kKinds;
}

const WeightKindFacts* find_weight_kind(uint32_t ggml_type) noexcept {
  for (const WeightKindFacts& facts : kKinds) {
    if (static_cast<uint32_t>(facts.kind) == ggml_type) return &facts;
  }
  return nullptr;
}

const WeightKindFacts* find_weight_kind(std::string_view name) noexcept {
  for (const WeightKindFacts& facts : kKinds) {
    if (facts.name == name) return &facts;
  }
  return nullptr;
}

WeightFormat plain_format(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {.kind = kF32};
    case DType::kF16:
      return {.kind = kF16};
    case DType::kBF16:
      return {.kind = kBF16};
    default:
      throw Error({"weights of this type are not supported",
                   {},
                   "F32, F16 or BF16",
                   std::string(dtype_name(dtype)),
                   {}});
  }
}

WeightFormat ggml_format(WeightKind kind) noexcept {
  return {.kind = kind};
}

WeightFormat mlx_format(int bits, int group_size, DType scale_type) noexcept {
  return {.kind = kMlxAffine,
          .bits = static_cast<uint8_t>(bits),
          .group_size = static_cast<uint16_t>(group_size),
          .scale_type = scale_type};
}

WeightFormat int8_format() noexcept {
  return {.kind = kInt8, .bits = 8, .group_size = 0, .scale_type = DType::kF32};
}

WeightFormat int4_format(int group_size) noexcept {
  return {
      .kind = kInt4, .bits = 4, .group_size = static_cast<uint16_t>(group_size), .scale_type = DType::kF16};
}

std::string format_name(const WeightFormat& format) {
  if (format.kind == kInt8) return "int8";
  if (format.kind == kInt4) return "int4-g" + std::to_string(format.group_size);
  if (format.kind == kMlxAffine)
    return "mlx-" + std::to_string(format.bits) + "bit-g" + std::to_string(format.group_size);
  return std::string(facts_of(format.kind).name);
}

bool is_quantized(const WeightFormat& format) noexcept {
  return format.kind == kInt8 || block_length(format) > 1;
}

int block_length(const WeightFormat& format) noexcept {
  if (format.kind == kInt8) return 1;
  return format.kind == kMlxAffine || format.kind == kInt4 ? format.group_size
                                                           : facts_of(format.kind).block_len;
}

double bits_per_weight(const WeightFormat& format) noexcept {
  if (format.kind == kInt8) return 8.0;
  const int length = block_length(format);
  return 8.0 * static_cast<double>(row_bytes(format, length).total()) / length;
}

RowBytes row_bytes(const WeightFormat& format, int64_t cols) noexcept {
  const auto n = static_cast<size_t>(cols);
  if (format.kind == kMlxAffine) {
    const size_t scales = n / format.group_size * dtype_bytes(format.scale_type);
    return {.codes = n * format.bits / 8, .scales = scales, .biases = scales};
  }
  if (format.kind == kInt8) return {.codes = n, .scales = dtype_bytes(DType::kF32)};
  if (format.kind == kInt4)
    return {.codes = n / 2, .scales = n / format.group_size * dtype_bytes(DType::kF16)};
  const WeightKindFacts& facts = facts_of(format.kind);
  return {.codes = n / static_cast<size_t>(facts.block_len) * static_cast<size_t>(facts.block_bytes)};
}

PackedRow packed_row(const WeightView& weight, int64_t row) noexcept {
  const RowBytes bytes = row_bytes(weight.format, weight.cols);
  const auto r = static_cast<size_t>(row);
  PackedRow packed{.codes = weight.codes.data() + r * bytes.codes};
  if (!weight.scales.empty()) packed.scales = weight.scales.data() + r * bytes.scales;
  if (!weight.biases.empty()) packed.biases = weight.biases.data() + r * bytes.biases;
  return packed;
}

}  // namespace assay
