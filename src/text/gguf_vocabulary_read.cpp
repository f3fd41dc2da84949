#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "text/gguf_vocabulary.hpp"
#include "text/llama_pre.hpp"

namespace assay::text {
namespace {

constexpr const char* kMarker = "\xE2\x96\x81";
constexpr std::string_view kKeyPrefix = "tokenizer.ggml.";

std::string key(std::string_view name) {
  return std::string(kKeyPrefix) + std::string(name);
}

/// An id that must lie in the vocabulary; llama.cpp ignores those that don't.
std::optional<TokenId> read_id(const GgufMetadata& metadata, std::string_view name,
                               const Vocabulary& vocabulary) {
  if (metadata.find(key(name)) == nullptr) return std::nullopt;
  const int64_t id = metadata.integer(key(name));
  if (id < 0 || id >= vocabulary.size()) return std::nullopt;
  return static_cast<TokenId>(id);
}

std::optional<TokenId> default_id(TokenId id, const Vocabulary& vocabulary) {
  return vocabulary.contains(id) ? std::optional(id) : std::nullopt;
}

Vocabulary read_tokens(const GgufMetadata& metadata) {
  const std::vector<std::string>& tokens = metadata.strings(key("tokens"));
  std::vector<std::pair<std::string, int64_t>> entries;
  entries.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id)
    entries.emplace_back(tokens[id].empty() ? fmt::format("[EMPTY_{}]", id) : tokens[id],
                         static_cast<int64_t>(id));
  if (entries.empty()) throw Error({"the vocabulary is empty", key("tokens"), {}, {}, {}});
  return Vocabulary(std::move(entries), key("tokens"));
}

template <typename Value>
void require_length(const std::vector<Value>& values, std::string_view name, const Vocabulary& vocabulary) {
  if (static_cast<int64_t>(values.size()) < vocabulary.size())
    throw Error({"the array is shorter than the vocabulary",
                 key(name),
                 std::to_string(vocabulary.size()),
                 std::to_string(values.size()),
                 {}});
}

std::vector<TokenKind> read_kinds(const GgufMetadata& metadata, const Vocabulary& vocabulary) {
  std::vector<TokenKind> kinds(static_cast<size_t>(vocabulary.size()), TokenKind::kNormal);
  if (metadata.find(key("token_type")) == nullptr) return kinds;
  const std::vector<int64_t> types = metadata.integers(key("token_type"));
  require_length(types, "token_type", vocabulary);
  for (size_t id = 0; id < kinds.size(); ++id)
    kinds[id] = types[id] >= 1 && types[id] <= 6 ? static_cast<TokenKind>(types[id]) : TokenKind::kUnused;
  return kinds;
}

std::vector<float> read_scores(const GgufMetadata& metadata, const Vocabulary& vocabulary) {
  std::vector<float> scores(static_cast<size_t>(vocabulary.size()), 0.0F);
  if (metadata.find(key("scores")) == nullptr) return scores;
  const std::vector<double> stored = metadata.numbers(key("scores"));
  require_length(stored, "scores", vocabulary);
  for (size_t id = 0; id < scores.size(); ++id) {
    if (std::isnan(stored[id]))
      throw Error({fmt::format("the score of token {} is not a number", id), key("scores"), {}, {}, {}});
    scores[id] = static_cast<float>(stored[id]);
  }
  return scores;
}

/// Texts that llama.cpp takes for ends of a turn, whatever their stored type (llama-vocab.cpp, load).
constexpr std::array<std::string_view, 20> kEndTexts = {"<|eot_id|>",
                                                        "<|im_end|>",
                                                        "<|end|>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<|flush|>",
                                                        "<|calls|>",
                                                        "<end_of_turn>",
                                                        "<|endoftext|>",
                                                        "</s>",
                                                        "<|eom_id|>",
                                                        "<EOT>",
                                                        "_<EOT>",
                                                        "[EOT]",
                                                        "[EOS]",
                                                        "<|end_of_text|>",
                                                        "<end_of_utterance>",
                                                        "<eos>",
                                                        "<turn|>",
                                                        "<｜end▁of▁sentence｜>"};
/// gpt-oss's channel marks, which are always shown.
constexpr std::array<std::string_view, 4> kShownTexts = {"<|channel|>", "<|message|>", "<|start|>",
                                                         "<|constrain|>"};

void correct_kinds(const Vocabulary& vocabulary, std::vector<TokenKind>& kinds) {
  for (const std::string_view text : kEndTexts)
    if (const auto id = vocabulary.find(text)) kinds[static_cast<size_t>(*id)] = TokenKind::kControl;
  for (const std::string_view text : kShownTexts)
    if (const auto id = vocabulary.find(text)) kinds[static_cast<size_t>(*id)] = TokenKind::kUserDefined;
}

/// Phi-3's tokens swallow the whitespace behind them; the file cannot say so, llama.cpp goes by the name.
bool strips_behind_tokens(const GgufMetadata& metadata) {
  std::string name = metadata.string_or("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
}

void find_added_tokens(const GgufMetadata& metadata, std::vector<TokenKind> kinds, Pipeline& pipeline) {
  correct_kinds(pipeline.vocabulary, kinds);
  const bool strips = strips_behind_tokens(metadata);
  std::vector<AddedToken> tokens;
  for (TokenId id = 0; id < pipeline.vocabulary.size(); ++id) {
    const TokenKind kind = kinds[static_cast<size_t>(id)];
    if (kind != TokenKind::kControl && kind != TokenKind::kUserDefined && kind != TokenKind::kUnknown)
      continue;
    AddedToken token;
    token.id = id;
    token.content = pipeline.vocabulary.piece(id);
    token.special = kind != TokenKind::kUserDefined;
    token.rstrip =
        strips && token.content != "<unk>" && token.content != "<s>" && token.content != "<|endoftext|>";
    tokens.push_back(std::move(token));
  }
  pipeline.longest_first = tokens;
  std::stable_sort(
      pipeline.longest_first.begin(), pipeline.longest_first.end(),
      [](const AddedToken& a, const AddedToken& b) { return a.content.size() > b.content.size(); });
  pipeline.added = AddedTokens(std::move(tokens), Normalizer());
  pipeline.llama_search = true;
}

template <typename... Steps>
Decoder make_decoder(Steps... steps) {
  std::vector<DecoderStep> list;
  (list.emplace_back(std::move(steps)), ...);
  return Decoder(std::move(list));
}

/// Whether the text gets a BOS and an EOS around it, with llama.cpp's default for the model.
void set_flags(const GgufMetadata& metadata, bool add_bos, bool add_eos, Pipeline& pipeline) {
  if (metadata.boolean_or(key("add_bos_token"), add_bos) && pipeline.special.bos)
    pipeline.post_processor.prefix = {*pipeline.special.bos};
  if (metadata.boolean_or(key("add_eos_token"), add_eos) && pipeline.special.eos)
    pipeline.post_processor.suffix = {*pipeline.special.eos};
}

void read_bpe(const GgufMetadata& metadata, Pipeline& pipeline) {
  const std::string name = metadata.string_or(key("pre"), "default");
  const LlamaPre* pre = find_llama_pre(name);
  if (pre == nullptr)
    throw Error({fmt::format("pre-tokenizer {:?} is not known", name), key("pre"), {}, {}, {}});
  const std::vector<std::string>& lines = metadata.strings(key("merges"));
  std::vector<Bpe::Merge> merges;
  merges.reserve(lines.size());
  for (const std::string& line : lines) {
    const size_t space = line.find(' ', 1);
    merges.push_back(space == std::string::npos ? Bpe::Merge{}
                                                : Bpe::Merge{line.substr(0, space), line.substr(space + 1)});
  }
  BpeOptions options;
  options.ignore_merges = pre->ignore_merges;
  pipeline.subword.emplace<Bpe>(pipeline.vocabulary, std::move(options), merges, Bpe::Duplicates::kFirstWins,
                                key("merges"));
  std::vector<PreTokenizerStep> steps;
  for (const char* regex : pre->regexes)
    steps.emplace_back(SplitStep{Regex(regex), SplitBehavior::kIsolated, false});
  steps.emplace_back(ByteLevelStep{false, false});
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  pipeline.decoder = make_decoder(ByteLevelDecode{});
  set_flags(metadata, pre->add_bos, false, pipeline);
}

void read_sentencepiece(const GgufMetadata& metadata, Pipeline& pipeline) {
  SpecialIds& special = pipeline.special;
  if (!special.bos) special.bos = default_id(1, pipeline.vocabulary);
  if (!special.eos) special.eos = default_id(2, pipeline.vocabulary);
  if (!special.unk) special.unk = default_id(0, pipeline.vocabulary);
  pipeline.gguf.scores = read_scores(metadata, pipeline.vocabulary);
  pipeline.subword.emplace<ScoreMerge>(pipeline.vocabulary, pipeline.gguf.scores, special.unk);
  std::vector<NormalizerStep> steps;
  const bool prefix = metadata.boolean_or(key("add_space_prefix"), true);
  if (prefix) steps.emplace_back(PrependStep{" "});
  steps.emplace_back(ReplaceStep{" ", kMarker});
  pipeline.normalizer = Normalizer(std::move(steps));
  const size_t stripped = prefix ? 1 : 0;
  pipeline.decoder = make_decoder(ReplaceDecode{kMarker, " "}, ByteFallbackDecode{false}, FuseDecode{},
                                  StripDecode{" ", stripped, 0});
  set_flags(metadata, true, false, pipeline);
}

void read_wordpiece(const GgufMetadata& metadata, Pipeline& pipeline) {
  SpecialIds& special = pipeline.special;
  const Vocabulary& vocabulary = pipeline.vocabulary;
  if (!special.bos) special.bos = read_id(metadata, "cls_token_id", vocabulary);
  if (!special.bos) special.bos = default_id(101, vocabulary);
  if (!special.unk) special.unk = default_id(100, vocabulary);
  auto separator = read_id(metadata, "seperator_token_id", vocabulary);  // the key is spelled so
  if (!separator) separator = default_id(102, vocabulary);
  if (!special.bos || !special.unk || !separator)
    throw Error({"the WordPiece vocabulary lacks its [CLS], [SEP] or [UNK]", key("tokens"), {}, {}, {}});
  const bool lowercase = metadata.boolean_or(key("normalizer.lowercase"), true);
  std::vector<PreTokenizerStep> steps;
  steps.emplace_back(
      LlamaBertStep{lowercase, metadata.boolean_or(key("normalizer.strip_accents"), lowercase)});
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  pipeline.subword.emplace<LlamaWordPiece>(vocabulary, *special.unk);
  pipeline.decoder = make_decoder(ReplaceDecode{kMarker, " "}, FuseDecode{}, StripDecode{" ", 1, 0});
  pipeline.post_processor = PostProcessor::bert(*special.bos, *separator);
}

}  // namespace

std::vector<TokenId> find_end_ids(const Pipeline& pipeline, std::optional<TokenId> eos) {
  std::vector<TokenId> ids;
  const auto add = [&](TokenId id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  if (eos) add(*eos);
  for (const std::string_view text : kEndTexts) {
    const AddedToken* token = pipeline.added.find(text);
    if (token != nullptr && token->special) add(token->id);
  }
  return ids;
}

void read_gguf_vocabulary(const GgufMetadata& metadata, Pipeline& pipeline) {
  const std::string& model = metadata.string(key("model"));
  if (model != "gpt2" && model != "llama" && model != "bert")
    throw Error({fmt::format("vocabulary of type {:?} is not supported", model),
                 key("model"),
                 "gpt2, llama or bert",
                 {},
                 {}});
  pipeline.vocabulary = read_tokens(metadata);
  std::vector<TokenKind> kinds = read_kinds(metadata, pipeline.vocabulary);
  find_added_tokens(metadata, std::move(kinds), pipeline);
  SpecialIds& special = pipeline.special;
  special.bos = read_id(metadata, "bos_token_id", pipeline.vocabulary);
  special.eos = read_id(metadata, "eos_token_id", pipeline.vocabulary);
  special.pad = read_id(metadata, "padding_token_id", pipeline.vocabulary);
  special.unk = read_id(metadata, "unknown_token_id", pipeline.vocabulary);
  if (model == "gpt2")
    read_bpe(metadata, pipeline);
  else if (model == "llama")
    read_sentencepiece(metadata, pipeline);
  else
    read_wordpiece(metadata, pipeline);
  special.end = find_end_ids(pipeline, special.eos);
  for (const char* name : {"eot_token_id", "eom_token_id"})
    if (const auto id = read_id(metadata, name, pipeline.vocabulary);
        id && std::count(special.end.begin(), special.end.end(), *id) == 0)
      special.end.push_back(*id);
  pipeline.gguf.from_gguf = true;
  for (const auto& [name, value] : metadata.entries())
    if (name.starts_with(kKeyPrefix)) pipeline.gguf.entries.emplace_back(name, value);
}

}  // namespace assay::text
