#pragma once
#include "convert/recipe.hpp"
#include "convert/source.hpp"
#include "io/gguf.hpp"

namespace assay {

/// The metadata of a GGUF file as llama.cpp's converter and quantizer leave it: general.*, {arch}.*,
/// tokenizer.*, chat template, quantization version. Without tokenizer files the tokenizer.* keys are left
/// out and `has_tokenizer` is set to false. Throws Error when llama.cpp cannot express the model.
GgufMetadata build_gguf_metadata(const ConversionSource& source, const Recipe& recipe, uint64_t parameters,
                                 bool& has_tokenizer);

/// "3.2B", "656K": gguf-py utility.py, size_label.
std::string size_label(uint64_t parameters);

/// True when the directory holds a file that Tokenizer::from_directory can read.
bool has_tokenizer_files(const std::filesystem::path& directory);

}  // namespace assay
