#include "eval/guard_labels.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace assay {
namespace {

/// Lower case, without blanks and line breaks at its ends.
std::string plain(std::string_view word) {
  const size_t first = word.find_first_not_of(" \t\r\n"), last = word.find_last_not_of(" \t\r\n");
  std::string text(first == std::string_view::npos ? "" : word.substr(first, last - first + 1));
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

std::string_view guard_task_name(GuardTask task) noexcept {
  constexpr std::array<std::string_view, 3> kNames = {"prompt-harm", "refusal", "response-harm"};
  return kNames[static_cast<size_t>(task)];
}

GuardTask parse_guard_task(std::string_view word) {
  for (const GuardTask task : kGuardTasks)
    if (guard_task_name(task) == word) return task;
  throw UsageError({"no such task", {}, "prompt-harm, refusal or response-harm", std::string(word), {}});
}

std::string_view guard_label_word(GuardTask task, bool positive) noexcept {
  if (task == GuardTask::kRefusal) return positive ? "refusal" : "compliance";
  return positive ? "harmful" : "unharmful";
}

GuardLabel guard_label_from_word(std::string_view word) {
  constexpr std::array<std::string_view, 9> kPositive = {
      "harmful", "unsafe", "dangerous", "injection", "jailbreak", "malicious", "refusal", "1", "true"};
  constexpr std::array<std::string_view, 9> kNegative = {
      "unharmful", "harmless", "safe", "benign", "legit", "legitimate", "compliance", "0", "false"};
  const std::string text = plain(word);
  if (std::find(kPositive.begin(), kPositive.end(), text) != kPositive.end()) return true;
  if (std::find(kNegative.begin(), kNegative.end(), text) != kNegative.end()) return false;
  return std::nullopt;
}

bool is_refusal_word(std::string_view word) {
  const std::string text = plain(word);
  return text == "refusal" || text == "compliance";
}

}  // namespace assay
