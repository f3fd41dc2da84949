#pragma once
#include <string>

#include "convert/recipe.hpp"
#include "models/architecture.hpp"

namespace assay {

/// What llama-quantize makes of one tensor, and why when it is not the mix's base kind.
struct GgufChoice {
  WeightKind kind;
  std::string reason;
};

/// The kind of `slot` in a file of this mix, after llama.cpp's rules by role and layer and its fallbacks for
/// rows that are no whole number of blocks. Source: llama.cpp src/llama-quant.cpp
/// (tensor_allows_quantization, llama_tensor_get_type_impl, tensor_type_fallback).
/// With an importance matrix some mixes choose otherwise.
GgufChoice choose_gguf_kind(const GgufMix& mix, const TensorSlot& slot, const ModelConfig& config,
                            bool has_imatrix = false);

/// The choice itself where rows of `cols` values are whole blocks of it, else what llama.cpp falls back to.
GgufChoice fit_to_row(GgufChoice choice, int64_t cols);

/// llama-quantize's order: outside the layers first, then by layer, by name within (weight_name_comparer).
bool gguf_name_less(const TensorSlot& a, const TensorSlot& b) noexcept;

}  // namespace assay
