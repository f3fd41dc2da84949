#include "eval/guard_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/file.hpp"
#include "eval/guard_benchmarks.hpp"
#include "eval/guard_parser.hpp"
#include "eval/guard_prompt.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

/// The first of `names` that the row has, or empty.
std::string first_member(const DatasetRow& row, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (row.fields.contains(name)) return name;
  return {};
}

/// Request and answer of a row that is no instruction row.
void take_exchange(const DatasetRow& row, const GuardFields& fields, GuardRow& made,
                   std::optional<std::string>& response) {
  const std::string prompt =
      !fields.prompt.empty() ? fields.prompt
                             : first_member(row, {"text", "prompt", "content", "Behavior", "forbidden_prompt",
                                                  "prompts_final", "user_input", "question", "instruction"});
  if (prompt.empty() || !row.fields.contains(prompt))
    throw Error({"the row has no prompt",
                 row.where,
                 prompt.empty() ? "a member text, prompt or content" : prompt,
                 {},
                 "--prompt-field names the member"});
  made.prompt = text_member(row, prompt);
  // HarmBench's contextual behaviours are asked about a text that stands beside them.
  if (prompt == "Behavior" && !text_member(row, "ContextString").empty())
    made.prompt = text_member(row, "ContextString") + "\n\n" + made.prompt;
  const std::string answer = fields.response.empty() ? "response" : fields.response;
  if (!fields.response.empty() && !row.fields.contains(answer))
    throw Error({"the row has no answer", row.where, answer, {}, "--response-field names the member"});
  if (std::string text = text_member(row, answer); !text.empty()) response = std::move(text);
}

GuardTask task_of(std::string_view label, bool has_response, const GuardFields& fields) {
  if (fields.task) return *fields.task;
  if (is_refusal_word(label)) return GuardTask::kRefusal;
  return has_response ? GuardTask::kResponseHarm : GuardTask::kPromptHarm;
}

/// What a word says, or the "Answers: …" form of a label (SafeRLHF, BeaverTails). False: it says nothing.
bool take_label(const std::string& label, bool has_response, const GuardFields& fields, GuardLabels& truth) {
  if (const GuardLabel word = guard_label_from_word(label)) {
    truth[task_of(label, has_response, fields)] = word;
    return true;
  }
  const GuardLabels block = parse_guard_answers_block(label);
  if (block.any()) truth = block;
  return block.any();
}

/// WildGuardTest's three columns; null and empty ones say nothing.
bool take_columns(const DatasetRow& row, GuardLabels& truth) {
  constexpr std::array<const char*, 3> kColumns = {"prompt_harm_label", "response_refusal_label",
                                                   "response_harm_label"};
  bool present = false;
  for (const GuardTask task : kGuardTasks) {
    const char* column = kColumns[static_cast<size_t>(task)];
    if (!row.fields.contains(column)) continue;
    present = true;
    truth[task] = guard_label_from_word(text_member(row, column));
  }
  return present;
}

/// OpenAI's moderation file: harmful when one of its categories is 1, unharmful when those given are 0.
bool take_categories(const DatasetRow& row, GuardLabels& truth) {
  bool present = false, harmful = false;
  for (const char* category : {"S", "H", "V", "HR", "SH", "S3", "H2", "V2"}) {
    const std::string value = text_member(row, category);
    present = present || !value.empty();
    harmful = harmful || value == "1";
  }
  if (present) truth[GuardTask::kPromptHarm] = harmful;
  return present;
}

/// The label that source, XSTest's type or the file's name give away.
GuardLabel implied_label(const DatasetRow& row, const std::string& stem) {
  if (row.fields.contains("source") && text_member(row, "source").starts_with("wildguardmix"))
    return text_member(row, "source").find("benign") == std::string::npos;
  if (row.fields.contains("type") && row.fields.contains("focus"))
    return text_member(row, "type").starts_with("contrast_");
  for (const char* sign : {"harmless", "benign", "unharmful"})
    if (stem.find(sign) != std::string::npos) return false;
  for (const char* sign : {"harmful", "harmbench", "strongreject", "SimpleSafetyTests"})
    if (stem.find(sign) != std::string::npos) return true;
  return std::nullopt;
}

GuardLabels truth_of(const DatasetRow& row, bool has_response, const std::string& stem,
                     const GuardFields& fields) {
  GuardLabels truth;
  if (!fields.constant_label.empty()) {
    if (take_label(fields.constant_label, has_response, fields, truth)) return truth;
    throw UsageError({"no such label", {}, "harmful, safe, …", fields.constant_label, {}});
  }
  if (fields.label.empty() && take_columns(row, truth)) return truth;
  const std::string member =
      fields.label.empty() ? first_member(row, {"output", "label", "ground_truth"}) : fields.label;
  if (!member.empty()) {
    const std::string label = text_member(row, member);
    if (take_label(label, has_response, fields, truth)) return truth;
    throw Error({"the label says nothing", fmt::format("{}: {}", row.where, member), "harmful, safe, …",
                 label.empty() ? "none" : label.substr(0, 40), "--label-field names the member"});
  }
  if (take_categories(row, truth)) return truth;
  truth[GuardTask::kPromptHarm] = implied_label(row, stem);
  if (truth.any()) return truth;
  throw Error({"the row has no label",
               row.where,
               "a member output or label",
               {},
               "--label-field names the member, --label gives every row the same"});
}

void append_file(const fs::path& path, const GuardFields& fields, GuardSet& set) {
  const std::string stem = path.stem().string();
  for (const DatasetRow& row : read_dataset(path))
    set.rows.push_back(guard_row(row, set.rows.size(), stem, fields));
}

}  // namespace

std::vector<GuardTask> GuardSet::tasks() const {
  std::vector<GuardTask> found;
  for (const GuardTask task : kGuardTasks)
    if (std::any_of(rows.begin(), rows.end(), [&](const GuardRow& row) { return row.truth[task]; }))
      found.push_back(task);
  return found;
}

GuardTask GuardSet::main_task() const {
  const std::vector<GuardTask> found = tasks();
  return found.empty() ? GuardTask::kPromptHarm : found.front();
}

std::vector<GuardLabel> GuardSet::labels(GuardTask task) const {
  std::vector<GuardLabel> found;
  for (const GuardRow& row : rows) found.push_back(row.truth[task]);
  return found;
}

GuardRow guard_row(const DatasetRow& row, size_t number, const std::string& file_stem,
                   const GuardFields& fields) {
  GuardRow made;
  made.id = std::to_string(number);
  made.instruction = kGuardInstruction;
  std::optional<std::string> response;
  const bool instruction_row =
      fields.prompt.empty() && row.fields.contains("instruction") && row.fields.contains("input");
  if (instruction_row) {
    made.instruction = text_member(row, "instruction");
    made.input = text_member(row, "input");
    auto exchange = parse_guard_input(made.input).value_or(GuardExchange{made.input, {}});
    made.prompt = std::move(exchange.prompt);
    response = std::move(exchange.response);
  } else {
    take_exchange(row, fields, made, response);
    made.input = guard_input(made.prompt, response);
  }
  if (made.prompt.find_first_not_of(" \t\r\n") == std::string::npos)
    throw Error({"an empty prompt", row.where, "a text to judge", {}, "--prompt-field names another member"});
  if (row.fields.contains("source") && row.fields["source"].is_string()) made.source = row.fields["source"];
  made.truth = truth_of(row, response.has_value(), file_stem, fields);
  return made;
}

GuardSet read_guard_set(const std::string& spec, const GuardFields& fields, const fs::path& folder) {
  GuardSet set;
  for (size_t begin = 0; begin <= spec.size();) {
    const size_t end = std::min(spec.find('+', begin), spec.size());
    const fs::path path = find_guard_file(spec.substr(begin, end - begin), folder);
    const std::string name = guard_set_name(path);
    set.name += (set.name.empty() ? "" : "+") + name;
    append_file(path, fields, set);
    begin = end + 1;
  }
  return set;
}

std::vector<GuardSet> read_guard_sets(std::span<const std::string> specs, const GuardSelection& selection,
                                      const fs::path& folder) {
  std::vector<GuardSet> sets;
  for (const std::string& spec : specs) {
    GuardSet set = read_guard_set(spec, selection.fields, folder);
    for (const GuardSet& other : sets)
      if (other.name == set.name) throw UsageError("the set " + set.name + " is named twice");
    const std::vector<GuardLabel> labels = set.labels(set.main_task());
    const std::vector<size_t> order = row_order(labels.size(), selection.order, selection.seed);
    std::vector<GuardRow> rows;
    for (const size_t index : cut_order(order, labels, selection.limit, selection.per_class))
      rows.push_back(std::move(set.rows[index]));
    set.rows = std::move(rows);
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace assay
