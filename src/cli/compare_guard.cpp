#include "cli/compare_guard.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/file.hpp"
#include "eval/guard_comparison.hpp"

namespace assay {
namespace {

/// A subject's answers and what they were counted as.
struct Respondence {
  const Subject* subject;
  nlohmann::ordered_json settings{};
  std::vector<GuardRecord> records{};
  std::vector<GuardOutcome> outcomes{};
};

/// A name that a file can have.
std::string file_name(std::string label) {
  std::replace_if(
      label.begin(), label.end(), [](char c) { return c == '/' || c == ':' || c == '#'; }, '_');
  return label;
}

/// A server gets the same prompts as one message each; the chat template is then its own.
Respondence ask_endpoint(const Subject& subject, std::span<const GuardSet> sets,
                         const GuardComparisonOptions& options, const std::filesystem::path& folder,
                         Progress& progress) {
  Respondence asked{.subject = &subject,
                    .settings = {{"endpoint", subject.path},
                                 {"prompt", guard_prompt_name(options.guard.prompt)},
                                 {"decoding", to_json(options.guard.decoding)}}};
  std::optional<GuardStore> store;
  if (!folder.empty())
    store.emplace(folder / ("guard-" + file_name(subject.label) + ".jsonl"), asked.settings);
  const std::unique_ptr<Respondent> respondent =
      options.endpoints.source(subject.label, subject.path, {}).open();
  asked.records = run_guard(
      *respondent, {.sets = sets, .options = options.guard, .store = store ? &*store : nullptr}, progress);
  asked.outcomes = guard_outcomes(asked.records, options.guard.parser);
  return asked;
}

Respondence ask(const Subject& subject, std::span<const GuardSet> sets, const GuardComparisonOptions& options,
                const EngineOptions& engine, const std::filesystem::path& folder, Progress& progress) {
  LanguageModel model(subject.path, engine);
  Respondence asked{.subject = &subject, .settings = guard_identity(model, options.guard)};
  asked.records = measure_guard(model, sets, options.guard, folder, file_name(subject.label), progress);
  asked.outcomes = guard_outcomes(asked.records, options.guard.parser);
  return asked;
}

std::string label_word(GuardTask task, const GuardLabel& label) {
  return label ? std::string(guard_label_word(task, *label)) : "no label";
}

ConfusionMatrix matrix_of(const std::string& subject, const GuardScore& score) {
  const BinaryMatrix& parsed = score.matrix[static_cast<size_t>(UnparsedRule::kDropped)];
  return {.subject = subject,
          .task = "guard " + std::string(guard_task_name(score.task)),
          .dataset = score.set,
          .labels = {std::string(guard_label_word(score.task, false)),
                     std::string(guard_label_word(score.task, true))},
          .counts = {{parsed.tn, parsed.fp}, {parsed.fn, parsed.tp}},
          .unparsed = {score.unparsed[0], score.unparsed[1]}};
}

void add_scores(Report& report, const Respondence& asked) {
  const Subject& subject = *asked.subject;
  const GuardSummary summary = summarize_guard(asked.outcomes);
  const auto append = [&](std::vector<Measurement> made) {
    report.measurements.insert(report.measurements.end(), made.begin(), made.end());
  };
  append(guard_measurements(subject.label, summary, asked.settings, subject.sha256));
  append(guard_measurements(subject.label, time_guard(asked.records), asked.settings, subject.sha256));
  for (const GuardScore& score : summary.scores) report.matrices.push_back(matrix_of(subject.label, score));
}

void add_flips(Report& report, const Respondence& candidate, std::span<const GuardComparison> comparisons) {
  std::map<std::pair<std::string, std::string>, const GuardRecord*> records;
  for (const GuardRecord& record : candidate.records) records[{record.set, record.id}] = &record;
  for (const GuardComparison& comparison : comparisons) {
    if (comparison.set.empty()) continue;  // all sets together: the same flips once more
    for (const GuardFlip& flip : comparison.flips)
      report.flips.push_back({.subject = candidate.subject->label,
                              .task = "guard " + std::string(guard_task_name(flip.task)),
                              .dataset = flip.set,
                              .id = flip.id,
                              .text = records.at({flip.set, flip.id})->prompt,
                              .truth = label_word(flip.task, flip.truth),
                              .reference = label_word(flip.task, flip.reference),
                              .candidate = label_word(flip.task, flip.candidate)});
  }
}

}  // namespace

void compare_guard_task(Report& report, std::span<const GuardSet> sets, const GuardComparisonOptions& options,
                        const EngineOptions& engine, const std::filesystem::path& output,
                        Progress& progress) {
  const std::filesystem::path folder = output.empty() ? output : output / "guard";
  if (!folder.empty()) std::filesystem::create_directories(folder);
  std::vector<Respondence> all;
  for (const Subject& subject : report.subjects) {
    all.push_back(subject.kind == "endpoint" ? ask_endpoint(subject, sets, options, folder, progress)
                                             : ask(subject, sets, options, engine, folder, progress));
    add_scores(report, all.back());
  }
  for (size_t second = 1; second < all.size(); ++second)
    for (size_t first = 0; first < second; ++first) {
      const auto comparisons = compare_guard(all[first].outcomes, all[second].outcomes);
      const auto paired =
          guard_paired_comparisons(all[first].subject->label, all[second].subject->label, comparisons);
      report.comparisons.insert(report.comparisons.end(), paired.begin(), paired.end());
      if (first == 0) add_flips(report, all[second], comparisons);
    }
}

}  // namespace assay
