#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/charsmap.hpp"
#include "text/regex.hpp"
#include "text/unicode.hpp"

namespace assay::text {

/// The steps a tokenizer.json's "normalizer" may hold. Source: huggingface/tokenizers, normalizers/.
struct LowercaseStep {};
struct StripAccentsStep {};  ///< drops M*; decomposition is a step of its own
struct StripStep {
  bool left, right;
};
struct ReplaceStep {
  std::variant<std::string, Regex> pattern;
  std::string content;
};
struct PrependStep {  ///< leaves an empty text empty
  std::string prefix;
};
struct BertStep {
  bool clean_text, chinese_chars, strip_accents, lowercase;
};
struct ByteAlphabetStep {};
struct NmtStep {};
using NormalizerStep = std::variant<NormalForm, LowercaseStep, StripAccentsStep, StripStep, ReplaceStep,
                                    PrependStep, BertStep, ByteAlphabetStep, NmtStep, Charsmap>;

/// Rewrites text before it is split.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}
  /// From tokenizer.json's "normalizer" (null: none). Throws Error naming `where` for an unknown type.
  static Normalizer from_json(const nlohmann::json& json, const std::string& where);

  /// `text` must be valid UTF-8; so is the result.
  std::string apply(std::string_view text) const;
  const std::vector<NormalizerStep>& steps() const noexcept { return steps_; }
  bool empty() const noexcept { return steps_.empty(); }

 private:
  std::vector<NormalizerStep> steps_;
};

/// Replaces every match of a literal or of an expression.
std::string replace_pattern(std::string_view text, const std::variant<std::string, Regex>& pattern,
                            std::string_view content);
/// {"String": "…"} or {"Regex": "…"} of tokenizer.json.
std::variant<std::string, Regex> pattern_from_json(const nlohmann::json& json, const std::string& where);

}  // namespace assay::text
