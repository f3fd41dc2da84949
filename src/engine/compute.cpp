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

}  // namespace assay
