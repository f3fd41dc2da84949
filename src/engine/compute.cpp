#include "engine/compute.hpp"

#include <string>

#include "base/error.hpp"

namespace assay {

std::string_view compute_name(Compute compute) noexcept {
  return compute == Compute::kExact ? "exact" : "fast";
}

Compute compute_from_name(std::string_view name) {
  if (name == "exact") return Compute::kExact;
  if (name == "fast") return Compute::kFast;
  throw UsageError({"unknown compute mode", {}, "exact or fast", std::string(name), {}});
}

std::string_view kv_format_name(KvFormat format) noexcept {
  return format == KvFormat::kF32 ? "f32" : format == KvFormat::kF16 ? "f16" : "q8";
}

KvFormat kv_format_from_name(std::string_view name) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kQ8})
    if (name == kv_format_name(format)) return format;
  throw UsageError({"unknown format of the KV cache", {}, "f32, f16 or q8", std::string(name), {}});
}

KvFormat default_kv_format(Compute compute) noexcept {
  return compute == Compute::kExact ? KvFormat::kF32 : KvFormat::kF16;
}

}  // namespace assay
