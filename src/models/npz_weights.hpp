#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "io/checkpoint.hpp"

namespace assay {

inline constexpr const char* kNpzName = "weights.npz";

/// True for a folder whose weights lie in weights.npz, and in no safetensors file.
bool holds_npz_weights(const std::filesystem::path& folder);

/// Reads weights.npz into the memory of `directory`. Two layouts, told apart by their names:
/// codes `X` |i1 with the scale of the whole tensor in `X.__scale__` (<f4, one element) become codes and one
/// scale a row (`X_scale`), so that they are int8 like any other; floats with `X.scale` and `X.zero_point`
/// beside them are floats that somebody calls quantized: read as they are, which the returned note says.
/// Throws Error for codes without a scale, a scale without codes, the code -128 and other element types.
std::vector<std::string> read_npz_weights(CheckpointDirectory& directory);

}  // namespace assay
