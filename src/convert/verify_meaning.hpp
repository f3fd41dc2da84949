#pragma once
#include <string>

#include "convert/source.hpp"
#include "models/model_file.hpp"

namespace assay {

/// Compares what the output says of the model with the source: sizes, norms, rope, windows, stop ids. Numbers
/// that GGUF stores as F32 may differ by that rounding. Returns a sentence; throws Error naming the first
/// difference.
std::string compare_configurations(const ModelFile& output, const ModelConfig& source);

/// Encodes sample texts with both tokenizers and compares the ids. Throws Error when the output has no
/// tokenizer or an id differs.
std::string compare_tokenizers(const ModelFile& output, const ConversionSource& source);

}  // namespace assay
