#include "text/pipeline.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace assay::text {

std::vector<TokenId> Pipeline::encode(std::string_view text, const EncodeOptions& options) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 8);
  const auto segments = llama_search ? partition_longest_first(text, longest_first, options.parse_special)
                                     : added.split_raw(text, options.parse_special);
  for (const Segment& segment : segments) {
    if (segment.id) {
      ids.push_back(*segment.id);
      continue;
    }
    const std::string normalized = normalizer.apply(segment.text);
    if (llama_search) {
      encode_words(normalized, segment.at_start, ids);
      continue;
    }
    for (const Segment& part : added.split_normalized(normalized, segment.at_start, options.parse_special))
      encode_segment(part, ids);
  }
  if (options.add_special) post_processor.apply(ids);
  return ids;
}

Encoding Pipeline::encode_pair(std::string_view text, std::optional<std::string_view> pair,
                               const PairOptions& options) const {
  if (pair && post_processor.pair.empty())
    throw Error({"this tokenizer cannot put two texts together",
                 {},
                 "a template for pairs",
                 post_processor.pair_problem.empty() ? "none" : post_processor.pair_problem,
                 "the model was not trained on pairs of texts"});
  const EncodeOptions plain{.add_special = false, .parse_special = options.parse_special};
  std::vector<TokenId> first = encode(text, plain);
  std::vector<TokenId> second = pair ? encode(*pair, plain) : std::vector<TokenId>();
  if (options.max_length > 0 || truncation.max_length) {
    const int64_t limit = options.max_length > 0 ? options.max_length : *truncation.max_length;
    const auto added_tokens = static_cast<int64_t>(post_processor.count_added(pair.has_value()));
    if (limit < added_tokens)
      throw Error({"the longest length allowed leaves no room for the special tokens",
                   {},
                   fmt::format("at least {}", added_tokens),
                   std::to_string(limit),
                   {}});
    truncate_pair(first, pair ? &second : nullptr, static_cast<size_t>(limit - added_tokens),
                  options.strategy.value_or(truncation.strategy), truncation.keeps_end);
  }
  return pair ? post_processor.join_pair(first, second) : post_processor.join_text(first);
}

void Pipeline::encode_segment(const Segment& segment, std::vector<TokenId>& ids) const {
  if (segment.id)
    ids.push_back(*segment.id);
  else
    encode_words(segment.text, segment.at_start, ids);
}

void Pipeline::encode_words(std::string_view text, bool at_start, std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  for (const Word& word : pre_tokenizer.split(text, at_start)) {
    std::visit(
        [&](const auto& model) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(model)>, std::monostate>)
            model.encode(word.text, ids);
        },
        subword);
  }
}

std::string Pipeline::decode(std::span<const TokenId> ids, bool skip_special) const {
  return replace_invalid_utf8(decoder.decode(pieces_of(ids, skip_special)));
}

std::vector<std::string> Pipeline::pieces_of(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const TokenId id : ids)
    if (is_decoded(id, skip_special)) pieces.emplace_back(*piece(id));
  return pieces;
}

std::optional<std::string_view> Pipeline::piece(TokenId id) const noexcept {
  if (const AddedToken* token = added.find(id)) return token->content;
  if (vocabulary.contains(id)) return vocabulary.piece(id);
  return std::nullopt;
}

std::optional<TokenId> Pipeline::find(std::string_view piece) const {
  if (const AddedToken* token = added.find(piece)) return token->id;
  return vocabulary.find(piece);
}

int64_t Pipeline::size() const noexcept {
  int64_t size = vocabulary.size();
  for (const AddedToken& token : added.tokens()) size = std::max(size, int64_t{token.id} + 1);
  return size;
}

bool Pipeline::is_special(TokenId id) const noexcept {
  const AddedToken* token = added.find(id);
  return token != nullptr && token->special;
}

bool Pipeline::is_decoded(TokenId id, bool skip_special) const noexcept {
  if (const AddedToken* token = added.find(id)) return !(skip_special && token->special);
  return vocabulary.contains(id);
}

}  // namespace assay::text
