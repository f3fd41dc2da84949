#include "text/bpe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct Candidate {
  int32_t rank;
  int32_t position;
  TokenId made;
  /// For std::priority_queue, which serves the largest: lowest rank first, then leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, BpeOptions options, const std::vector<Merge>& merges,
         Duplicates duplicates, const std::string& where)
    : vocabulary_(&vocabulary), options_(std::move(options)) {
  if (options_.unk_token) {
    unk_id_ = vocabulary.find(*options_.unk_token);
    if (!unk_id_)
      throw Error({fmt::format("the unknown token {:?} is not in the vocabulary", *options_.unk_token),
                   where,
                   {},
                   {},
                   {}});
  }
  if (options_.byte_fallback) {
    byte_ids_.resize(256);
    for (size_t b = 0; b < 256; ++b)
      byte_ids_[b] = vocabulary.find(byte_token(static_cast<unsigned char>(b)));
  }
  const bool lenient = duplicates == Duplicates::kFirstWins;
  const size_t prefix = options_.continuing_subword_prefix.size();
  rules_.reserve(merges.size());
  merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto left_id = vocabulary.find(left);
    const auto right_id = vocabulary.find(right);
    const bool continues = prefix > 0 && right.size() >= prefix;
    const auto made = vocabulary.find(left + (continues ? right.substr(prefix) : right));
    if (!left_id || !right_id || !made) {
      if (lenient) continue;
      throw Error(
          {fmt::format("merge {} ({:?} + {:?}) needs a piece that the vocabulary lacks", rank, left, right),
           where,
           {},
           {},
           "vocabulary and merges of different models?"});
    }
    const Rule rule{static_cast<int32_t>(rank), *made};
    const auto [slot, fresh] = rules_.emplace(pair_key(*left_id, *right_id), rule);
    if (!fresh && !lenient) slot->second = rule;
    merges_.emplace_back(*left_id, *right_id);
  }
}

const Bpe::Rule* Bpe::find_rule(TokenId left, TokenId right) const {
  const auto found = rules_.find(pair_key(left, right));
  return found == rules_.end() ? nullptr : &found->second;
}

std::optional<TokenId> Bpe::merged(TokenId left, TokenId right) const {
  const Rule* rule = find_rule(left, right);
  return rule != nullptr ? std::optional(rule->made) : std::nullopt;
}

bool Bpe::push_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  for (const char c : character)
    if (!byte_ids_[static_cast<unsigned char>(c)]) return false;
  for (const char c : character) symbols.push_back({*byte_ids_[static_cast<unsigned char>(c)], 0, 0, true});
  return true;
}

void Bpe::split_characters(std::string_view word, std::vector<Symbol>& symbols) const {
  bool pending_unk = false;  // held back so that neighbours can fuse with it
  const auto flush = [&] {
    if (pending_unk) symbols.push_back({*unk_id_, 0, 0, true});
    pending_unk = false;
  };
  std::string decorated;
  for (size_t at = 0; at < word.size();) {
    const size_t length = std::min(utf8_length(word[at]), word.size() - at);
    std::string_view character = word.substr(at, length);
    const bool first = at == 0, last = at + length == word.size();
    at += length;
    if ((!first && !options_.continuing_subword_prefix.empty()) ||
        (last && !options_.end_of_word_suffix.empty())) {
      decorated = first ? "" : options_.continuing_subword_prefix;
      decorated += character;
      if (last) decorated += options_.end_of_word_suffix;
      character = decorated;
    }
    if (const auto id = vocabulary_->find(character)) {
      flush();
      symbols.push_back({*id, 0, 0, true});
    } else if (options_.byte_fallback && push_bytes(character, symbols)) {
      continue;  // Hugging Face does not flush a pending unknown token here
    } else if (unk_id_) {
      if (!options_.fuse_unk) flush();
      pending_unk = true;
    }
  }
  flush();
}

void Bpe::merge_all(std::vector<Symbol>& symbols) const {
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    if (const Rule* rule =
            find_rule(symbols[static_cast<size_t>(left)].id, symbols[static_cast<size_t>(right)].id))
      queue.push({rule->rank, left, rule->made});
  };
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
    if (i > 0) consider(i - 1, i);
  }
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(top.position)];
    if (!left.alive || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    const Rule* rule = find_rule(left.id, right.id);
    if (rule == nullptr || rule->made != top.made) continue;  // the pair has changed since
    left.id = top.made;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = top.position;
    consider(left.previous, top.position);
    consider(top.position, left.next);
  }
}

void Bpe::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  if (options_.ignore_merges) {
    if (const auto id = vocabulary_->find(word)) {
      out.push_back(*id);
      return;
    }
  }
  static thread_local std::vector<Symbol> symbols;
  symbols.clear();
  split_characters(word, symbols);
  merge_all(symbols);
  for (const Symbol& symbol : symbols)
    if (symbol.alive) out.push_back(symbol.id);
}

std::vector<Bpe::Merge> generate_merges(const Vocabulary& vocabulary, const std::vector<double>& scores,
                                        MergeTies ties) {
  struct Split {
    TokenId piece, left, right;
    size_t left_chars, right_chars;
  };
  const auto count_chars = [](std::string_view text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<Split> splits;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    const size_t begin = splits.size();
    for (size_t at = 1; at < piece.size(); ++at) {
      if ((piece[at] & 0xC0) == 0x80) continue;
      const auto left = vocabulary.find(piece.substr(0, at));
      const auto right = left ? vocabulary.find(piece.substr(at)) : std::nullopt;
      if (right)
        splits.push_back(
            {id, *left, *right, count_chars(piece.substr(0, at)), count_chars(piece.substr(at))});
    }
    std::sort(splits.begin() + static_cast<std::ptrdiff_t>(begin), splits.end(),
              [](const Split& a, const Split& b) {
                return a.left != b.left ? a.left < b.left : a.right < b.right;
              });
  }
  // Python's sort with reverse=True keeps the order of equals.
  std::stable_sort(splits.begin(), splits.end(), [&](const Split& a, const Split& b) {
    const double x = scores[static_cast<size_t>(a.piece)], y = scores[static_cast<size_t>(b.piece)];
    if (x != y || ties == MergeTies::kLowerIds) return x > y;
    return a.left_chars != b.left_chars ? a.left_chars > b.left_chars : a.right_chars > b.right_chars;
  });
  std::vector<Bpe::Merge> merges;
  merges.reserve(splits.size());
  for (const Split& split : splits)
    merges.push_back({std::string(vocabulary.piece(split.left)), std::string(vocabulary.piece(split.right))});
  return merges;
}

}  // namespace assay::text
