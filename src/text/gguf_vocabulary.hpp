#pragma once
#include <nlohmann/json.hpp>

#include "io/gguf.hpp"
#include "text/pipeline.hpp"

namespace assay::text {

/// Fills `pipeline` from the tokenizer.ggml.* entries so that it tokenizes as llama.cpp does. Throws Error
/// for a model or pre-tokenizer that is not known, and for arrays of wrong length or type.
void read_gguf_vocabulary(const GgufMetadata& metadata, Pipeline& pipeline);

/// The opposite; see Tokenizer::write_gguf.
void write_gguf_vocabulary(const Pipeline& pipeline, GgufMetadata& metadata, int64_t vocab_size);

/// Special ids and add_* flags as llama.cpp's converter derives them from the files of a checkpoint, in the
/// order it writes them. Each of the three may be null; `pipeline` finds ids by their text when there is no
/// tokenizer.json. Source: llama.cpp gguf-py/gguf/vocab.py (SpecialVocab).
std::vector<std::pair<std::string, GgufValue>> derive_gguf_special_entries(const nlohmann::json& tokenizer,
                                                                           nlohmann::json tokenizer_config,
                                                                           const nlohmann::json& config,
                                                                           const Pipeline& pipeline);

/// eos and every other token whose text says that a turn or a text ends.
/// Source: llama.cpp src/llama-vocab.cpp (special_eog_ids).
std::vector<TokenId> find_end_ids(const Pipeline& pipeline, std::optional<TokenId> eos);

}  // namespace assay::text
