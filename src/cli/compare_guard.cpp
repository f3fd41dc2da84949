#include "cli/compare_guard.hpp"

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

/// Labels, and what the figures made of them rest on.
void finish(Respondence& asked, const GuardOptions& options) {
  asked.outcomes = guard_outcomes(asked.records, options.parser);
  asked.settings["parser"] = guard_parser_name(options.parser);
  asked.settings["unparsed"] = unparsed_rule_name(UnparsedRule::kCountsOnce);
  asked.settings["interval"] =
      "95 %: shares by Wilson, F1 by bootstrap over requests, 2000 resamples, seed 0";
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
    store.emplace(folder / ("guard-" + file_name_of(subject.label) + ".jsonl"), asked.settings);
  const std::unique_ptr<Respondent> respondent =
      options.endpoints.source(subject.label, subject.path, {}).open();
  asked.records = run_guard(
      *respondent, {.sets = sets, .options = options.guard, .store = store ? &*store : nullptr}, progress);
  finish(asked, options.guard);
  return asked;
}

Respondence ask(const Subject& subject, std::span<const GuardSet> sets, const GuardComparisonOptions& options,
                const EngineOptions& engine, const std::filesystem::path& folder, Progress& progress) {
  LanguageModel model(subject.path, engine);
  Respondence asked{.subject = &subject, .settings = guard_identity(model, options.guard)};
  asked.records = measure_guard(model, sets, options.guard, folder, file_name_of(subject.label), progress);
  finish(asked, options.guard);
  return asked;
}

std::string label_word(GuardTask task, const GuardLabel& label) {
  return label ? std::string(guard_label_word(task, *label)) : "no label";
}

ConfusionMatrix matrix_of(const Respondence& asked, const GuardScore& score) {
  const BinaryMatrix& parsed = score.matrix[static_cast<size_t>(UnparsedRule::kDropped)];
  return {.subject = asked.subject->label,
          .task = "guard " + std::string(guard_task_name(score.task)),
          .dataset = score.set,
          .labels = {std::string(guard_label_word(score.task, false)),
                     std::string(guard_label_word(score.task, true))},
          .counts = {{parsed.tn, parsed.fp}, {parsed.fn, parsed.tp}},
          .unparsed = {score.unparsed[0], score.unparsed[1]},
          .settings = asked.settings,
          .file_sha256 = asked.subject->sha256};
}

void add_scores(Report& report, const Respondence& asked) {
  const Subject& subject = *asked.subject;
  const GuardSummary summary = summarize_guard(asked.outcomes);
  const auto append = [&](std::vector<Measurement> made) {
    report.measurements.insert(report.measurements.end(), made.begin(), made.end());
  };
  append(guard_measurements(subject.label, summary, asked.settings, subject.sha256));
  append(guard_measurements(subject.label, time_guard(asked.records), asked.settings, subject.sha256));
  for (const GuardScore& score : summary.scores) report.matrices.push_back(matrix_of(asked, score));
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

std::string results_name(const Subject& subject) {
  return "results_" + file_name_of(subject.label) + ".json";
}

}  // namespace

LegacyGuardResults::LegacyGuardResults(std::filesystem::path folder, bool overwrite, LegacySchema schema,
                                       const std::vector<Subject>& subjects)
    : files_(std::move(folder), overwrite), schema_(schema) {
  for (const Subject& subject : subjects) files_.reserve(results_name(subject));
}

void LegacyGuardResults::write(const Subject& subject, std::span<const GuardRecord> records,
                               GuardParser parser, const nlohmann::ordered_json& settings) {
  const nlohmann::ordered_json what = {
      {"label", subject.label},     {"path", subject.path},
      {"sha256", subject.sha256},   {"bits_per_weight", subject.bits_per_weight},
      {"verdict", subject.verdict}, {"bytes", subject.bytes}};
  files_.write(results_name(subject), legacy_results(records, prompt_harm_labels(records, parser), schema_,
                                                     {{"what", what}, {"run", settings}}));
}

void compare_guard_task(Report& report, std::span<const GuardSet> sets, const GuardComparisonOptions& options,
                        const EngineOptions& engine, const std::filesystem::path& output,
                        LegacyGuardResults* legacy, Progress& progress) {
  const std::filesystem::path folder = output.empty() ? output : output / "guard";
  if (!folder.empty()) std::filesystem::create_directories(folder);
  std::vector<Respondence> all;
  for (const Subject& subject : report.subjects) {
    all.push_back(subject.kind == "endpoint" ? ask_endpoint(subject, sets, options, folder, progress)
                                             : ask(subject, sets, options, engine, folder, progress));
    add_scores(report, all.back());
    if (legacy != nullptr)
      legacy->write(subject, all.back().records, options.guard.parser, all.back().settings);
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
