#include "text/added_tokens.hpp"

#include <algorithm>

#include "text/regex.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

bool is_word_character(std::string_view character) {
  static const Regex word("[\\w\\x{200C}\\x{200D}]");  // as Rust's regex crate has \w
  return !word.find_all(character).empty();
}

bool ends_with_word(std::string_view text) {
  size_t at = text.size();
  while (at > 0 && (text[at - 1] & 0xC0) == 0x80) --at;
  return at > 0 && is_word_character(text.substr(at - 1));
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word_character(text.substr(0, std::min(utf8_length(text[0]), text.size())));
}

/// Where the whitespace at the end of `text` begins.
size_t trailing_whitespace(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0) {
    size_t at = begin - 1;
    while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
    size_t next = at;
    if (!is_whitespace(read_code_point(text, next))) break;
    begin = at;
  }
  return begin;
}

size_t leading_whitespace(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size(); end = at)
    if (!is_whitespace(read_code_point(text, at))) break;
  return end;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    by_id_.emplace(tokens_[i].id, i);
    by_content_.emplace(tokens_[i].content, i);
  }
  // Of two equal patterns the first counts; Hugging Face lists the special tokens first.
  std::vector<size_t> order(tokens_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_partition(order.begin(), order.end(), [&](size_t i) { return tokens_[i].special; });
  for (const size_t i : order) {
    const AddedToken& token = tokens_[i];
    if (token.normalized)
      add_pattern(normalized_, normalizer.apply(token.content), i);
    else
      add_pattern(raw_, token.content, i);
  }
  for (Patterns* patterns : {&raw_, &normalized_})
    for (auto& bucket : *patterns)
      std::stable_sort(bucket.begin(), bucket.end(),
                       [](const Pattern& a, const Pattern& b) { return a.text.size() > b.text.size(); });
}

void AddedTokens::add_pattern(Patterns& patterns, std::string text, size_t token) {
  if (text.empty()) return;
  patterns[static_cast<unsigned char>(text[0])].push_back({std::move(text), token});
}

const AddedToken* AddedTokens::find(TokenId id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

std::vector<Segment> AddedTokens::split_raw(std::string_view text, bool parse_special) const {
  return split(text, true, parse_special, raw_);
}

std::vector<Segment> AddedTokens::split_normalized(std::string_view text, bool at_start,
                                                   bool parse_special) const {
  return split(text, at_start, parse_special, normalized_);
}

std::vector<Segment> AddedTokens::split(std::string_view text, bool at_start, bool parse_special,
                                        const Patterns& patterns) const {
  std::vector<Segment> segments;
  size_t done = 0;
  const auto push_text = [&](size_t end) {
    if (end > done) segments.push_back({text.substr(done, end - done), std::nullopt, at_start && done == 0});
  };
  for (size_t at = 0; at < text.size();) {
    const auto& bucket = patterns[static_cast<unsigned char>(text[at])];
    const auto hit = std::find_if(bucket.begin(), bucket.end(), [&](const Pattern& pattern) {
      return text.substr(at).starts_with(pattern.text);
    });
    if (hit == bucket.end()) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[hit->token];
    size_t begin = at, end = at + hit->text.size();
    at = end;
    if (token.special && !parse_special) continue;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    if (token.lstrip) begin = trailing_whitespace(text.substr(0, begin));
    if (token.rstrip) end += leading_whitespace(text.substr(end));
    begin = std::max(begin, done);
    push_text(begin);
    segments.push_back({{}, token.id, false});
    done = std::max(done, end);
  }
  push_text(text.size());
  return segments;
}

std::vector<Segment> partition_longest_first(std::string_view text,
                                             const std::vector<AddedToken>& longest_first,
                                             bool parse_special) {
  std::vector<Segment> segments;
  if (!text.empty()) segments.push_back({text, std::nullopt, true});
  for (const AddedToken& token : longest_first) {
    if ((token.special && !parse_special) || token.content.empty()) continue;
    if (text.find(token.content) == std::string_view::npos) continue;
    std::vector<Segment> next;
    for (const Segment& segment : segments) {
      if (segment.id) {
        next.push_back(segment);
        continue;
      }
      std::string_view rest = segment.text;
      for (size_t at; (at = rest.find(token.content)) != std::string_view::npos;) {
        std::string_view left = rest.substr(0, at);
        rest.remove_prefix(at + token.content.size());
        if (token.lstrip) left = left.substr(0, trailing_whitespace(left));
        if (token.rstrip) rest.remove_prefix(leading_whitespace(rest));
        if (!left.empty()) next.push_back({left, std::nullopt, left.data() == text.data()});
        next.push_back({{}, token.id, false});
      }
      if (!rest.empty()) next.push_back({rest, std::nullopt, rest.data() == text.data()});
    }
    segments = std::move(next);
  }
  return segments;
}

}  // namespace assay::text
