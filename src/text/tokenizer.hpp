#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.hpp"

namespace assay {

using TokenId = int32_t;

/// How llama.cpp classes a token in a GGUF vocabulary (llama.h, llama_token_type).
enum class TokenKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct EncodeOptions {
  bool add_special =
      true;  ///< apply the post-processor (BOS and the like); never doubles a BOS already there
  bool parse_special = true;  ///< recognise special tokens written in the text
};

/// The ids of one text or pair, with their segment numbers (0, or 1 for the second text of a pair).
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<int32_t> types;
};

/// Which side of a pair gives up tokens. Source: huggingface/tokenizers utils/truncation.rs.
enum class TruncationStrategy : uint8_t { kLongestFirst, kOnlyFirst, kOnlySecond };

struct PairOptions {
  int64_t max_length =
      0;  ///< special tokens included; 0: what tokenizer.json's truncation says, else no limit
  /// Nothing: what tokenizer.json's truncation says, else longest first.
  std::optional<TruncationStrategy> strategy{};
  bool parse_special = true;
};

/// Turns text into token ids and back, exactly as Hugging Face's fast tokenizers (or llama.cpp for GGUF
/// vocabularies) do. Immutable after construction and safe to share between threads.
class Tokenizer {
 public:
  /// From tokenizer.json, or vocab.json + merges.txt, or tokenizer.model (SentencePiece protobuf or tiktoken
  /// ranks), or vocab.txt, in that order; tokenizer_config.json, special_tokens_map.json and
  /// added_tokens.json refine it. Throws Error when the folder has none of them or a part is malformed or
  /// unsupported.
  static Tokenizer from_directory(const std::filesystem::path& directory);
  /// From the tokenizer.ggml.* keys of a GGUF file.
  static Tokenizer from_gguf(const GgufMetadata& metadata);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// `text` need not be valid UTF-8: invalid bytes are treated as Hugging Face treats them (U+FFFD).
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  /// A text, or a pair of texts, with its special tokens and segment numbers, cut to `max_length` as Hugging
  /// Face's fast tokenizers do; never padded. Throws Error when max_length leaves no room for the special
  /// tokens, when the strategy cannot reach it, or when the tokenizer has no template for pairs.
  Encoding encode_pair(std::string_view text, std::optional<std::string_view> pair,
                       const PairOptions& options = {}) const;
  /// tokenizer.json's own truncation length, if it names one.
  std::optional<int64_t> truncation_length() const noexcept;
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;

  int64_t vocab_size() const noexcept;  ///< highest id + 1, added tokens included
  std::string_view token(
      TokenId id) const;  ///< the stored piece, e.g. "Ġthe"; throws Error when out of range
  std::optional<TokenId> id_of(std::string_view piece) const noexcept;
  bool is_special(TokenId id) const noexcept;

  std::optional<TokenId> bos_id() const noexcept;
  std::optional<TokenId> eos_id()
      const noexcept;  ///< the tokenizer's own; see engine stop rules for the union
  std::optional<TokenId> pad_id() const noexcept;
  std::optional<TokenId> unk_id() const noexcept;
  /// Ids by which text generation must also stop according to the tokenizer (eos, eot, eom).
  std::vector<TokenId> end_ids() const;
  /// Whether encode() with add_special puts a BOS first.
  bool adds_bos() const noexcept;

  /// The tokenizer.ggml.* entries that make llama.cpp tokenize the same way, in its converter's order:
  /// model, pre, tokens (padded to `vocab_size` with [PADi], UNUSED), token_type, scores or merges, special
  /// ids, add_* flags. Throws Error when llama.cpp has no equivalent (the message says which part).
  /// The chat template is not among them.
  void write_gguf(GgufMetadata& metadata, int64_t vocab_size) const;

 private:
  friend class StreamDecoder;
  struct Model;
  explicit Tokenizer(std::unique_ptr<const Model> model);
  std::unique_ptr<const Model> model_;
};

/// Decodes a growing sequence: push() returns the text that has become certain, holding back incomplete UTF-8
/// until its last byte arrives. The concatenation equals Tokenizer::decode of all ids once flush() has run.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true);
  std::string push(TokenId id);
  std::string flush();

 private:
  std::string take(bool at_end);

  const Tokenizer& tokenizer_;
  bool skip_special_;
  bool at_start_ = true;      ///< nothing has been decoded yet
  std::vector<TokenId> ids_;  ///< seen, and not yet decoded
  std::string pending_;       ///< the beginning of a character whose last bytes are still to come
};

}  // namespace assay
