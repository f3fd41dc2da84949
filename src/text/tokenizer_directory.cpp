#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/file.hpp"
#include "io/checkpoint.hpp"
#include "text/gguf_vocabulary.hpp"
#include "text/json_fields.hpp"
#include "text/tokenizer_files.hpp"

namespace assay::text {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::array kTokenKeys = {"bos_token", "eos_token", "unk_token", "sep_token",
                                   "pad_token", "cls_token", "mask_token"};

json read_if_present(const fs::path& path) {
  if (!fs::exists(path)) return json();
  json value = read_json_file(path);
  if (!value.is_object()) throw Error({"not a JSON object", path.string(), {}, value.type_name(), {}});
  return value;
}

/// tokenizer_config.json, with what only special_tokens_map.json names.
json read_config(const fs::path& directory) {
  json config = read_if_present(directory / "tokenizer_config.json");
  const json map = read_if_present(directory / "special_tokens_map.json");
  for (const char* key : kTokenKeys)
    if (map.contains(key) && !config.contains(key)) config[key] = map[key];
  return config;
}

/// Tokens that only tokenizer_config.json or added_tokens.json know join the tokenizer's own.
void add_missing_tokens(const fs::path& directory, const json& config, Pipeline& pipeline) {
  std::vector<AddedToken> tokens = pipeline.added.tokens();
  const auto add = [&](AddedToken token, const std::string& where) {
    const bool known = std::any_of(tokens.begin(), tokens.end(), [&](const AddedToken& other) {
      return other.content == token.content || other.id == token.id;
    });
    if (known) return;
    if (const auto id = pipeline.vocabulary.find(token.content)) token.id = *id;
    if (pipeline.vocabulary.contains(token.id) && pipeline.vocabulary.piece(token.id) != token.content)
      throw Error({fmt::format("added token {:?} has the id {} of another piece", token.content, token.id),
                   where,
                   {},
                   fmt::format("{:?}", pipeline.vocabulary.piece(token.id)),
                   {}});
    tokens.push_back(std::move(token));
  };
  const std::string config_path = (directory / "tokenizer_config.json").string();
  for (AddedToken& token : added_tokens_of_config(config, config_path)) add(std::move(token), config_path);
  const fs::path added_path = directory / "added_tokens.json";
  const json added = read_if_present(added_path);
  for (const auto& [content, id] : added.items()) {
    if (!id.is_number_integer())
      throw Error(
          {fmt::format("the id of {:?} is not an integer", content), added_path.string(), {}, {}, {}});
    add(added_token_from_json({{"content", content}},
                              integer_field(added, content.c_str(), added_path.string()),
                              added_path.string()),
        added_path.string());
  }
  if (tokens.size() != pipeline.added.tokens().size())
    pipeline.added = AddedTokens(std::move(tokens), pipeline.normalizer);
}

std::optional<TokenId> find_config_token(const json& config, const char* key, const Pipeline& pipeline) {
  const std::string content = config_token(config, key);
  return content.empty() ? std::nullopt : pipeline.find(content);
}

void find_special_ids(const json& config, Pipeline& pipeline) {
  SpecialIds& special = pipeline.special;
  special.bos = find_config_token(config, "bos_token", pipeline);
  special.eos = find_config_token(config, "eos_token", pipeline);
  special.pad = find_config_token(config, "pad_token", pipeline);
  special.unk = find_config_token(config, "unk_token", pipeline);
  // Without a config the template is the only witness.
  if (config.is_null() && !pipeline.post_processor.prefix.empty())
    special.bos = pipeline.post_processor.prefix.front();
  if (config.is_null() && !pipeline.post_processor.suffix.empty())
    special.eos = pipeline.post_processor.suffix.back();
  special.end = find_end_ids(pipeline, special.eos);
}

/// The token of tokenizer.json's "padding". Its other settings have no effect: batches are never padded.
std::optional<TokenId> find_padding_id(const json& tokenizer, const Pipeline& pipeline) {
  const json& token = field_or_null(field_or_null(tokenizer, "padding"), "pad_token");
  return token.is_string() ? pipeline.find(token.get_ref<const std::string&>()) : std::nullopt;
}

void load_sentence_model(const fs::path& path, const json& config, Pipeline& pipeline) {
  const std::string bytes = read_text_file(path);
  if (looks_like_tiktoken(bytes))
    load_tiktoken(bytes, config, path.string(), pipeline);
  else
    load_sentencepiece(bytes, config, path.string(), pipeline);
}

}  // namespace

std::string config_token(const json& config, const char* key) {
  const json& value = field_or_null(config, key);
  const json& content = value.is_object() ? field_or_null(value, "content") : value;
  return content.is_string() ? content.get<std::string>() : std::string();
}

std::vector<AddedToken> added_tokens_of_config(const json& config, const std::string& where) {
  std::vector<AddedToken> tokens;
  const json& list = field_or_null(config, "added_tokens_decoder");
  if (!list.is_object()) return tokens;
  for (const auto& [key, entry] : list.items()) {
    const bool digits =
        !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits)
      throw Error({fmt::format("added token id {:?} is not a number", key.substr(0, 20)), where, {}, {}, {}});
    tokens.push_back(added_token_from_json(entry, std::stoll(key), where));
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

void load_directory(const fs::path& directory, Pipeline& pipeline) {
  if (!fs::is_directory(directory)) throw Error({"not a folder", directory.string(), {}, {}, {}});
  const json config = read_config(directory);
  json tokenizer;
  if (const fs::path path = directory / "tokenizer.json"; fs::exists(path)) {
    tokenizer = read_json_file(path);
    load_tokenizer_json(tokenizer, path.string(), pipeline);
  } else if (fs::exists(directory / "vocab.json") && fs::exists(directory / "merges.txt")) {
    load_vocab_and_merges(directory, config, pipeline);
  } else if (const fs::path model = directory / "tokenizer.model"; fs::exists(model)) {
    load_sentence_model(model, config, pipeline);
  } else if (const fs::path vocab = directory / "vocab.txt"; fs::exists(vocab)) {
    load_vocab_text(vocab, config, pipeline);
  } else {
    throw Error({"no tokenizer in this folder", directory.string(),
                 "tokenizer.json, vocab.json with merges.txt, tokenizer.model or vocab.txt", "none of them",
                 "incomplete download?"});
  }
  add_missing_tokens(directory, config, pipeline);
  find_special_ids(config, pipeline);
  // transformers lets this overrule the direction in tokenizer.json.
  if (const std::string side = config_token(config, "truncation_side"); !side.empty())
    pipeline.truncation.keeps_end = side == "left";
  if (!pipeline.special.pad) pipeline.special.pad = find_padding_id(tokenizer, pipeline);
  pipeline.gguf.entries =
      derive_gguf_special_entries(tokenizer, config, read_if_present(directory / "config.json"), pipeline);
  if (field_or_null(config, "add_prefix_space").is_boolean())
    pipeline.gguf.add_space_prefix = config["add_prefix_space"].get<bool>();
}

}  // namespace assay::text
