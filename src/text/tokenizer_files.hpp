#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "text/pipeline.hpp"

/// The files in which checkpoints keep their tokenizer, each read into a Pipeline. All throw Error naming
/// file and part when something is malformed or not supported.
namespace assay::text {

/// Whatever `directory` holds, in the order that Tokenizer::from_directory states.
void load_directory(const std::filesystem::path& directory, Pipeline& pipeline);

/// Hugging Face's tokenizer.json, whole.
void load_tokenizer_json(const nlohmann::json& json, const std::string& where, Pipeline& pipeline);

/// vocab.json + merges.txt: the byte-level BPE of GPT-2, RoBERTa and Qwen2, told apart by
/// tokenizer_config.json's class.
void load_vocab_and_merges(const std::filesystem::path& directory, const nlohmann::json& config,
                           Pipeline& pipeline);

/// vocab.txt: BERT's WordPiece.
void load_vocab_text(const std::filesystem::path& path, const nlohmann::json& config, Pipeline& pipeline);

/// tokenizer.model as SentencePiece's protobuf: BPE (Llama-2) or unigram (T5).
void load_sentencepiece(std::string_view bytes, const nlohmann::json& config, const std::string& where,
                        Pipeline& pipeline);

/// tokenizer.model as tiktoken's lines of "base64 rank" (Llama-3).
void load_tiktoken(std::string_view text, const nlohmann::json& config, const std::string& where,
                   Pipeline& pipeline);
/// Whether a tokenizer.model is tiktoken's text.
bool looks_like_tiktoken(std::string_view bytes);

/// tokenizer_config.json's "added_tokens_decoder"; empty when it has none.
std::vector<AddedToken> added_tokens_of_config(const nlohmann::json& config, const std::string& where);
/// One token of tokenizer.json's "added_tokens" or of "added_tokens_decoder".
AddedToken added_token_from_json(const nlohmann::json& json, int64_t id, const std::string& where);
/// A special token of tokenizer_config.json: a string, or an object with "content". Empty when absent.
std::string config_token(const nlohmann::json& config, const char* key);

}  // namespace assay::text
