#include "eval/guard_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "engine/stopwatch.hpp"
#include "eval/guard_margins.hpp"
#include "eval/machine.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMostFailuresInARow = 20;

/// What besides the weights decides about tokens and prompts.
std::string settings_sha256(const ModelFile& file) {
  std::string lines;
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "tokenizer.model"})
    if (const fs::path path = file.path() / name; fs::is_regular_file(path))
      lines += fmt::format("{}  {}\n", sha256_of_file(path), name);
  return lines.empty() ? "" : sha256_of_text(lines);
}

std::string template_sha256(const LanguageModel& model) {
  return sha256_of_text(render_chat(model, {{"user", "prompt"}}, std::nullopt));
}

GuardRecord begin_record(const GuardSet& set, const GuardRow& row, const GuardRun& run) {
  GuardRecord record{.set = set.name,
                     .id = row.id,
                     .prompt = row.prompt,
                     .prompt_sha256 = sha256_of_text(guard_prompt_of(row, run.options))};
  record.source = row.source;
  record.truth = row.truth;
  record.threads = run.threads;
  return record;
}

/// Asks for every row that is not stored: `ask(row, record)` fills in what it found.
template <typename Ask>
std::vector<GuardRecord> answer_rows(const GuardRun& run, Progress& progress, Ask ask) {
  std::vector<GuardRecord> records;
  std::vector<std::pair<size_t, const GuardRow*>> open;
  for (const GuardSet& set : run.sets) {
    for (const GuardRow& row : set.rows) {
      GuardRecord record = begin_record(set, row, run);
      const GuardRecord* known =
          run.store == nullptr ? nullptr : run.store->find(record.set, record.id, record.prompt_sha256);
      if (known == nullptr) open.emplace_back(records.size(), &row);
      if (known != nullptr) {
        // What people say may have been corrected since.
        record = *known;
        record.truth = row.truth;
      }
      records.push_back(std::move(record));
    }
  }
  progress.begin("guard", open.size(), "row");
  const std::string machine = processor_name();
  int failures = 0;
  for (const auto& [place, row] : open) {
    GuardRecord& record = records[place];
    record.machine = machine;
    const Stopwatch watch;
    try {
      ask(*row, record);
      failures = 0;
    } catch (const Error& error) {
      if (++failures >= kMostFailuresInARow) throw;
      record.error = error.what();
    }
    record.seconds = watch.seconds();
    if (run.store != nullptr) run.store->append(record);
    progress.advance(1);
  }
  progress.end();
  return records;
}

}  // namespace

Json guard_identity(LanguageModel& model, const GuardOptions& options) {
  Json settings = {{"prompt", guard_prompt_name(options.prompt)},
                   {"chat_template", options.chat_template ? Json(template_sha256(model)) : Json()},
                   {"compute", compute_name(model.decoder().compute())},
                   {"score", options.logits ? "logits" : "generation"}};
  if (!options.logits) settings["decoding"] = to_json(options.decoding);
  return {{"model",
           {{"weights_sha256", weights_sha256(model.file())},
            {"settings_sha256", settings_sha256(model.file())}}},
          {"settings", settings}};
}

std::string guard_prompt_of(const GuardRow& row, const GuardOptions& options) {
  return guard_prompt(options.prompt, row.instruction, row.input);
}

std::vector<GuardRecord> run_guard(Respondent& respondent, const GuardRun& run, Progress& progress) {
  return answer_rows(run, progress, [&](const GuardRow& row, GuardRecord& record) {
    std::string prompt = guard_prompt_of(row, run.options);
    Question question;
    if (run.options.chat_template)
      question.messages = {{"user", std::move(prompt)}};
    else
      question.raw = std::move(prompt);
    Answer answer = respondent.answer(question, run.options.decoding);
    record.text = std::move(answer.text);
    record.finish_reason = std::move(answer.finish_reason);
    record.prompt_tokens = answer.prompt_tokens;
    record.answer_tokens = answer.answer_tokens;
    record.prefill_seconds = answer.prefill_seconds;
    record.decode_seconds = answer.decode_seconds;
  });
}

std::vector<GuardRecord> run_guard_margins(LanguageModel& model, const GuardRun& run, Progress& progress) {
  return answer_rows(run, progress, [&](const GuardRow& row, GuardRecord& record) {
    const std::string prompt = guard_prompt_of(row, run.options);
    const Stopwatch watch;
    const GuardMargins found = measure_margins(
        model, run.options.chat_template ? render_chat(model, {{"user", prompt}}, std::nullopt) : prompt,
        !run.options.chat_template);
    record.prefill_seconds = watch.seconds();
    record.margins = found.by_task;
    record.prompt_tokens = found.tokens;
  });
}

std::vector<GuardOutcome> guard_outcomes(std::span<const GuardRecord> records, GuardParser parser) {
  std::map<std::string, uint64_t> requests;
  std::vector<GuardOutcome> outcomes;
  for (const GuardRecord& record : records) {
    GuardLabels labels = record.predicted ? *record.predicted : parse_guard_answer(record.text, parser);
    const uint64_t request = requests.try_emplace(record.prompt, requests.size()).first->second;
    for (const GuardTask task : kGuardTasks) {
      if (!record.truth[task]) continue;
      if (record.margins) labels[task] = (*record.margins)[static_cast<size_t>(task)] > 0;
      outcomes.push_back({.set = record.set,
                          .id = record.id,
                          .task = task,
                          .truth = *record.truth[task],
                          .predicted = record.error.empty() ? labels[task] : std::nullopt,
                          .truncated = record.finish_reason == "length",
                          .failed = !record.error.empty(),
                          .request = request});
    }
  }
  return outcomes;
}

std::vector<GuardLabel> prompt_harm_labels(std::span<const GuardRecord> records, GuardParser parser) {
  std::vector<GuardLabel> labels;
  for (const GuardRecord& record : records) {
    const std::vector<GuardOutcome> outcomes = guard_outcomes({&record, 1}, parser);
    const bool asked = !outcomes.empty() && outcomes[0].task == GuardTask::kPromptHarm;
    labels.push_back(asked ? outcomes[0].predicted : std::nullopt);
  }
  return labels;
}

GuardTiming time_guard(std::span<const GuardRecord> records) {
  GuardTiming timing;
  std::vector<double> seconds;
  for (const GuardRecord& record : records) {
    if (!record.error.empty() || record.seconds <= 0) continue;
    const bool first = timing.rows++ == 0;
    seconds.push_back(record.seconds);
    timing.prompt_tokens += record.prompt_tokens;
    timing.answer_tokens += record.answer_tokens;
    timing.longest = std::max(timing.longest, record.prompt_tokens + record.answer_tokens);
    timing.prefill_seconds += record.prefill_seconds;
    timing.decode_seconds += record.decode_seconds;
    if (first) timing.threads = record.threads;
    if (first) timing.machine = record.machine;
    if (timing.threads != record.threads) timing.threads = 0;
    if (timing.machine != record.machine) timing.machine.clear();
  }
  if (seconds.empty()) return timing;
  std::sort(seconds.begin(), seconds.end());
  timing.seconds_mean =
      std::accumulate(seconds.begin(), seconds.end(), 0.0) / static_cast<double>(seconds.size());
  timing.seconds_median = quantile(seconds, 0.5);
  return timing;
}

std::vector<GuardRecord> measure_guard(LanguageModel& model, std::span<const GuardSet> sets,
                                       const GuardOptions& options, const fs::path& folder,
                                       const std::string& name, Progress& progress) {
  std::optional<GuardStore> store;
  if (!folder.empty()) {
    const fs::path file = folder / fmt::format("guard-{}{}.jsonl", name, options.logits ? ".logits" : "");
    store.emplace(file, guard_identity(model, options));
  }
  const GuardRun run{sets, options, store ? &*store : nullptr, model.decoder().threads()};
  if (options.logits) return run_guard_margins(model, run, progress);
  LocalRespondent respondent(model);
  // The first answer of a process pays for reading the weights from the disk; a token nobody needs pays here.
  respondent.answer({.raw = "warm-up"}, {.max_tokens = 1});
  return run_guard(respondent, run, progress);
}

}  // namespace assay
