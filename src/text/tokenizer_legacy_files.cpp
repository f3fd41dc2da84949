#include <fmt/format.h>

#include "base/file.hpp"
#include "io/checkpoint.hpp"
#include "text/json_fields.hpp"
#include "text/tokenizer_files.hpp"

/// The tokenizers of checkpoints that predate tokenizer.json, built as transformers'
/// convert_slow_tokenizer.py builds them.
namespace assay::text {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// Qwen2's expression (transformers, convert_slow_tokenizer.py, Qwen2Converter).
constexpr const char* kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Calls `visit(line, number)` for each line without its end (\n or \r\n).
template <typename Visit>
void for_each_line(std::string_view text, Visit visit) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    visit(line, number);
  }
}

Vocabulary read_vocab_json(const fs::path& path) {
  const json vocab = read_json_file(path);
  if (!vocab.is_object()) throw Error({"not a JSON object", path.string(), {}, vocab.type_name(), {}});
  std::vector<std::pair<std::string, int64_t>> entries;
  for (const auto& [piece, id] : vocab.items())
    entries.emplace_back(piece, integer_field(vocab, piece.c_str(), path.string()));
  return Vocabulary(std::move(entries), path.string());
}

std::vector<Bpe::Merge> read_merges_text(const fs::path& path) {
  const std::string text = read_text_file(path);
  std::vector<Bpe::Merge> merges;
  for_each_line(text, [&](std::string_view line, size_t number) {
    if (line.empty() || (number == 1 && line.starts_with("#version"))) return;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      throw Error({"a merge is not two pieces",
                   fmt::format("{}:{}", path.string(), number),
                   {},
                   std::string(line.substr(0, 60)),
                   {}});
    merges.push_back({std::string(line.substr(0, space)), std::string(line.substr(space + 1))});
  });
  return merges;
}

TokenId require_token(const Pipeline& pipeline, const std::string& content, const std::string& where) {
  const auto id = pipeline.find(content);
  if (!id)
    throw Error({fmt::format("special token {:?} is not in the vocabulary", content), where, {}, {}, {}});
  return *id;
}

/// Special tokens that tokenizer_config.json names by text only, or the defaults of the class.
void add_named_specials(const json& config,
                        std::initializer_list<std::pair<const char*, const char*>> defaults,
                        const std::string& where, Pipeline& pipeline) {
  std::vector<AddedToken> tokens = added_tokens_of_config(config, where);
  for (const auto& [key, fallback] : defaults) {
    std::string content = config_token(config, key);
    if (content.empty() && !config.contains(key)) content = fallback;
    const auto id = content.empty() ? std::nullopt : pipeline.vocabulary.find(content);
    const bool known =
        std::any_of(tokens.begin(), tokens.end(), [&](const AddedToken& t) { return t.content == content; });
    if (!id || known) continue;
    AddedToken token;
    token.id = *id;
    token.content = std::move(content);
    token.special = true;
    tokens.push_back(std::move(token));
  }
  pipeline.added = AddedTokens(std::move(tokens), pipeline.normalizer);
}

}  // namespace

void load_vocab_and_merges(const fs::path& directory, const json& config, Pipeline& pipeline) {
  const std::string where = directory.string();
  const std::string kind = optional_string_field(config, "tokenizer_class", where);
  if (kind.starts_with("CLIP") || kind.starts_with("Whisper"))
    throw unsupported("tokenizer without tokenizer.json", kind, where);
  const bool qwen = kind.starts_with("Qwen2");
  const bool roberta =
      kind.starts_with("Roberta") || kind.starts_with("Bart") || kind.starts_with("Longformer");
  pipeline.vocabulary = read_vocab_json(directory / "vocab.json");
  pipeline.subword.emplace<Bpe>(pipeline.vocabulary, BpeOptions{}, read_merges_text(directory / "merges.txt"),
                                Bpe::Duplicates::kLastWins, (directory / "merges.txt").string());
  std::vector<PreTokenizerStep> steps;
  if (qwen) {
    std::vector<NormalizerStep> normalizer;
    normalizer.emplace_back(NormalForm::kNfc);
    pipeline.normalizer = Normalizer(std::move(normalizer));
    steps.emplace_back(SplitStep{Regex(kQwen2Regex), SplitBehavior::kIsolated, false});
  }
  steps.emplace_back(ByteLevelStep{bool_field(config, "add_prefix_space", false, where), !qwen});
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  std::vector<DecoderStep> decoder;
  decoder.emplace_back(ByteLevelDecode{});
  pipeline.decoder = Decoder(std::move(decoder));
  const char* const end = "<|endoftext|>";
  if (roberta)
    add_named_specials(config,
                       {{"bos_token", "<s>"},
                        {"eos_token", "</s>"},
                        {"unk_token", "<unk>"},
                        {"pad_token", "<pad>"},
                        {"mask_token", "<mask>"}},
                       where, pipeline);
  else
    add_named_specials(config,
                       {{"bos_token", end}, {"eos_token", end}, {"unk_token", end}, {"pad_token", ""}}, where,
                       pipeline);
  if (roberta)
    pipeline.post_processor =
        PostProcessor::roberta(require_token(pipeline, "<s>", where), require_token(pipeline, "</s>", where));
  else if (bool_field(config, "add_bos_token", false, where))
    pipeline.post_processor.prefix = {require_token(pipeline, config_token(config, "bos_token"), where)};
}

void load_vocab_text(const fs::path& path, const json& config, Pipeline& pipeline) {
  const std::string where = path.string();
  const std::string text = read_text_file(path);
  std::vector<std::pair<std::string, int64_t>> entries;
  for_each_line(text, [&](std::string_view line, size_t number) {
    entries.emplace_back(std::string(line), static_cast<int64_t>(number - 1));
  });
  pipeline.vocabulary = Vocabulary(std::move(entries), where);
  WordPiece::Options options;
  if (const std::string unk = config_token(config, "unk_token"); !unk.empty()) options.unk_token = unk;
  pipeline.subword.emplace<WordPiece>(pipeline.vocabulary, options, where);
  const bool lowercase = bool_field(config, "do_lower_case", true, where);
  const json normalizer = {
      {"type", "BertNormalizer"},
      {"handle_chinese_chars", bool_field(config, "tokenize_chinese_chars", true, where)},
      {"strip_accents", field_or_null(config, "strip_accents")},
      {"lowercase", lowercase}};
  pipeline.normalizer = Normalizer::from_json(normalizer, where);
  pipeline.pre_tokenizer = PreTokenizer::from_json({{"type", "BertPreTokenizer"}}, where);
  pipeline.decoder = Decoder::from_json({{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}, where);
  const bool mpnet = optional_string_field(config, "tokenizer_class", where).starts_with("MPNet");
  const char* const cls = mpnet ? "<s>" : "[CLS]";
  const char* const sep = mpnet ? "</s>" : "[SEP]";
  add_named_specials(config,
                     {{"unk_token", "[UNK]"},
                      {"sep_token", sep},
                      {"pad_token", mpnet ? "<pad>" : "[PAD]"},
                      {"cls_token", cls},
                      {"mask_token", mpnet ? "<mask>" : "[MASK]"}},
                     where, pipeline);
  const auto named = [&](const char* key, const char* fallback) {
    const std::string content = config_token(config, key);
    return require_token(pipeline, content.empty() ? fallback : content, where);
  };
  const TokenId first = named("cls_token", cls), last = named("sep_token", sep);
  pipeline.post_processor = mpnet ? PostProcessor::roberta(first, last, 1) : PostProcessor::bert(first, last);
}

}  // namespace assay::text
