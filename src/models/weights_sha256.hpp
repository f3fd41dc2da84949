#pragma once
#include <string>

#include "models/model_file.hpp"

namespace assay {

/// SHA-256 of the file that holds the model's weights, for the record of what was measured; of several files,
/// that of the lines "hash  name" in their order.
std::string weights_sha256(const ModelFile& file);

}  // namespace assay
