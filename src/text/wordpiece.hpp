#pragma once
#include <string>
#include <vector>

#include "text/vocabulary.hpp"

namespace assay::text {

/// Greedy longest match from the left; a word with an unmatched rest becomes the unknown token.
/// Source: huggingface/tokenizers, models/wordpiece/mod.rs.
class WordPiece {
 public:
  struct Options {
    std::string unk_token = "[UNK]";
    std::string continuing_prefix = "##";
    size_t max_chars_per_word = 100;
  };
  /// `vocabulary` must outlive the object. Throws Error naming `where` without the unknown token.
  WordPiece(const Vocabulary& vocabulary, Options options, const std::string& where);
  void encode(std::string_view word, std::vector<TokenId>& out) const;
  const Options& options() const noexcept { return options_; }

 private:
  const Vocabulary* vocabulary_;
  Options options_;
  TokenId unk_id_ = 0;
  size_t longest_piece_ = 0;  ///< bytes; bounds the search for a match
};

/// The same idea as llama.cpp has it: pieces that begin a word carry U+2581, others nothing, and a match may
/// start in the middle of a word as well as at its front. Source: llama.cpp src/llama-vocab.cpp
/// (llm_tokenizer_wpm_session).
class LlamaWordPiece {
 public:
  LlamaWordPiece(const Vocabulary& vocabulary, TokenId unk_id);
  void encode(std::string_view word, std::vector<TokenId>& out) const;

 private:
  const Vocabulary* vocabulary_;
  TokenId unk_id_;
  size_t longest_piece_ = 0;
};

}  // namespace assay::text
