#pragma once
#include <string>

#include "io/gguf.hpp"

namespace assay {

/// Throws Error for a metadata key whose value nothing can be made of.
[[noreturn]] void fail_gguf_key(const std::string& key, std::string expected, std::string found);

/// A dimension that llama.cpp lets stand as a number or as one number per layer. Throws Error out of bounds,
/// and for layers that differ, which are another model than the generic decoder and encoder run.
int64_t read_gguf_dimension(const GgufMetadata& metadata, const std::string& key);

/// What a norm adds before its root, at least 0 and below 1, which would drown every activation.
double read_gguf_norm_eps(const GgufMetadata& metadata, const std::string& key);

}  // namespace assay
