#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/json_fields.hpp"
#include "text/tokenizer_files.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

/// {"piece": id, …}
Vocabulary read_vocabulary(const json& model, const std::string& where) {
  const json& vocab = object_field(model, "vocab", where);
  std::vector<std::pair<std::string, int64_t>> entries;
  entries.reserve(vocab.size());
  for (const auto& [piece, id] : vocab.items()) {
    if (!id.is_number_integer())
      throw Error(
          {fmt::format("the id of {:?} is not an integer", piece), where, {}, id.dump().substr(0, 40), {}});
    const bool huge = id.is_number_unsigned() && id.get<uint64_t>() > INT64_MAX;
    entries.emplace_back(piece, huge ? std::numeric_limits<int64_t>::max() : id.get<int64_t>());
  }
  return Vocabulary(std::move(entries), where);
}

/// Splits "a b". Where a piece holds a space itself, the one way is taken that leaves pieces of the
/// vocabulary on both sides and makes one.
std::optional<Bpe::Merge> split_merge(const std::string& line, const Vocabulary& vocabulary) {
  std::optional<Bpe::Merge> merge;
  const bool simple = std::count(line.begin(), line.end(), ' ') == 1;
  for (size_t at = line.find(' '); at != std::string::npos; at = line.find(' ', at + 1)) {
    Bpe::Merge candidate{line.substr(0, at), line.substr(at + 1)};
    const bool known = simple || (vocabulary.find(candidate.left) && vocabulary.find(candidate.right) &&
                                  vocabulary.find(candidate.left + candidate.right));
    if (!known) continue;
    if (merge) return std::nullopt;
    merge = std::move(candidate);
  }
  return merge;
}

/// "a b", or ["a", "b"] since pieces may hold spaces.
std::vector<Bpe::Merge> read_merges(const json& model, const Vocabulary& vocabulary,
                                    const std::string& where) {
  const json& list = array_field(model, "merges", where);
  std::vector<Bpe::Merge> merges;
  merges.reserve(list.size());
  for (const json& entry : list) {
    if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      merges.push_back({entry[0].get_ref<const std::string&>(), entry[1].get_ref<const std::string&>()});
      continue;
    }
    const std::string* line = entry.get_ptr<const std::string*>();
    auto merge = line != nullptr ? split_merge(*line, vocabulary) : std::nullopt;
    if (!merge)
      throw Error({fmt::format("merge {} is not a pair of pieces", merges.size()),
                   where,
                   {},
                   entry.dump().substr(0, 60),
                   {}});
    merges.push_back(std::move(*merge));
  }
  return merges;
}

void load_bpe(const json& model, const std::string& where, Pipeline& pipeline) {
  BpeOptions options;
  if (const json& unk = field_or_null(model, "unk_token"); !unk.is_null())
    options.unk_token = string_field(model, "unk_token", where);
  options.continuing_subword_prefix = optional_string_field(model, "continuing_subword_prefix", where);
  options.end_of_word_suffix = optional_string_field(model, "end_of_word_suffix", where);
  options.fuse_unk = bool_field(model, "fuse_unk", false, where);
  options.byte_fallback = bool_field(model, "byte_fallback", false, where);
  options.ignore_merges = bool_field(model, "ignore_merges", false, where);
  pipeline.vocabulary = read_vocabulary(model, where);
  pipeline.subword.emplace<Bpe>(pipeline.vocabulary, std::move(options),
                                read_merges(model, pipeline.vocabulary, where), Bpe::Duplicates::kLastWins,
                                where);
}

void load_wordpiece(const json& model, const std::string& where, Pipeline& pipeline) {
  WordPiece::Options options;
  options.unk_token = string_field(model, "unk_token", where);
  options.continuing_prefix = optional_string_field(model, "continuing_subword_prefix", where);
  const int64_t longest = integer_field(model, "max_input_chars_per_word", where);
  if (longest < 0) throw Error({"max_input_chars_per_word is negative", where, {}, {}, {}});
  options.max_chars_per_word = static_cast<size_t>(longest);
  pipeline.vocabulary = read_vocabulary(model, where);
  pipeline.subword.emplace<WordPiece>(pipeline.vocabulary, std::move(options), where);
}

/// [["piece", log probability], …] with ids by position.
void load_unigram(const json& model, const std::string& where, Pipeline& pipeline) {
  std::vector<std::pair<std::string, int64_t>> entries;
  std::vector<double> scores;
  for (const json& entry : array_field(model, "vocab", where)) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      throw Error(
          {fmt::format("piece {} is not a pair of text and score", scores.size()), where, {}, {}, {}});
    entries.emplace_back(entry[0].get<std::string>(), static_cast<int64_t>(scores.size()));
    scores.push_back(entry[1].get<double>());
  }
  Unigram::Options options;
  options.byte_fallback = bool_field(model, "byte_fallback", false, where);
  if (!field_or_null(model, "unk_id").is_null()) {
    const int64_t unk = integer_field(model, "unk_id", where);
    options.unk_id = unk >= 0 && unk < kMaxTokens ? static_cast<TokenId>(unk) : TokenId{-1};
  }
  pipeline.vocabulary = Vocabulary(std::move(entries), where);
  pipeline.subword.emplace<Unigram>(pipeline.vocabulary, std::move(scores), options, where);
}

/// Files older than the "type" field are told apart by their members, as Hugging Face does.
std::string model_type(const json& model, const std::string& where) {
  if (const std::string type = optional_string_field(model, "type", where); !type.empty()) return type;
  if (model.contains("merges")) return "BPE";
  if (model.contains("max_input_chars_per_word")) return "WordPiece";
  return field_or_null(model, "vocab").is_array() ? "Unigram" : "WordLevel";
}

/// A content that the model already has keeps the model's id.
void load_added_tokens(const json& root, const std::string& where, Pipeline& pipeline) {
  std::vector<AddedToken> tokens;
  if (!field_or_null(root, "added_tokens").is_null()) {
    for (const json& entry : array_field(root, "added_tokens", where)) {
      AddedToken token = added_token_from_json(entry, integer_field(entry, "id", where), where);
      if (const auto id = pipeline.vocabulary.find(token.content)) token.id = *id;
      if (pipeline.vocabulary.contains(token.id) && pipeline.vocabulary.piece(token.id) != token.content)
        throw Error({fmt::format("added token {:?} has the id {} of another piece", token.content, token.id),
                     where,
                     {},
                     fmt::format("{:?}", pipeline.vocabulary.piece(token.id)),
                     {}});
      tokens.push_back(std::move(token));
    }
  }
  pipeline.added = AddedTokens(std::move(tokens), pipeline.normalizer);
}

}  // namespace

AddedToken added_token_from_json(const json& entry, int64_t id, const std::string& where) {
  AddedToken token;
  token.content = string_field(entry, "content", where);
  if (id < 0 || id >= kMaxTokens)
    throw Error({fmt::format("id of added token {:?} is out of range", token.content),
                 where,
                 fmt::format("0 to {}", kMaxTokens - 1),
                 std::to_string(id),
                 {}});
  token.id = static_cast<TokenId>(id);
  token.special = bool_field(entry, "special", false, where);
  token.normalized = bool_field(entry, "normalized", !token.special, where);
  token.lstrip = bool_field(entry, "lstrip", false, where);
  token.rstrip = bool_field(entry, "rstrip", false, where);
  token.single_word = bool_field(entry, "single_word", false, where);
  return token;
}

void load_tokenizer_json(const json& root, const std::string& where, Pipeline& pipeline) {
  const json& model = object_field(root, "model", where);
  const std::string model_where = where + ": model";
  const std::string type = model_type(model, model_where);
  if (type == "BPE")
    load_bpe(model, model_where, pipeline);
  else if (type == "WordPiece")
    load_wordpiece(model, model_where, pipeline);
  else if (type == "Unigram")
    load_unigram(model, model_where, pipeline);
  else
    throw unsupported("model", type, where);
  pipeline.normalizer = Normalizer::from_json(field_or_null(root, "normalizer"), where);
  pipeline.pre_tokenizer = PreTokenizer::from_json(field_or_null(root, "pre_tokenizer"), where);
  pipeline.post_processor = PostProcessor::from_json(field_or_null(root, "post_processor"), where);
  pipeline.truncation = Truncation::from_json(field_or_null(root, "truncation"), where);
  pipeline.decoder = Decoder::from_json(field_or_null(root, "decoder"), where);
  load_added_tokens(root, where + ": added_tokens", pipeline);
}

}  // namespace assay::text
