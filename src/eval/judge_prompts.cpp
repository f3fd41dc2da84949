#include "eval/judge_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "eval/dataset.hpp"

namespace assay {
namespace {

using nlohmann::json;

std::string hash_of(const std::vector<JudgePrompt>& prompts) {
  json document = json::array();
  for (const JudgePrompt& prompt : prompts)
    document.push_back({prompt.id, prompt.category, prompt.turns, prompt.expected_qualities});
  const std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  return sha256_of_text(text);
}

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find_first_of(",;", begin), text.size());
    const size_t first = text.find_first_not_of(" \t", begin);
    if (first < end) words.push_back(text.substr(first, text.find_last_not_of(" \t", end - 1) + 1 - first));
    begin = end + 1;
  }
  return words;
}

/// A member that is a text or a list of texts.
std::vector<std::string> texts_of(const DatasetRow& row, const char* name, bool split) {
  const auto member = row.fields.find(name);
  if (member == row.fields.end() || member->is_null()) return {};
  if (!member->is_array())
    return split ? split_words(text_member(row, name)) : std::vector<std::string>{text_member(row, name)};
  std::vector<std::string> texts;
  for (const json& item : *member) {
    if (!item.is_string())
      throw Error({fmt::format("\"{}\" is no list of texts", name), row.where, {}, item.type_name(), {}});
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::string first_text(const DatasetRow& row, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::string text = text_member(row, name); !text.empty()) return text;
  return {};
}

JudgePrompt prompt_of(const DatasetRow& row, size_t number, bool all_turns) {
  JudgePrompt prompt{.id = first_text(row, {"id", "question_id"}),
                     .category = first_text(row, {"category"}),
                     .turns = texts_of(row, "turns", false),
                     .expected_qualities = texts_of(row, "expected_qualities", true)};
  if (prompt.turns.empty())
    if (std::string text = first_text(row, {"prompt", "question", "text"}); !text.empty())
      prompt.turns = {std::move(text)};
  if (prompt.id.empty()) prompt.id = std::to_string(number);
  if (prompt.category.empty()) prompt.category = "uncategorized";
  if (prompt.turns.empty() || prompt.turns[0].empty())
    throw Error({"a row has no prompt", row.where, "a member \"prompt\" or \"turns\"", {}, {}});
  if (!all_turns) prompt.turns.resize(1);
  return prompt;
}

}  // namespace

PromptSet builtin_prompts() {
  const std::string code = "code", technical = "technical_explanation";
  PromptSet set{
      .name = "builtin",
      .sha256 = {},
      .prompts = {{"1",
                   code,
                   {"Write a Python function to calculate the factorial of a number:"},
                   {"correct", "efficient", "well-commented"}},
                  {"2",
                   technical,
                   {"Explain the concept of recursion in programming:"},
                   {"accurate", "clear", "includes_example"}},
                  {"3",
                   "factual",
                   {"What is the difference between a list and a tuple in Python?"},
                   {"accurate", "concise", "comprehensive"}},
                  {"4", code, {"Write a function to reverse a string:"}, {"correct", "simple", "readable"}},
                  {"5",
                   technical,
                   {"Explain what a decorator is in Python:"},
                   {"accurate", "detailed", "includes_example"}},
                  {"6",
                   code,
                   {"Write a sorting algorithm (your choice) in Python:"},
                   {"correct", "efficient", "readable"}},
                  {"7",
                   "conceptual",
                   {"What are the key differences between synchronous and asynchronous programming?"},
                   {"accurate", "clear", "comprehensive"}}}};
  set.sha256 = hash_of(set.prompts);
  return set;
}

PromptSet read_prompt_set(const std::filesystem::path& path, bool all_turns) {
  PromptSet set{.name = path.filename().string(), .sha256 = {}, .prompts = {}};
  std::set<std::string> ids;
  for (const DatasetRow& row : read_dataset(path)) {
    JudgePrompt prompt = prompt_of(row, set.prompts.size() + 1, all_turns);
    if (!ids.insert(prompt.id).second)
      throw Error({"two prompts have the same id", row.where, {}, prompt.id, {}});
    set.prompts.push_back(std::move(prompt));
  }
  if (set.prompts.empty()) throw Error({"no prompts", path.string(), {}, {}, {}});
  set.sha256 = hash_of(set.prompts);
  return set;
}

PromptSet first_prompts(const PromptSet& set, size_t n) {
  PromptSet first = set;
  first.prompts.resize(std::min(n, set.prompts.size()));
  first.sha256 = hash_of(first.prompts);
  return first;
}

bool asks_for_code(const JudgePrompt& prompt) noexcept {
  return prompt.category == "code" || prompt.category == "coding";
}

}  // namespace assay
