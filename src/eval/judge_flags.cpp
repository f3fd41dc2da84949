// What can be told of an answer without a judge: see judge_answers.hpp.
#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>

#include "eval/judge_answers.hpp"

namespace assay {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>", kFence = "```";
constexpr std::string_view kSpace = " \t\r\n\v\f";

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t begin = text.find_first_not_of(kSpace); begin != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kSpace, end);
  }
  return words;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kSpace) == std::string_view::npos;
}

/// Whether the text ends in the same unit over and over: four times or more, 64 bytes or more.
bool ends_in_a_loop(std::string_view text) {
  constexpr size_t kTimes = 4, kBytes = 64, kLongestUnit = 1024;
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  for (size_t unit = 1; unit <= kLongestUnit && unit * kTimes <= text.size(); ++unit) {
    const size_t looped = std::max(unit * kTimes, kBytes);
    if (looped > text.size()) continue;
    const std::string_view tail = text.substr(text.size() - looped);
    if (tail.substr(unit) == tail.substr(0, looped - unit)) return true;
  }
  return false;
}

/// The programs of an answer: what stands in its code blocks, or all of it where there are none.
/// `closed` becomes false when the last block never ends.
std::vector<std::string_view> programs_of(std::string_view text, bool& closed) {
  std::vector<std::string_view> programs;
  closed = true;
  if (text.find(kFence) == std::string_view::npos) return {text};
  for (size_t at = text.find(kFence); at != std::string_view::npos; at = text.find(kFence, at)) {
    const size_t begin = std::min(text.find('\n', at), text.size());
    const size_t end = text.find(kFence, begin);
    closed = end != std::string_view::npos;
    if (!closed) break;
    programs.push_back(text.substr(begin, end - begin));
    at = end + kFence.size();
  }
  return programs;
}

/// Position behind the string literal that begins at `at`; npos when it never ends.
size_t skip_literal(std::string_view program, size_t at) {
  const char quote = program[at];
  const std::string three(3, quote);
  const bool triple = program.substr(at, 3) == three;
  for (at += triple ? 3 : 1; at < program.size(); ++at) {
    if (program[at] == '\\') {
      ++at;
    } else if (triple ? program.substr(at, 3) == three : program[at] == quote) {
      return at + (triple ? 3 : 1);
    } else if (!triple && program[at] == '\n') {
      return std::string_view::npos;
    }
  }
  return std::string_view::npos;
}

bool brackets_close(std::string_view program) {
  std::string open;
  for (size_t at = 0; at < program.size();) {
    const char c = program[at];
    if (c == '#') {
      at = std::min(program.find('\n', at), program.size());
      continue;
    }
    if (c == '"' || c == '\'') {
      at = skip_literal(program, at);
      if (at == std::string_view::npos) return false;
      continue;
    }
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c == '{') open += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) return false;
      open.pop_back();
    }
    ++at;
  }
  return open.empty();
}

/// `def NAME(` at the beginning of a line, after white space or `async`.
bool has_definition(std::string_view text) {
  for (size_t at = text.find("def "); at != std::string_view::npos; at = text.find("def ", at + 1)) {
    const size_t line = text.rfind('\n', at) == std::string_view::npos ? 0 : text.rfind('\n', at) + 1;
    const std::string_view before = text.substr(line, at - line);
    if (!is_blank(before) && !before.ends_with("async ")) continue;
    size_t name = at + 4;
    while (name < text.size() && (std::isalnum(static_cast<unsigned char>(text[name])) || text[name] == '_'))
      ++name;
    if (name > at + 4 && name < text.size() && text[name] == '(') return true;
  }
  return false;
}

}  // namespace

std::string strip_thinking(std::string_view text) {
  std::string kept;
  const size_t first_close = text.find(kClose), first_open = text.find(kOpen);
  if (first_close != std::string_view::npos &&
      (first_open == std::string_view::npos || first_close < first_open))
    text.remove_prefix(first_close + kClose.size());
  for (;;) {
    const size_t open = text.find(kOpen);
    kept += text.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t close = text.find(kClose, open);
    if (close == std::string_view::npos) break;
    text.remove_prefix(close + kClose.size());
  }
  const size_t begin = kept.find_first_not_of(kSpace);
  if (begin == std::string::npos) return {};
  return kept.substr(begin, kept.find_last_not_of(kSpace) + 1 - begin);
}

double repetition(std::string_view text) {
  constexpr size_t kLength = 4, kFewest = 20;
  const std::vector<std::string_view> words = words_of(text);
  if (words.size() < kFewest + kLength - 1) return 0.0;
  const size_t grams = words.size() - kLength + 1;
  std::set<std::vector<std::string_view>> seen;
  for (size_t i = 0; i < grams; ++i) seen.insert({words.begin() + i, words.begin() + i + kLength});
  return static_cast<double>(grams - seen.size()) / static_cast<double>(grams);
}

bool is_repetitive(std::string_view text) {
  return repetition(text) > 0.5 || ends_in_a_loop(text);
}

bool has_code(std::string_view text) {
  return text.find(kFence) != std::string_view::npos || has_definition(text);
}

bool is_code_closed(std::string_view text) {
  bool closed = true;
  const std::vector<std::string_view> programs = programs_of(text, closed);
  return closed && std::all_of(programs.begin(), programs.end(), brackets_close);
}

AnswerFlags flag_answer(const JudgePrompt& prompt, const std::vector<Answer>& turns,
                        const std::vector<std::string>& texts) {
  AnswerFlags flags;
  std::string all;
  for (const Answer& turn : turns) flags.truncated |= turn.finish_reason == "length";
  for (const std::string& text : texts) {
    flags.empty |= is_blank(text);
    flags.repetitive |= is_repetitive(text);
    all += text + "\n";
  }
  if (!asks_for_code(prompt)) return flags;
  flags.no_code = !has_code(all);
  flags.unclosed_code = !flags.no_code && !is_code_closed(all);
  return flags;
}

std::vector<std::string> flag_names(const AnswerFlags& flags) {
  std::vector<std::string> names;
  if (flags.truncated) names.push_back("truncated");
  if (flags.empty) names.push_back("empty");
  if (flags.repetitive) names.push_back("repetitive");
  if (flags.no_code) names.push_back("no_code");
  if (flags.unclosed_code) names.push_back("unclosed_code");
  return names;
}

}  // namespace assay
