#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/regex.hpp"

namespace assay::text {

/// A stretch of text that the subword model sees alone.
struct Word {
  std::string text;
  bool at_start = false;  ///< begins where the whole input begins
};

/// What happens to the matches of a split. Source: huggingface/tokenizers, tokenizer/normalizer.rs.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

using CharacterTest = bool (*)(char32_t) noexcept;

struct SplitStep {
  std::variant<std::string, Regex, CharacterTest> matcher;  ///< a string matches literally
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  ///< what lies between the matches counts as the match
};
struct ByteLevelStep {
  bool add_prefix_space = false;
  bool use_regex = true;  ///< split with GPT-2's expression first
};
struct MetaspaceStep {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement;
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};
/// BERT's words as llama.cpp makes them, normalization included (llama-vocab.cpp,
/// llm_tokenizer_wpm_session::preprocess).
struct LlamaBertStep {
  bool lowercase = true;
  bool strip_accents = true;
};
using PreTokenizerStep = std::variant<SplitStep, ByteLevelStep, MetaspaceStep, LlamaBertStep>;

/// GPT-2's expression (openai/gpt-2, encoder.py).
extern const char* const kGpt2Regex;

class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}
  /// From tokenizer.json's "pre_tokenizer" (null: none). Throws Error naming `where` for an unknown type.
  static PreTokenizer from_json(const nlohmann::json& json, const std::string& where);

  /// `text` must be valid UTF-8 and not empty.
  std::vector<Word> split(std::string_view text, bool at_start) const;
  const std::vector<PreTokenizerStep>& steps() const noexcept { return steps_; }

 private:
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace assay::text
