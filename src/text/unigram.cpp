#include "text/unigram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

/// Below the worst piece, so that unknown characters are a last resort (model.rs, K_UNK_PENALTY).
constexpr double kUnknownPenalty = 10.0;

uint32_t prefix_of(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  return text.size() < 2 ? first : (first << 8 | static_cast<unsigned char>(text[1])) + 256u;
}

}  // namespace

Unigram::Unigram(const Vocabulary& vocabulary, std::vector<double> scores, Options options,
                 const std::string& where)
    : vocabulary_(&vocabulary), scores_(std::move(scores)), options_(options) {
  ASSAY_CHECK(scores_.size() == static_cast<size_t>(vocabulary.size()));
  if (options_.unk_id && !vocabulary.contains(*options_.unk_id))
    throw Error({"unk_id is not an id of the vocabulary", where, {}, std::to_string(*options_.unk_id), {}});
  double worst = std::numeric_limits<double>::infinity();
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    if (piece.empty()) continue;
    worst = std::min(worst, scores_[static_cast<size_t>(id)]);
    size_t& longest = longest_by_prefix_[prefix_of(piece)];
    longest = std::max(longest, piece.size());
  }
  unk_score_ = worst - kUnknownPenalty;
}

std::vector<Unigram::Step> Unigram::find_best_path(std::string_view word) const {
  std::vector<Step> path(word.size() + 1);
  path[0].begin = 0;
  const auto offer = [&](size_t begin, size_t end, TokenId id, double piece_score) {
    const double score = path[begin].score + piece_score;
    if (path[end].begin >= 0 && score <= path[end].score) return;
    path[end] = {score, static_cast<int64_t>(begin), id};
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t char_length = std::min(utf8_length(word[begin]), word.size() - begin);
    const auto longest = longest_by_prefix_.find(prefix_of(word.substr(begin, 2)));
    const size_t limit =
        std::min(word.size() - begin, longest == longest_by_prefix_.end() ? size_t{1} : longest->second);
    // A one-byte piece is found under any prefix, as length 1 is always tried.
    bool has_character = false;
    for (size_t length = 1; length <= limit; ++length) {
      const auto id = vocabulary_->find(word.substr(begin, length));
      if (!id) continue;
      offer(begin, begin + length, *id, scores_[static_cast<size_t>(*id)]);
      has_character |= length == char_length;
    }
    if (!has_character) {
      if (!options_.unk_id)
        throw Error("the text holds a character the unigram model lacks, and it has no unknown token");
      offer(begin, begin + char_length, *options_.unk_id, unk_score_);
    }
    begin += char_length;
  }
  return path;
}

void Unigram::push_piece(std::string_view piece, std::vector<TokenId>& out) const {
  if (const auto id = vocabulary_->find(piece)) {
    out.push_back(*id);
    return;
  }
  if (options_.byte_fallback) {
    std::vector<TokenId> bytes;
    for (const char c : piece)
      if (const auto id = vocabulary_->find(byte_token(static_cast<unsigned char>(c)))) bytes.push_back(*id);
    if (bytes.size() == piece.size()) {
      out.insert(out.end(), bytes.begin(), bytes.end());
      return;
    }
  }
  out.push_back(*options_.unk_id);
}

void Unigram::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  const std::vector<Step> path = find_best_path(word);
  std::vector<std::string_view> pieces;  // from the end
  bool fusing = false;                   // neighbouring unknown characters become one
  for (size_t end = word.size(); end > 0;) {
    const Step& step = path[end];
    const auto begin = static_cast<size_t>(step.begin);
    const bool unknown = options_.unk_id && step.id == *options_.unk_id;
    if (unknown && fusing)
      pieces.back() = word.substr(begin, pieces.back().size() + end - begin);
    else
      pieces.push_back(word.substr(begin, end - begin));
    fusing = unknown;
    end = begin;
  }
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) push_piece(*piece, out);
}

}  // namespace assay::text
