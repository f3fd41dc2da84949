#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "eval/judge_prompts.hpp"
#include "eval/record_log.hpp"
#include "eval/respondent.hpp"

namespace assay {

/// What can be told of an answer without a judge.
struct AnswerFlags {
  bool truncated = false;      ///< a turn ended at its limit of tokens
  bool empty = false;          ///< nothing but white space is left once the thinking is taken out
  bool repetitive = false;     ///< see is_repetitive
  bool no_code = false;        ///< a program was asked for; there is no code block and no `def NAME(`
  bool unclosed_code = false;  ///< a bracket, a quote or a code block of its program is never closed
};
/// "truncated", "empty", "repetitive", "no_code", "unclosed_code": those that hold.
std::vector<std::string> flag_names(const AnswerFlags& flags);

/// What a subject answered to one prompt.
struct PromptAnswer {
  std::string prompt_id;
  std::vector<Answer> turns;       ///< as generated
  std::vector<std::string> texts;  ///< the same without thinking: what the judge reads
  AnswerFlags flags;

  int64_t tokens() const noexcept;
  double seconds() const noexcept;
  /// Bytes of all texts.
  size_t length() const noexcept;
};

/// All answers of a subject, in the order of the prompts.
struct AnswerSet {
  std::string subject;      ///< label
  std::string identity;     ///< what answered: a hash of weights and template, or an endpoint's address
  std::string file_sha256;  ///< of the weights; empty for an endpoint
  std::vector<PromptAnswer> answers;
};

/// Who is asked. `open` is called only when an answer is not in the log already.
struct AnswerSource {
  std::string subject, identity, file_sha256;
  std::function<std::unique_ptr<Respondent>()> open;
  bool repeatable = false;  ///< answers the same bytes whenever it is asked the same: assay's own engine does
};

/// Every prompt answered with the same decoding. `rerun` tells a second set of answers of the same subject
/// from the first; with sampling its seed is decoding.seed + rerun. Answers are looked up in the log by
/// answer_key() and appended to it one prompt at a time. Throws what the respondent throws.
AnswerSet collect_answers(const AnswerSource& source, const PromptSet& prompts,
                          const DecodingOptions& decoding, RecordLog& log, Progress& progress,
                          uint64_t rerun = 0);

/// sha256 over what an answer depends on.
std::string answer_key(const AnswerSource& source, const JudgePrompt& prompt, const DecodingOptions& decoding,
                       uint64_t rerun);

/// Bytes that are no UTF-8 replaced, so that a text reads back from a store as it was first judged.
std::string valid_utf8(const std::string& text);

/// `text` without `<think>…</think>`; an unclosed `<think>` takes everything behind it, and a `</think>`
/// without its beginning (templates open it in the prompt) everything before it.
std::string strip_thinking(std::string_view text);

/// Share of the word 4-grams that occurred before in the text; 0 with fewer than 20 of them.
double repetition(std::string_view text);
/// repetition() above one half, or a unit that the text ends in four times or more, 64 bytes or more of it.
bool is_repetitive(std::string_view text);

/// A code block, or a Python definition `def NAME(` at the beginning of a line.
bool has_code(std::string_view text);
/// Whether every code block ends and, inside the blocks (the whole text where there are none but a `def`),
/// every bracket and every quote of Python is closed. A necessary sign of a program that parses; no parser.
bool is_code_closed(std::string_view text);

AnswerFlags flag_answer(const JudgePrompt& prompt, const std::vector<Answer>& turns,
                        const std::vector<std::string>& texts);

}  // namespace assay
