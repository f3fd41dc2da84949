#pragma once
#include <filesystem>

#include "engine/batch.hpp"

namespace assay {

// A text's keys and values in a file, so that a long prompt is computed once:
//
//   "ASSAYKV1" | u64 bytes of the file | u64 bytes of the header | header, JSON | i32 tokens [n]
//   | per layer, keys then values, per kv head: packed rows [n, row] | SHA-256 of all before, 64 hex digits
//
// Numbers are little-endian. The header names the model by a digest of its weights and settings, the mode of
// computing and the format of the rows, all of which must be those of the model that takes the cache up.

/// Writes the file whole or not at all. Throws Error when it exists and `overwrite` is false, or for a model
/// with dynamic NTK rope.
void save_prompt_cache(const std::filesystem::path& path, CachedText& text, LanguageModel& model,
                       bool overwrite);

/// Reads it back. Throws Error when it is no such file, is cut off or damaged, or belongs to another model or
/// mode.
CachedText load_prompt_cache(const std::filesystem::path& path, LanguageModel& model);

/// SHA-256 over every weight, its name, shape and format, and all settings that the decoder reads: the same
/// for the same answers. Reads the whole model, tensors in parallel.
std::string model_digest(LanguageModel& model);

}  // namespace assay
