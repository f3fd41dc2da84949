#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/vocabulary.hpp"

namespace assay::text {

/// Byte-pair encoding of one word: its characters, then merges in the order of their rank.
/// Source: huggingface/tokenizers, models/bpe/{model,word}.rs.
struct BpeOptions {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;  ///< a word that is a piece is taken whole
};

class Bpe {
 public:
  struct Merge {
    std::string left, right;
  };
  /// Which of two merges of the same pair counts: Hugging Face keeps the later one, llama.cpp the earlier.
  enum class Duplicates { kLastWins, kFirstWins };

  /// `vocabulary` must outlive the object. Throws Error naming `where` when a merge names or makes a piece
  /// that the vocabulary lacks, or the unknown token is missing. With kFirstWins (llama.cpp) merges without
  /// pieces are skipped instead, as they can never apply.
  Bpe(const Vocabulary& vocabulary, BpeOptions options, const std::vector<Merge>& merges,
      Duplicates duplicates, const std::string& where);

  void encode(std::string_view word, std::vector<TokenId>& out) const;

  const BpeOptions& options() const noexcept { return options_; }
  /// The pairs in rank order, for writing them elsewhere.
  const std::vector<std::pair<TokenId, TokenId>>& merges() const noexcept { return merges_; }
  /// The piece that merging two pieces makes.
  std::optional<TokenId> merged(TokenId left, TokenId right) const;

 private:
  struct Rule {
    int32_t rank;
    TokenId made;
  };
  struct PairHash {
    size_t operator()(uint64_t pair) const noexcept {
      pair *= 0x9E3779B97F4A7C15u;  // Fibonacci hashing: ids are small and dense
      return pair ^ pair >> 32;
    }
  };
  struct Symbol {
    TokenId id;
    int32_t previous, next;  ///< -1 at the ends
    bool alive;
  };

  const Rule* find_rule(TokenId left, TokenId right) const;
  void split_characters(std::string_view word, std::vector<Symbol>& symbols) const;
  bool push_bytes(std::string_view character, std::vector<Symbol>& symbols) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  const Vocabulary* vocabulary_;
  BpeOptions options_;
  std::optional<TokenId> unk_id_;
  std::vector<std::optional<TokenId>> byte_ids_;  ///< of "<0x00>"…; empty without byte fallback
  std::unordered_map<uint64_t, Rule, PairHash> rules_;
  std::vector<std::pair<TokenId, TokenId>> merges_;
};

/// Which of several ways to make the same piece ranks first.
enum class MergeTies {
  kLongerLeft,  ///< as for SentencePiece: longer left part, longer right part, lower ids
  kLowerIds     ///< as for tiktoken ranks
};
/// The merges a vocabulary with scores implies: every split of a piece into two pieces, the best pieces
/// first. `scores` has one value per id. Source: huggingface/transformers, convert_slow_tokenizer.py
/// (generate_merges; TikTokenConverter).
std::vector<Bpe::Merge> generate_merges(const Vocabulary& vocabulary, const std::vector<double>& scores,
                                        MergeTies ties);

}  // namespace assay::text
