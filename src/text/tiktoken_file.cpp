#include <fmt/format.h>

#include <charconv>

#include "text/charsmap.hpp"
#include "text/json_fields.hpp"
#include "text/tokenizer_files.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

/// Llama-3's expression and special tokens (meta-llama/llama3, llama/tokenizer.py).
constexpr const char* kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr int kReservedTokens = 256;

std::vector<AddedToken> llama3_special_tokens(int64_t first_id) {
  std::vector<std::string> names = {"<|begin_of_text|>", "<|end_of_text|>"};
  int reserved = 0;
  const auto reserve = [&] { names.push_back(fmt::format("<|reserved_special_token_{}|>", reserved++)); };
  for (int i = 0; i < 4; ++i) reserve();
  names.insert(names.end(), {"<|start_header_id|>", "<|end_header_id|>"});
  reserve();
  names.push_back("<|eot_id|>");
  while (names.size() < kReservedTokens) reserve();
  std::vector<AddedToken> tokens;
  for (std::string& name : names) {
    AddedToken token;
    token.id = static_cast<TokenId>(first_id++);
    token.content = std::move(name);
    token.special = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

/// "base64 rank" per line.
std::vector<std::pair<std::string, int64_t>> read_ranks(std::string_view text, const std::string& where) {
  std::vector<std::pair<std::string, int64_t>> ranks;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    const auto bytes = space == std::string_view::npos ? std::nullopt : decode_base64(line.substr(0, space));
    int64_t rank = -1;
    const std::string_view digits = space == std::string_view::npos ? line : line.substr(space + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (!bytes || bytes->empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
      throw Error({"not a line of base64 and rank",
                   fmt::format("{}:{}", where, number),
                   {},
                   replace_invalid_utf8(line.substr(0, 60)),
                   "corrupted file?"});
    ranks.emplace_back(bytes_to_byte_level(*bytes), rank);
  }
  return ranks;
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, std::min(bytes.find('\n'), size_t{200}));
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0) return false;
  const bool digits =
      line.find_first_not_of("0123456789\r", space + 1) == std::string_view::npos && space + 1 < line.size();
  return digits && decode_base64(line.substr(0, space)).has_value();
}

void load_tiktoken(std::string_view text, const json& config, const std::string& where, Pipeline& pipeline) {
  pipeline.vocabulary = Vocabulary(read_ranks(text, where), where);
  std::vector<double> scores(static_cast<size_t>(pipeline.vocabulary.size()));
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<double>(i);
  BpeOptions options;
  options.ignore_merges = true;
  pipeline.subword.emplace<Bpe>(pipeline.vocabulary, std::move(options),
                                generate_merges(pipeline.vocabulary, scores, MergeTies::kLowerIds),
                                Bpe::Duplicates::kLastWins, where);
  std::vector<PreTokenizerStep> steps;
  steps.emplace_back(SplitStep{Regex(kLlama3Regex), SplitBehavior::kIsolated, false});
  steps.emplace_back(ByteLevelStep{false, false});
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  std::vector<DecoderStep> decoder;
  decoder.emplace_back(ByteLevelDecode{});
  pipeline.decoder = Decoder(std::move(decoder));
  std::vector<AddedToken> added = added_tokens_of_config(config, where);
  if (added.empty()) added = llama3_special_tokens(pipeline.vocabulary.size());
  pipeline.added = AddedTokens(std::move(added), pipeline.normalizer);
  const std::string bos = config_token(config, "bos_token");
  if (const auto id = pipeline.find(bos.empty() ? "<|begin_of_text|>" : bos))
    pipeline.post_processor.prefix = {*id};
  pipeline.post_processor.repeat_for_pair(1);
}

}  // namespace assay::text
