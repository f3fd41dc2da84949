#include "text/score_merge.hpp"

#include <algorithm>
#include <queue>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

struct Candidate {
  float score;
  int32_t left, right;
  size_t length;
  bool operator<(const Candidate& other) const {
    return score != other.score ? score < other.score : left > other.left;
  }
};

}  // namespace

ScoreMerge::ScoreMerge(const Vocabulary& vocabulary, std::vector<float> scores, std::optional<TokenId> unk_id)
    : vocabulary_(&vocabulary), scores_(std::move(scores)), unk_id_(unk_id) {
  ASSAY_CHECK(scores_.size() >= static_cast<size_t>(vocabulary.size()));
}

std::vector<ScoreMerge::Symbol> ScoreMerge::merge(std::string_view word) const {
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < word.size();) {
    const size_t length = std::min(utf8_length(word[at]), word.size() - at);
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({at, length, index - 1, index + 1});
    at += length;
  }
  if (!symbols.empty()) symbols.back().next = -1;
  const auto symbol = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };

  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const size_t length = symbol(left).length + symbol(right).length;
    if (const auto id = vocabulary_->find(word.substr(symbol(left).begin, length)))
      queue.push({scores_[static_cast<size_t>(*id)], left, right, length});
  };
  for (int32_t i = 1; i < static_cast<int32_t>(symbols.size()); ++i) consider(i - 1, i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbol(top.left);
    Symbol& right = symbol(top.right);
    if (left.length == 0 || right.length == 0 || left.length + right.length != top.length) continue;
    left.length += right.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) symbol(right.next).previous = top.left;
    consider(left.previous, top.left);
    consider(top.left, left.next);
  }
  return symbols;
}

void ScoreMerge::push_bytes(std::string_view bytes, std::vector<TokenId>& out) const {
  for (const char c : bytes) {
    auto id = vocabulary_->find(byte_token(static_cast<unsigned char>(c)));
    if (!id) id = vocabulary_->find({&c, 1});
    if (!id && unk_id_ && !out.empty() && out.back() == *unk_id_) continue;
    if (!id) id = unk_id_;
    if (id) out.push_back(*id);
  }
}

void ScoreMerge::encode(std::string_view word, std::vector<TokenId>& out) const {
  for (const Symbol& symbol : merge(word)) {
    if (symbol.length == 0) continue;
    const std::string_view piece = word.substr(symbol.begin, symbol.length);
    if (const auto id = vocabulary_->find(piece))
      out.push_back(*id);
    else
      push_bytes(piece, out);
  }
}

}  // namespace assay::text
