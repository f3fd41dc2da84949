#pragma once
#include <filesystem>

#include "convert/verify.hpp"
#include "engine/compute.hpp"

namespace assay {

/// The check "resident memory": runs the model and holds what the process then has in memory itself (pages of
/// mapped files do not count, they are the files) to what the stored formats, the vocabulary and the buffers
/// of one run account for. An engine that expands its weights to float does not pass. Of an encoder the bytes
/// that the engine counts are held to the formats too, byte by byte, so that a small model shows an expansion
/// that the process's own pages would hide. A model that cannot be run is a check that fails.
Check check_resident_memory(const std::filesystem::path& path, const EngineOptions& options);

}  // namespace assay
