#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "convert/inspect.hpp"

namespace assay {

/// Prints the sizes of several files or folders side by side: what the tensors take, what lies on the disk,
/// and what a conversion_metadata.json of any generation tells, "-" where it tells nothing.
void print_sizes(const std::vector<Inspection>& inspections);

/// The same, one object a path: {path, verdict, weight_bytes, weights_mb, disk_bytes, ratio_to_first, told:
/// {version, actual_size_mb, …} or null}.
nlohmann::ordered_json sizes_json(const std::vector<Inspection>& inspections);

}  // namespace assay
