#pragma once
#include <optional>
#include <unordered_map>
#include <vector>

#include "text/vocabulary.hpp"

namespace assay::text {

/// The most probable segmentation under a unigram model (Viterbi). Source: huggingface/tokenizers,
/// models/unigram/model.rs (encode_optimized).
class Unigram {
 public:
  struct Options {
    std::optional<TokenId> unk_id;
    bool byte_fallback = false;
  };
  /// `scores` are log probabilities by id; `vocabulary` must outlive the object. Throws Error naming `where`
  /// when unk_id is out of range.
  Unigram(const Vocabulary& vocabulary, std::vector<double> scores, Options options,
          const std::string& where);
  /// Throws Error for an unknown character when the model has no unknown token.
  void encode(std::string_view word, std::vector<TokenId>& out) const;
  const std::vector<double>& scores() const noexcept { return scores_; }
  const Options& options() const noexcept { return options_; }

 private:
  /// Best way to reach a byte position.
  struct Step {
    double score = 0;
    int64_t begin = -1;  ///< -1: not reached
    TokenId id = 0;
  };
  std::vector<Step> find_best_path(std::string_view word) const;
  void push_piece(std::string_view piece, std::vector<TokenId>& out) const;

  const Vocabulary* vocabulary_;
  std::vector<double> scores_;
  Options options_;
  double unk_score_ = 0;
  /// Bytes of the longest piece that starts with a given two-byte prefix: bounds the look-ups per position.
  std::unordered_map<uint32_t, size_t> longest_by_prefix_;
};

}  // namespace assay::text
