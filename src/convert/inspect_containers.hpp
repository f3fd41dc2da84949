#pragma once
#include "convert/inspect.hpp"

namespace assay {

// One per container: fill everything but verdict and reasons. Each throws Error for a corrupt container.
void inspect_gguf(const std::filesystem::path& path, Inspection& inspection);
void inspect_npz(const std::filesystem::path& path, Inspection& inspection);
void inspect_safetensors(const std::filesystem::path& path, Inspection& inspection);
/// A folder: checkpoint, MLX directory, loose safetensors, or configuration with an index alone.
void inspect_directory(const std::filesystem::path& path, Inspection& inspection);

/// Weighs the tensors, the declarations and the name against each other and sets verdict and reasons.
void judge(Inspection& inspection);

}  // namespace assay
