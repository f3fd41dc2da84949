#pragma once
#include <optional>
#include <vector>

#include "text/vocabulary.hpp"

namespace assay::text {

/// SentencePiece's BPE as llama.cpp runs it: two neighbours may merge when their concatenation is a piece,
/// the piece with the highest score first, the leftmost of equals. Characters left without a piece become
/// byte tokens. Source: llama.cpp src/llama-vocab.cpp (llm_tokenizer_spm_session).
class ScoreMerge {
 public:
  /// `scores` has one value per id; `vocabulary` must outlive the object. Bytes without
  /// a byte token become one `unk_id` for all that follow each other, or nothing (llama.cpp stops the program
  /// there).
  ScoreMerge(const Vocabulary& vocabulary, std::vector<float> scores, std::optional<TokenId> unk_id);
  void encode(std::string_view word, std::vector<TokenId>& out) const;
  const std::vector<float>& scores() const noexcept { return scores_; }

 private:
  struct Symbol {
    size_t begin, length;    ///< in the word; length 0 once merged into the left neighbour
    int32_t previous, next;  ///< -1 at the ends
  };
  std::vector<Symbol> merge(std::string_view word) const;
  void push_bytes(std::string_view bytes, std::vector<TokenId>& out) const;

  const Vocabulary* vocabulary_;
  std::vector<float> scores_;
  std::optional<TokenId> unk_id_;
};

}  // namespace assay::text
