#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "cli/compare_answers.hpp"
#include "cli/compare_divergence.hpp"
#include "cli/compare_guard.hpp"
#include "cli/compare_options.hpp"
#include "cli/compare_speed.hpp"
#include "cli/compare_subjects.hpp"
#include "cli/compare_table.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "convert/version.hpp"
#include "report/advice.hpp"

namespace assay {
namespace {

std::string utc_now() {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)));
}

/// Bytes and bits of every file, which no sample stands behind.
void add_sizes(Report& report) {
  const auto add = [&](const Subject& subject, const char* metric, const char* unit, double value) {
    report.measurements.push_back({.subject = subject.label,
                                   .task = "size",
                                   .metric = metric,
                                   .unit = unit,
                                   .value = value,
                                   .n = static_cast<int64_t>(subject.tensors.size()),
                                   .n_unit = "tensors",
                                   .file_sha256 = subject.sha256});
  };
  for (const Subject& subject : report.subjects) {
    if (subject.kind == "endpoint") continue;
    add(subject, "bytes", "bytes", static_cast<double>(subject.bytes));
    add(subject, "bits_per_weight", "bits/weight", subject.bits_per_weight);
  }
}

/// Every p of the report corrected for all of them (Holm 1979).
void correct_p_values(Report& report) {
  std::vector<double> p;
  for (const PairedComparison& pair : report.comparisons)
    if (pair.p) p.push_back(*pair.p);
  const std::vector<double> corrected = holm(p);
  size_t next = 0;
  for (PairedComparison& pair : report.comparisons)
    if (pair.p) pair.p_holm = corrected[next++];
}

/// Texts given on the command line, as the prompts of a set.
PromptSet prompts_of(const std::vector<std::string>& texts) {
  PromptSet set{.name = "command line", .sha256 = {}, .prompts = {}};
  std::string all;
  for (const std::string& text : texts) {
    set.prompts.push_back({.id = std::to_string(set.prompts.size() + 1),
                           .category = {},
                           .turns = {text},
                           .expected_qualities = {}});
    all += text + '\n';
  }
  set.sha256 = sha256_of_text(all);
  return set;
}

/// The files that tasks read, before anything is built.
struct Inputs {
  std::vector<Corpus> corpora{};
  std::vector<GuardSet> guard_sets{};
  std::optional<JudgeTask> answers{};  ///< what is asked, with or without a judge
};

/// The old projects' files, reserved before anything is measured.
struct LegacyFiles {
  std::optional<LegacyGuardResults> guard{};
  std::optional<LegacyEvaluations> judge{};

  LegacyFiles(const CompareOptions& options, const std::vector<Subject>& subjects) {
    if (options.legacy.empty()) return;
    const std::filesystem::path folder = expand_path(options.legacy);
    const bool replace = options.may_replace_legacy();
    if (!options.guard.sets.empty()) guard.emplace(folder, replace, options.guard.legacy_schema, subjects);
    if (!options.has_judge()) return;
    std::vector<LegacyEvaluations::Address> addresses;
    for (const Subject& subject : subjects)
      addresses.push_back({subject.path, subject.label, subject.kind == "reference"});
    judge.emplace(folder, replace, addresses);
  }
};

/// What only measurements can say goes into the report, task by task.
void measure(Report& report, const CompareOptions& options, const Inputs& inputs, Progress& progress) {
  const std::vector<Corpus>& corpora = inputs.corpora;
  const std::filesystem::path output = options.output.empty() ? "" : expand_path(options.output);
  const EngineOptions engine{.threads = options.threads};
  LegacyFiles legacy(options, report.subjects);
  add_sizes(report);
  if (!corpora.empty()) compare_divergence(report, corpora, options.windows, options.threads, progress);
  if (!options.guard.sets.empty())
    compare_guard_task(report, inputs.guard_sets, options.guard, engine, output,
                       legacy.guard ? &*legacy.guard : nullptr, progress);
  if (inputs.answers && !options.has_judge())
    compare_answers(report, *inputs.answers, options.judge, engine, output, progress);
  if (inputs.answers && options.has_judge())
    compare_judge(report, *inputs.answers, options.judge, engine, output,
                  legacy.judge ? &*legacy.judge : nullptr, progress);
  if (options.speed.rounds > 0) compare_speed(report, options.speed, progress);
  if (corpora.empty()) report.notes.push_back("divergence was not measured: no --text");
  if (options.speed.rounds == 0) report.notes.push_back("speed was not measured: --rounds 0");
  correct_p_values(report);
  report.advice = advise(report, options.needs);
}

/// What can be wrong with the options is found before the work.
Inputs prepare(CompareOptions& options, const ConversionSource& source) {
  if (source.model().encoder)
    throw Error({"an encoder writes no text", options.source, "a language model", source.model().architecture,
                 "to measure an encoder: assay eval encoder OUTPUT --reference " + options.source});
  options.fit_context(source.model().max_context);
  Inputs inputs;
  for (const std::string& text : options.texts)
    inputs.corpora.push_back(read_corpus(expand_path(text), options.text_field));
  options.speed.threads = options.threads;
  options.guard.endpoints = options.judge;
  options.guard.folder = expand_path(options.guard_folder.empty() ? "." : options.guard_folder);
  options.guard.guard.decoding.max_tokens = options.guard_max_tokens;
  options.guard.legacy_schema = parse_legacy_schema(options.legacy_schema);
  if (options.has_judge() || !options.prompts.empty() || !options.judge.prompts.empty())
    inputs.answers = options.judge.task();
  if (!options.prompts.empty()) inputs.answers->prompts = prompts_of(options.prompts);
  inputs.guard_sets = read_guard_sets(options.guard.sets, options.guard.selection, options.guard.folder);
  return inputs;
}

int run_compare(CompareOptions options) {
  options.check();
  const ConversionSource source = ConversionSource::open(expand_path(options.source));
  const Inputs inputs = prepare(options, source);
  const std::filesystem::path output = options.output.empty() ? "" : expand_path(options.output);
  TerminalProgress progress;
  Report report;
  report.title = std::filesystem::path(expand_path(options.source)).filename().string();
  report.created = utc_now();
  report.tool_version = std::string(kToolVersion);
  report.reference = "source";
  {
    ThreadPool pool(options.threads > 0 ? options.threads : count_physical_cores());
    report.subjects = gather_subjects({.source = options.source,
                                       .recipes = options.recipes,
                                       .output = output,
                                       .paths = options.paths,
                                       .endpoints = options.endpoints,
                                       .overwrite = options.overwrite},
                                      source, pool, progress);
  }
  measure(report, options, inputs, progress);
  // The latest comparison of a folder stands beside its outputs.
  if (!output.empty()) write_report(report, output, true);
  if (options.json) {
    print_json(to_json(report));
  } else {
    fmt::print("{}", comparison_text(report));
    if (!output.empty()) fmt::print("\nreport: {}\n", (output / "report.html").string());
  }
  for (const Subject& subject : report.subjects)
    if (subject.proven == false) throw Error({"not proven", subject.path, {}, {}, "see assay verify"});
  return 0;
}

}  // namespace

RunVerb declare_compare(CLI::App& command) {
  auto options = std::make_shared<CompareOptions>();
  options->declare(command);
  add_examples(
      command,
      "  assay compare ./Llama-3.2-1B --to mlx:4bit,gguf:Q4_K_M -o out --text heldout.txt\n"
      "  assay compare ./Llama-3.2-1B theirs-Q4_K_M.gguf --text heldout.txt --prompt \"Once upon a time\"\n"
      "  assay compare ./GuardReasoner-3B --to mlx:4bit -o out --guard xstest.json --guard-per-class 100\n"
      "  assay compare ./Qwen3-8B --to mlx:4bit,gguf:Q4_K_M -o out --judge-url https://host/v1 --judge-model "
      "M");
  return [options] { return run_compare(*options); };
}

}  // namespace assay
