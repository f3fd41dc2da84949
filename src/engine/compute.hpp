#pragma once
#include <optional>
#include <string_view>

namespace assay {

/// exact: weights decoded on the fly, products and sums in f32, KV cache in f32: what the weights lost.
/// fast: activations quantized to int8 for integer products, KV cache in f16: what the user runs.
enum class Compute { kExact, kFast };

/// "exact" or "fast".
std::string_view compute_name(Compute compute) noexcept;
/// Throws UsageError for any other word.
Compute compute_from_name(std::string_view name);

/// How keys and values are kept: 4, 2 or 1.0625 bytes a number. q8 is GGUF's Q8_0 along a head's dimensions:
/// 32 codes of 8 bits share an f16 scale, and a shorter last group is filled up with zeros.
enum class KvFormat { kF32, kF16, kQ8 };

/// "f32", "f16" or "q8".
std::string_view kv_format_name(KvFormat format) noexcept;
/// Throws UsageError for any other word.
KvFormat kv_format_from_name(std::string_view name);
/// What a mode of computing keeps unless told otherwise: f32 for exact, f16 for fast.
KvFormat default_kv_format(Compute compute) noexcept;

struct EngineOptions {
  int threads = 0;  ///< 0: one per physical core
  Compute compute = Compute::kFast;
  std::optional<KvFormat> kv{};  ///< nothing: default_kv_format(compute)
};

}  // namespace assay
