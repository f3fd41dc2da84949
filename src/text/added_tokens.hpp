#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/normalizer.hpp"
#include "text/tokenizer.hpp"

namespace assay::text {

/// A piece that is recognised in the text before any splitting.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;     ///< left out by decode(skip_special)
  bool normalized = false;  ///< matched in the normalized text (in normalized form) instead of the raw one
  bool lstrip = false;      ///< takes the whitespace on its left with it
  bool rstrip = false;
  bool single_word = false;  ///< only between non-word characters
};

/// A stretch of text, or a recognised token.
struct Segment {
  std::string_view text;
  std::optional<TokenId> id;
  bool at_start = false;  ///< begins where the input begins
};

/// Finds added tokens in text: the leftmost match, the longest of those that start together.
/// Source: huggingface/tokenizers, tokenizer/added_vocabulary.rs (find_matches).
class AddedTokens {
 public:
  AddedTokens() = default;
  /// `normalizer` brings the normalized tokens into the form in which they appear.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  /// Splits raw text at the tokens that are matched before normalization.
  std::vector<Segment> split_raw(std::string_view text, bool parse_special) const;
  /// Splits normalized text at the others; `at_start` is that of the text before it was normalized.
  std::vector<Segment> split_normalized(std::string_view text, bool at_start, bool parse_special) const;

  const std::vector<AddedToken>& tokens() const noexcept { return tokens_; }
  const AddedToken* find(TokenId id) const noexcept;
  const AddedToken* find(std::string_view content) const;

 private:
  struct Pattern {
    std::string text;
    size_t token;  ///< index in tokens_
  };
  /// By first byte, longest first.
  using Patterns = std::array<std::vector<Pattern>, 256>;

  static void add_pattern(Patterns& patterns, std::string text, size_t token);
  std::vector<Segment> split(std::string_view text, bool at_start, bool parse_special,
                             const Patterns& patterns) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<TokenId, size_t> by_id_;
  std::unordered_map<std::string, size_t> by_content_;
  Patterns raw_, normalized_;
};

/// llama.cpp's way to do the same: the longest token is searched first in the whole text, then the next.
/// Without `parse_special` only tokens that are not special are recognised.
/// Source: llama.cpp src/llama-vocab.cpp (tokenizer_st_partition).
std::vector<Segment> partition_longest_first(std::string_view text,
                                             const std::vector<AddedToken>& longest_first,
                                             bool parse_special);

}  // namespace assay::text
