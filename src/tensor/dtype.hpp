#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace assay {

/// Element types of plain tensors, as safetensors names them.
enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
};

/// "BF16", as in a safetensors header.
std::string_view dtype_name(DType type) noexcept;
/// Inverse of dtype_name; nothing for a name that is none of them.
std::optional<DType> dtype_from_name(std::string_view name) noexcept;
size_t dtype_bytes(DType type) noexcept;
/// True for the types weights are trained in: F16, BF16, F32.
bool is_float_weight(DType type) noexcept;

}  // namespace assay
