#include "convert/gguf_metadata.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "convert/version.hpp"
#include "models/config_fields.hpp"
#include "models/gguf_encoder_config.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

namespace assay {
namespace {

/// What the model's authors recommend for sampling; llama.cpp takes it as default (gguf-py metadata.py).
void set_sampling(const nlohmann::json& generation, GgufMetadata& metadata) {
  if (!generation.is_object()) return;
  const ConfigFields fields(generation, "generation_config.json");
  if (fields.has("top_k"))
    metadata.set("general.sampling.top_k", GgufValue::i32(static_cast<int32_t>(fields.integer("top_k"))));
  constexpr const char* kNumbers[][2] = {{"top_p", "top_p"},
                                         {"min_p", "min_p"},
                                         {"temperature", "temp"},
                                         {"repetition_penalty", "penalty_repeat"}};
  for (const auto& [key, name] : kNumbers)
    if (fields.has(key))
      metadata.set("general.sampling." + std::string(name),
                   GgufValue::f32(static_cast<float>(fields.number(key))));
}

/// The ids that llama.cpp's WordPiece needs, by the texts that BERT's vocabularies give them where the
/// tokenizer's files do not say: without keys it takes those of bert-base-uncased (llama-vocab.cpp).
void set_encoder_ids(const ConversionSource& source, GgufMetadata& metadata) {
  const Tokenizer tokenizer = Tokenizer::from_directory(source.path());
  constexpr const char* kIds[][2] = {{"bos", "[CLS]"},       {"eos", "[SEP]"},     {"cls", "[CLS]"},
                                     {"seperator", "[SEP]"}, {"unknown", "[UNK]"}, {"padding", "[PAD]"},
                                     {"mask", "[MASK]"}};
  for (const auto& [name, text] : kIds) {
    const std::string key = "tokenizer.ggml." + std::string(name) + "_token_id";
    if (metadata.find(key) != nullptr) continue;
    if (const std::optional<TokenId> id = tokenizer.id_of(text)) {
      metadata.set(key, GgufValue::u32(static_cast<uint32_t>(*id)));
      continue;
    }
    const std::string_view role(name);
    if (role == "bos" || role == "seperator" || role == "unknown")
      throw Error(Fault{"llama.cpp would take another token's id", key, text, "no such token", {}});
  }
  metadata.set("tokenizer.ggml.padding_token_id",
               GgufValue::u32(static_cast<uint32_t>(source.model().encoder->pad_id)));
  const std::optional<int64_t> length = tokenizer.truncation_length();
  if (length && *length > 0 && metadata.find(kGgufMaxLength) == nullptr)
    metadata.set(kGgufMaxLength, GgufValue::u32(static_cast<uint32_t>(*length)));
}

}  // namespace

std::string size_label(uint64_t parameters) {
  double scaled = static_cast<double>(parameters);
  char suffix = 'K';
  if (scaled > 1e12)
    scaled *= 1e-12, suffix = 'T';
  else if (scaled > 1e9)
    scaled *= 1e-9, suffix = 'B';
  else if (scaled > 1e6)
    scaled *= 1e-6, suffix = 'M';
  else
    scaled *= 1e-3;
  // At least two digits: "8.0B", "5.2M", "656K".
  const double whole = std::nearbyint(scaled);
  const size_t digits = whole == 0.0 ? 0 : fmt::format("{:.0f}", whole).size();
  return fmt::format("{:.{}f}{}", scaled, digits < 2 ? 2 - digits : 0, suffix);
}

bool has_tokenizer_files(const std::filesystem::path& directory) {
  for (const char* name : {"tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt"})
    if (std::filesystem::exists(directory / name)) return true;
  return false;
}

GgufMetadata build_gguf_metadata(const ConversionSource& source, const Recipe& recipe, uint64_t parameters,
                                 bool& has_tokenizer) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::string(std::string(source.architecture().gguf_name)));
  metadata.set("general.type", GgufValue::string("model"));
  set_sampling(source.generation_config(), metadata);
  metadata.set("general.name", GgufValue::string(source.name()));
  metadata.set("general.size_label", GgufValue::string(size_label(parameters)));
  metadata.set("general.quantized_by", GgufValue::string("assay " + std::string(kToolVersion)));
  write_gguf_config(source.model(), metadata);
  if (source.model().encoder)
    write_gguf_sentence_modules(SentenceModules::read(source.path(), source.model().hidden_dim), metadata);
  has_tokenizer = has_tokenizer_files(source.path());
  if (has_tokenizer) {
    Tokenizer::from_directory(source.path()).write_gguf(metadata, source.model().vocab_size);
    if (source.model().encoder) set_encoder_ids(source, metadata);
    if (const std::optional<std::string> chat = ChatTemplate::find_source(source.path()))
      metadata.set("tokenizer.chat_template", GgufValue::string(*chat));
  }
  // llama.cpp tools/quantize/quantize.cpp, LLM_KV_QUANTIZE_IMATRIX_*.
  if (const auto& importance = recipe.importance) {
    metadata.set("quantize.imatrix.file", GgufValue::string(importance->file));
    if (!importance->dataset.empty())
      metadata.set("quantize.imatrix.dataset", GgufValue::string(importance->dataset));
    metadata.set("quantize.imatrix.entries_count", GgufValue::i32(static_cast<int32_t>(importance->entries)));
    if (importance->chunks > 0)
      metadata.set("quantize.imatrix.chunks_count", GgufValue::i32(static_cast<int32_t>(importance->chunks)));
  }
  // ggml.h, GGML_QNT_VERSION.
  metadata.set("general.quantization_version", GgufValue::u32(2));
  metadata.set("general.file_type", GgufValue::u32(recipe.mix->file_type));
  return metadata;
}

}  // namespace assay
