#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay::text {

/// SentencePiece's precompiled normalization table: a double-array trie from character sequences to offsets
/// of NUL-terminated replacements. Layout: u32 trie bytes, the trie's u32 units, the replacements. Source:
/// google/sentencepiece src/normalizer.cc; huggingface/spm_precompiled lib.rs.
class Charsmap {
 public:
  /// Throws Error naming `where` when the table is cut off. `blob` may be empty: nothing is replaced.
  Charsmap(std::string_view blob, const std::string& where);
  static Charsmap from_base64(std::string_view base64, const std::string& where);

  /// Grapheme clusters shorter than six bytes are looked up whole, then character by character, as Hugging
  /// Face does.
  std::string apply(std::string_view text) const;

 private:
  std::optional<std::string_view> find(std::string_view key) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

/// Decodes standard base64 with padding; nothing when malformed.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace assay::text
