#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace assay {

/// Floats that lie beside quantized weights and are as large as what they were made from: tensors under a
/// quantized weight's name, and weight files that the model does not use. One sentence each, naming tensor or
/// file; empty for an honest output. Reads headers alone. Throws Error when a container cannot be read.
std::vector<std::string> find_float_twins(const std::filesystem::path& output);

}  // namespace assay
