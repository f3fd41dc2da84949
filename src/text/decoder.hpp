#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/regex.hpp"

namespace assay::text {

/// Steps from pieces to text. Source: huggingface/tokenizers, decoders/.
struct ByteLevelDecode {};
struct ByteFallbackDecode {
  /// Hugging Face turns a run of byte tokens that is not UTF-8 into one U+FFFD per byte; llama.cpp passes the
  /// bytes on.
  bool whole_runs = true;
};
struct FuseDecode {};
struct StripDecode {
  std::string content;  ///< one character
  size_t start, stop;   ///< how many at each end of a piece
};
struct ReplaceDecode {
  std::variant<std::string, Regex> pattern;
  std::string content;
};
struct MetaspaceDecode {
  std::string replacement;
  bool drops_first;  ///< the first piece's markers were added, not part of the text
};
struct WordPieceDecode {
  std::string prefix;
  bool cleanup;
};
struct BpeDecode {
  std::string suffix;
};
/// Pieces put together with spaces between: what Hugging Face does without a decoder.
struct JoinWithSpaces {};
using DecoderStep = std::variant<ByteLevelDecode, ByteFallbackDecode, FuseDecode, StripDecode, ReplaceDecode,
                                 MetaspaceDecode, WordPieceDecode, BpeDecode, JoinWithSpaces>;

class Decoder {
 public:
  Decoder() = default;
  explicit Decoder(std::vector<DecoderStep> steps);
  /// From tokenizer.json's "decoder" (null: pieces joined by spaces). Throws Error naming `where`.
  static Decoder from_json(const nlohmann::json& json, const std::string& where);

  /// The bytes of the pieces; `at_start` and `at_end` say that the first begins and the last ends the text.
  /// Not always UTF-8: a piece may hold a part of a character.
  std::string decode(std::vector<std::string> pieces, bool at_start = true, bool at_end = true) const;

  /// How a growing sequence may be cut so that the parts' texts put together equal the text of the whole.
  enum class Cut {
    kAnywhere,      ///< behind every piece
    kOutsideBytes,  ///< not inside a run of byte tokens
    kOneBehind,     ///< the last piece must wait for the next one
    kNowhere        ///< only at the end
  };
  Cut cut() const noexcept { return cut_; }

 private:
  std::vector<DecoderStep> steps_;
  Cut cut_ = Cut::kAnywhere;
};

}  // namespace assay::text
