#pragma once
#include <string_view>

namespace assay {

/// exact: weights decoded on the fly, products and sums in f32, KV cache in f32: what the weights lost.
/// fast: activations quantized to int8 for integer products, KV cache in f16: what the user runs.
enum class Compute { kExact, kFast };

/// "exact" or "fast".
std::string_view compute_name(Compute compute) noexcept;
/// Throws UsageError for any other word.
Compute compute_from_name(std::string_view name);

struct EngineOptions {
  int threads = 0;  ///< 0: one per physical core
  Compute compute = Compute::kFast;
};

}  // namespace assay
