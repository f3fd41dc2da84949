#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "text/gguf_vocabulary.hpp"
#include "text/llama_pre.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

constexpr const char* kMarker = "\xE2\x96\x81";
/// What llama.cpp's converter gives pieces that only an HF vocabulary knows, and padding
/// (conversion/base.py).
constexpr float kAddedScore = -1000.0F;
constexpr float kPaddingScore = -10000.0F;

/// The columns of a GGUF vocabulary.
struct Rows {
  std::vector<std::string> tokens;
  std::vector<TokenKind> kinds;
  std::vector<float> scores;
};

/// Added tokens that converters treat as control tokens although nothing says so
/// (conversion/base.py, does_token_look_special).
bool looks_special(std::string_view token) {
  return token == "<pad>" || token == "<mask>" || token == "<2mass>" || token == "[@BOS@]" ||
         (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<｜") && token.ends_with("｜>")) ||
         (token.starts_with("<unused") && token.ends_with(">"));
}

/// Every id up to `vocab_size`, padding where there is no piece.
Rows collect_rows(const Pipeline& pipeline, int64_t vocab_size) {
  if (pipeline.size() > vocab_size)
    throw Error({"the tokenizer has more tokens than the model has rows", "vocab_size",
                 std::to_string(pipeline.size()), std::to_string(vocab_size), "tokenizer of another model?"});
  if (vocab_size > kMaxTokens)
    throw Error({"vocab_size is out of range", "vocab_size", {}, std::to_string(vocab_size), {}});
  Rows rows;
  for (TokenId id = 0; id < vocab_size; ++id) {
    const AddedToken* added = pipeline.added.find(id);
    if (added != nullptr) {
      const bool control = added->special || looks_special(added->content);
      rows.tokens.push_back(control ? added->content : replace_all(added->content, kMarker, " "));
      rows.kinds.push_back(control ? TokenKind::kControl : TokenKind::kUserDefined);
    } else if (pipeline.vocabulary.contains(id)) {
      rows.tokens.emplace_back(pipeline.vocabulary.piece(id));
      rows.kinds.push_back(TokenKind::kNormal);
    } else {
      rows.tokens.push_back(fmt::format("[PAD{}]", id));
      rows.kinds.push_back(TokenKind::kUnused);
    }
  }
  return rows;
}

void set_rows(const Rows& rows, GgufMetadata& metadata) {
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(rows.tokens));
  if (!rows.scores.empty())
    metadata.set("tokenizer.ggml.scores",
                 GgufValue::f32s(std::vector<double>(rows.scores.begin(), rows.scores.end())));
  std::vector<int64_t> kinds;
  for (const TokenKind kind : rows.kinds) kinds.push_back(static_cast<int64_t>(kind));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(kinds)));
}

void set_names(const char* model, const std::string& pre, GgufMetadata& metadata) {
  metadata.set("tokenizer.ggml.model", GgufValue::string(model));
  metadata.set("tokenizer.ggml.pre", GgufValue::string(pre));
}

void write_byte_level(const Pipeline& pipeline, const Bpe& bpe, GgufMetadata& metadata, int64_t vocab_size) {
  const auto pre = name_llama_pre(pipeline.pre_tokenizer, bpe.options().ignore_merges);
  if (!pre)
    throw Error({"llama.cpp has no pre-tokenizer equal to this one",
                 "pre_tokenizer",
                 {},
                 {},
                 "choose an MLX recipe"});
  set_names("gpt2", *pre, metadata);
  set_rows(collect_rows(pipeline, vocab_size), metadata);
  std::vector<std::string> merges;
  merges.reserve(bpe.merges().size());
  // A space inside a piece would be read as the separator; the converter writes it as U+0120.
  const auto shown = [&](TokenId id) { return replace_all(pipeline.vocabulary.piece(id), " ", "\xC4\xA0"); };
  for (const auto& [left, right] : bpe.merges()) merges.push_back(shown(left) + " " + shown(right));
  metadata.set("tokenizer.ggml.merges", GgufValue::strings(std::move(merges)));
}

/// Scores under which llama.cpp's score-driven merging makes the pieces in the order of the merges. The stock
/// converter writes -1000 for every piece of a tokenizer.json, which loses the order.
std::vector<float> scores_of_merges(const Pipeline& pipeline, const Bpe& bpe, int64_t vocab_size) {
  std::vector<float> scores(static_cast<size_t>(vocab_size), kAddedScore);
  for (TokenId id = 0; id < pipeline.vocabulary.size(); ++id)
    if (pipeline.vocabulary.contains(id)) scores[static_cast<size_t>(id)] = 0.0F;
  std::vector<bool> ranked(scores.size());
  for (size_t rank = 0; rank < bpe.merges().size(); ++rank) {
    const auto& [left, right] = bpe.merges()[rank];
    const auto made = bpe.merged(left, right);
    if (!made || ranked[static_cast<size_t>(*made)]) continue;
    ranked[static_cast<size_t>(*made)] = true;
    scores[static_cast<size_t>(*made)] = -static_cast<float>(rank + 1);
  }
  return scores;
}

bool strips_space_prefix(const Pipeline& pipeline) {
  return std::any_of(pipeline.normalizer.steps().begin(), pipeline.normalizer.steps().end(),
                     [](const NormalizerStep& step) { return std::holds_alternative<PrependStep>(step); }) ||
         std::any_of(pipeline.pre_tokenizer.steps().begin(), pipeline.pre_tokenizer.steps().end(),
                     [](const PreTokenizerStep& step) {
                       const auto* metaspace = std::get_if<MetaspaceStep>(&step);
                       return metaspace != nullptr && metaspace->prepend != MetaspaceStep::Prepend::kNever;
                     });
}

void write_sentencepiece(const Pipeline& pipeline, const Bpe& bpe, GgufMetadata& metadata,
                         int64_t vocab_size) {
  set_names("llama", "default", metadata);
  Rows rows = collect_rows(pipeline, vocab_size);
  const bool stored = !pipeline.gguf.scores.empty();
  rows.scores = stored ? pipeline.gguf.scores : scores_of_merges(pipeline, bpe, vocab_size);
  rows.scores.resize(static_cast<size_t>(vocab_size), kAddedScore);
  for (size_t id = 0; id < rows.tokens.size(); ++id) {
    if (id < pipeline.gguf.kinds.size() && rows.kinds[id] != TokenKind::kUserDefined)
      rows.kinds[id] = pipeline.gguf.kinds[id];
    if (byte_of_byte_token(rows.tokens[id])) rows.kinds[id] = TokenKind::kByte;
    if (rows.kinds[id] == TokenKind::kUnused) rows.scores[id] = kPaddingScore;
  }
  set_rows(rows, metadata);
  if (!strips_space_prefix(pipeline))
    metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(false));
}

/// Pieces that begin a word get U+2581, the others lose their "##".
void write_wordpiece(const Pipeline& pipeline, const WordPiece& model, GgufMetadata& metadata,
                     int64_t vocab_size) {
  set_names("bert", "bert-bge", metadata);
  Rows rows = collect_rows(pipeline, vocab_size);
  const std::string& prefix = model.options().continuing_prefix;
  for (size_t id = 0; id < rows.tokens.size(); ++id) {
    std::string& token = rows.tokens[id];
    if (rows.kinds[id] == TokenKind::kControl) continue;
    token = !prefix.empty() && token.starts_with(prefix) ? token.substr(prefix.size()) : kMarker + token;
  }
  set_rows(rows, metadata);
}

/// BERT's own stages are all that llama.cpp's WordPiece knows.
bool is_bert(const Pipeline& pipeline) {
  const auto& steps = pipeline.normalizer.steps();
  return steps.size() == 1 && std::holds_alternative<BertStep>(steps[0]) &&
         pipeline.pre_tokenizer.steps().size() == 2;
}

/// Byte-level BPE, seen from the outside: its words are in the byte alphabet.
bool is_byte_level(const Pipeline& pipeline) {
  const auto& steps = pipeline.pre_tokenizer.steps();
  return std::any_of(steps.begin(), steps.end(), [](const PreTokenizerStep& step) {
    return std::holds_alternative<ByteLevelStep>(step);
  });
}

/// The text as one word with U+2581 for spaces.
bool is_sentencepiece_like(const Pipeline& pipeline) {
  const auto marks = [](const NormalizerStep& step) {
    const auto* replace = std::get_if<ReplaceStep>(&step);
    return replace != nullptr && replace->content == kMarker;
  };
  const auto& steps = pipeline.pre_tokenizer.steps();
  const bool metaspace = steps.size() == 1 && std::holds_alternative<MetaspaceStep>(steps[0]);
  return metaspace || (steps.empty() && std::any_of(pipeline.normalizer.steps().begin(),
                                                    pipeline.normalizer.steps().end(), marks));
}

/// A vocabulary that came from a GGUF file goes out as it came, padded.
void copy_entries(const Pipeline& pipeline, GgufMetadata& metadata, int64_t vocab_size) {
  for (const auto& [key, value] : pipeline.gguf.entries) metadata.set(key, value);
  if (vocab_size < pipeline.size())
    throw Error({"the tokenizer has more tokens than the model has rows",
                 "vocab_size",
                 std::to_string(pipeline.size()),
                 std::to_string(vocab_size),
                 {}});
  if (vocab_size == pipeline.size()) return;
  std::vector<std::string> tokens = metadata.strings("tokenizer.ggml.tokens");
  std::vector<int64_t> kinds(tokens.size(), 1);
  if (metadata.find("tokenizer.ggml.token_type") != nullptr)
    kinds = metadata.integers("tokenizer.ggml.token_type");
  for (int64_t id = pipeline.size(); id < vocab_size; ++id) {
    tokens.push_back(fmt::format("[PAD{}]", id));
    kinds.push_back(static_cast<int64_t>(TokenKind::kUnused));
  }
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(kinds)));
  if (metadata.find("tokenizer.ggml.scores") != nullptr) {
    std::vector<double> scores = metadata.numbers("tokenizer.ggml.scores");
    scores.resize(static_cast<size_t>(vocab_size), kPaddingScore);
    metadata.set("tokenizer.ggml.scores", GgufValue::f32s(std::move(scores)));
  }
}

}  // namespace

void write_gguf_vocabulary(const Pipeline& pipeline, GgufMetadata& metadata, int64_t vocab_size) {
  if (pipeline.gguf.from_gguf) return copy_entries(pipeline, metadata, vocab_size);
  // The converter writes this for the llama architecture only.
  if (pipeline.gguf.add_space_prefix && metadata.string_or("general.architecture", "llama") == "llama")
    metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(*pipeline.gguf.add_space_prefix));
  const auto* bpe = std::get_if<Bpe>(&pipeline.subword);
  const auto* wordpiece = std::get_if<WordPiece>(&pipeline.subword);
  if (bpe != nullptr && is_byte_level(pipeline))
    write_byte_level(pipeline, *bpe, metadata, vocab_size);
  else if (bpe != nullptr && is_sentencepiece_like(pipeline))
    write_sentencepiece(pipeline, *bpe, metadata, vocab_size);
  else if (wordpiece != nullptr && is_bert(pipeline))
    write_wordpiece(pipeline, *wordpiece, metadata, vocab_size);
  else
    throw Error({"llama.cpp has no vocabulary equal to this tokenizer",
                 "tokenizer",
                 "byte-level BPE, SentencePiece BPE or BERT's WordPiece",
                 "other stages",
                 {}});
  for (const auto& [key, value] : pipeline.gguf.entries) {
    const bool id = key.ends_with("_token_id");
    if (id && std::get<uint64_t>(value.value) >= static_cast<uint64_t>(vocab_size)) continue;
    metadata.set(key, value);
  }
}

}  // namespace assay::text
