#pragma once
#include <filesystem>
#include <string>

#include "convert/source.hpp"
#include "models/model_file.hpp"

namespace assay {

/// Compares what the output says of the model with the source: sizes, norms, rope, windows, stop ids. Numbers
/// that GGUF stores as F32 may differ by that rounding. Returns a sentence; throws Error naming the first
/// difference.
std::string compare_configurations(const ModelFile& output, const ModelConfig& source);

/// Throws Error naming the first file that belongs beside the weights (tokenizer, sentence-transformers
/// modules) and is missing in the output, or has other bytes there than in the source.
std::string compare_side_files(const std::filesystem::path& output, const ConversionSource& source);

/// Encodes sample texts with both tokenizers and compares the ids. Throws Error when the output has no
/// tokenizer or an id differs.
std::string compare_tokenizers(const ModelFile& output, const ConversionSource& source);

}  // namespace assay
