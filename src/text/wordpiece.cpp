#include "text/wordpiece.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace assay::text {
namespace {

size_t longest_piece(const Vocabulary& vocabulary) {
  size_t longest = 0;
  for (TokenId id = 0; id < vocabulary.size(); ++id) longest = std::max(longest, vocabulary.piece(id).size());
  return longest;
}

bool is_continuation_byte(char c) {
  return (c & 0xC0) == 0x80;
}

}  // namespace

WordPiece::WordPiece(const Vocabulary& vocabulary, Options options, const std::string& where)
    : vocabulary_(&vocabulary), options_(std::move(options)), longest_piece_(longest_piece(vocabulary)) {
  const auto unk = vocabulary.find(options_.unk_token);
  if (!unk)
    throw Error({fmt::format("the unknown token {:?} is not in the vocabulary", options_.unk_token),
                 where,
                 {},
                 {},
                 {}});
  unk_id_ = *unk;
}

void WordPiece::encode(std::string_view word, std::vector<TokenId>& out) const {
  const auto chars = static_cast<size_t>(
      std::count_if(word.begin(), word.end(), [](char c) { return !is_continuation_byte(c); }));
  if (chars > options_.max_chars_per_word) {
    out.push_back(unk_id_);
    return;
  }
  const size_t before = out.size();
  std::string prefixed;
  for (size_t start = 0; start < word.size();) {
    size_t end = std::min(word.size(), start + longest_piece_);
    std::optional<TokenId> match;
    for (; end > start; --end) {
      if (end < word.size() && is_continuation_byte(word[end])) continue;
      std::string_view piece = word.substr(start, end - start);
      if (start > 0) {
        prefixed = options_.continuing_prefix;
        prefixed += piece;
        piece = prefixed;
      }
      if ((match = vocabulary_->find(piece))) break;
    }
    if (!match) {
      out.resize(before);
      out.push_back(unk_id_);
      return;
    }
    out.push_back(*match);
    start = end;
  }
}

LlamaWordPiece::LlamaWordPiece(const Vocabulary& vocabulary, TokenId unk_id)
    : vocabulary_(&vocabulary), unk_id_(unk_id), longest_piece_(longest_piece(vocabulary)) {}

void LlamaWordPiece::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  const std::string marked = "\xE2\x96\x81" + std::string(word);
  const size_t before = out.size();
  for (size_t start = 0; start < marked.size();) {
    // llama.cpp tries one byte more than the longest piece, which can't match.
    size_t end = std::min(marked.size(), start + longest_piece_ + 1);
    std::optional<TokenId> match;
    for (; end > start; --end)
      if ((match = vocabulary_->find(std::string_view(marked).substr(start, end - start)))) break;
    if (!match) {
      out.resize(before);
      break;
    }
    out.push_back(*match);
    start = end;
  }
  if (out.size() == before) out.push_back(unk_id_);
}

}  // namespace assay::text
