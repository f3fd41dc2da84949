#pragma once
#include <cstdint>
#include <string_view>

#include "eval/guard_labels.hpp"

namespace assay {

/// How a guard model's text becomes labels.
enum class GuardParser : uint8_t {
  /// The last 300 characters; in them the first "Request:", "Completion:" and "Response:" that a word of the
  /// task follows, in any case. Source: yueliu1999/GuardReasoner evaluate.py.
  kOfficial,
  /// Task 1 alone, from the last "request:" to the end of its line, else from any of the words anywhere: what
  /// bigsnarfdude/wizard101 did (eval_8b_baseline.py). Biased towards safe; kept to compare with old results.
  kLegacy,
};
/// "official", "legacy".
std::string_view guard_parser_name(GuardParser parser) noexcept;
/// Throws UsageError for another word.
GuardParser parse_guard_parser(std::string_view word);

/// The labels that `text` (UTF-8; ill-formed bytes count as one character each) gives.
GuardLabels parse_guard_answer(std::string_view text, GuardParser parser);

/// The official rule without the cut, for labels written as "Answers: \nRequest: None\n…".
GuardLabels parse_guard_answers_block(std::string_view text);

}  // namespace assay
