#pragma once
#include <string_view>

#include "io/gguf.hpp"
#include "models/model_config.hpp"
#include "models/sentence_modules.hpp"

namespace assay {

/// What llama.cpp calls BERT and DistilBERT in general.architecture.
inline constexpr std::string_view kGgufEncoder = "bert";
/// Most tokens of a text; llama.cpp has no key for it and leaves cutting to its caller.
inline constexpr const char* kGgufMaxLength = "assay.sentence.max_seq_length";

/// Throws Error saying what it is when llama.cpp cannot compute this encoder: another family than BERT and
/// DistilBERT, an activation that is no GELU, a head that labels tokens.
void check_gguf_encoder(const ModelConfig& config);

/// The bert.* keys of an encoder, in the converter's order, then assay.encoder.*: what llama.cpp has no key
/// for (family, activation, kind of problem), so that the file can be opened as what it is. Throws as
/// check_gguf_encoder() does. Source: llama.cpp conversion/bert.py.
void write_gguf_encoder_config(const ModelConfig& config, GgufMetadata& metadata);

/// The opposite. A file without assay.encoder.* has erf GELU, and complete_gguf_encoder_config() finds its
/// family.
ModelConfig read_gguf_encoder_config(const GgufMetadata& metadata);

/// Completes the configuration by what only the tensors tell: tables, vocabulary, pooler, head. Throws Error
/// for a classifier that stands on nothing.
void complete_gguf_encoder_config(const GgufFile& file, ModelConfig& config);

/// How token rows become a vector: bert.pooling_type, and under assay.sentence.* what llama.cpp leaves to
/// its caller (normalization, length, lower case, prompts). Throws Error for Dense modules and for poolings
/// that llama.cpp does not have. Writes nothing that the files do not say.
void write_gguf_sentence_modules(const SentenceModules& modules, GgufMetadata& metadata);
SentenceModules read_gguf_sentence_modules(const GgufMetadata& metadata);

}  // namespace assay
