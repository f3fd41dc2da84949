#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/added_tokens.hpp"
#include "text/bpe.hpp"
#include "text/decoder.hpp"
#include "text/normalizer.hpp"
#include "text/post_processor.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/score_merge.hpp"
#include "text/tokenizer.hpp"
#include "text/truncation.hpp"
#include "text/unigram.hpp"
#include "text/vocabulary.hpp"
#include "text/wordpiece.hpp"

namespace assay::text {

/// Ids with a role.
struct SpecialIds {
  std::optional<TokenId> bos, eos, pad, unk;
  std::vector<TokenId> end;  ///< eos and the other ends of a turn
};

/// What a GGUF file says about a vocabulary beyond what encoding needs.
struct GgufFacts {
  /// Entries that exist already: all of tokenizer.ggml.* when the vocabulary came from a GGUF file, else
  /// those for special ids and flags, in the converter's order.
  std::vector<std::pair<std::string, GgufValue>> entries;
  bool from_gguf = false;
  /// By id; empty unless the vocabulary came from a SentencePiece model.
  std::vector<float> scores;
  std::vector<TokenKind> kinds;
  std::optional<bool> add_space_prefix;  ///< tokenizer_config.json's add_prefix_space
};

/// A tokenizer's stages: added tokens, normalization, words, pieces, special tokens around, and back.
/// Not movable: the subword model refers to the vocabulary.
struct Pipeline {
  Pipeline() = default;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  Vocabulary vocabulary;  ///< the model's own pieces; added tokens may have ids beyond it
  AddedTokens added;
  /// llama.cpp's order of searching; empty when the tokenizer did not come from a GGUF file.
  std::vector<AddedToken> longest_first;
  bool llama_search = false;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::variant<std::monostate, Bpe, WordPiece, Unigram, ScoreMerge, LlamaWordPiece> subword;
  PostProcessor post_processor;
  Truncation truncation;
  Decoder decoder;
  SpecialIds special;
  GgufFacts gguf;

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;
  Encoding encode_pair(std::string_view text, std::optional<std::string_view> pair,
                       const PairOptions& options) const;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const;

  /// The stored piece; nothing for a gap and out of range.
  std::optional<std::string_view> piece(TokenId id) const noexcept;
  std::optional<TokenId> find(std::string_view piece) const;
  int64_t size() const noexcept;
  bool is_special(TokenId id) const noexcept;
  /// Whether decode() looks at this id.
  bool is_decoded(TokenId id, bool skip_special) const noexcept;
  std::vector<std::string> pieces_of(std::span<const TokenId> ids, bool skip_special) const;

 private:
  void encode_segment(const Segment& segment, std::vector<TokenId>& ids) const;
  void encode_words(std::string_view text, bool at_start, std::vector<TokenId>& ids) const;
};

}  // namespace assay::text

namespace assay {
struct Tokenizer::Model : text::Pipeline {};
}  // namespace assay
