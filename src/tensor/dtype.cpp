#include "tensor/dtype.hpp"

#include <array>

namespace assay {
namespace {

struct DTypeFacts {
  std::string_view name;
  size_t bytes;
};

// In the order of DType. Source: safetensors' Dtype (safetensors/src/tensor.rs).
constexpr std::array<DTypeFacts, 16> kFacts{{{"BOOL", 1},
                                             {"U8", 1},
                                             {"I8", 1},
                                             {"F8_E4M3", 1},
                                             {"F8_E5M2", 1},
                                             {"F8_E8M0", 1},
                                             {"I16", 2},
                                             {"U16", 2},
                                             {"F16", 2},
                                             {"BF16", 2},
                                             {"I32", 4},
                                             {"U32", 4},
                                             {"F32", 4},
                                             {"F64", 8},
                                             {"I64", 8},
                                             {"U64", 8}}};

}  // namespace

std::string_view dtype_name(DType type) noexcept {
  return kFacts[static_cast<size_t>(type)].name;
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

size_t dtype_bytes(DType type) noexcept {
  return kFacts[static_cast<size_t>(type)].bytes;
}

bool is_float_weight(DType type) noexcept {
  return type == DType::kF16 || type == DType::kBF16 || type == DType::kF32;
}

}  // namespace assay
