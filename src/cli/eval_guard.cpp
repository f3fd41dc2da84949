#include "cli/eval_guard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/eval_guard_report.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "convert/inspect.hpp"
#include "eval/guard_predictions.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths, data, from;
  std::string folder, reference, output, legacy_json, legacy_schema = "per-class", task, published;
  std::string prompt = "benchmark", parser = "official", score = "generation", order, shuffle = "assay";
  GuardFields fields;
  size_t limit = 0, per_class = 0;
  uint64_t seed = 42;
  double most_fpr = 0.05;
  int64_t max_tokens = 2048;
  bool quick = false, chat_template = false, json = false, overwrite = false;
  RunOptions run;

  GuardOptions guard() const {
    return {.prompt = parse_guard_prompt(prompt),
            .parser = parse_guard_parser(parser),
            .chat_template = chat_template,
            .logits = score == "logits",
            .decoding = {.max_tokens = max_tokens}};
  }
  size_t rows_per_class() const { return quick ? 25 : per_class; }
  /// Rows are cut after a shuffle unless the file's order is asked for: many files begin with one class.
  RowOrder row_order() const {
    const bool cut = limit > 0 || rows_per_class() > 0;
    if (order == "file" || (order.empty() && !cut)) return RowOrder::kFile;
    return shuffle == "cpython" ? RowOrder::kCpython : RowOrder::kShuffled;
  }
};

void note(const std::string& text) {
  fmt::print(stderr, "assay: note: {}\n", text);
}

bool holds_answers(const std::string& path) {
  return path.ends_with(".jsonl") || path.ends_with(".json");
}

void check_usage(const Options& options) {
  if (options.paths.empty() == options.from.empty())
    throw UsageError("name models, or stored answers by --from, and not both");
  const bool stored = std::all_of(options.paths.begin(), options.paths.end(), holds_answers) &&
                      (options.reference.empty() || holds_answers(options.reference));
  if (!stored && options.data.empty()) throw UsageError("--data names the sets to ask about");
  if (!options.from.empty() && !options.output.empty())
    throw UsageError("-o keeps answers of models, not of --from");
  if (options.quick && options.per_class > 0) throw UsageError("--quick is --per-class 25: give one of them");
  if (options.score == "logits" && options.parser == "legacy")
    throw UsageError("--score logits reads no answers: --parser has nothing to do");
  if (!options.legacy_json.empty() && options.paths.size() > 1)
    throw UsageError("--legacy-json holds one model's results");
}

std::string data_folder(const Options& options) {
  if (!options.folder.empty()) return options.folder;
  const char* folder = std::getenv("ASSAY_GUARD_DATA");
  return folder != nullptr ? folder : ".";
}

std::vector<GuardSet> read_sets(const Options& options) {
  GuardSelection selection{.fields = options.fields,
                           .limit = options.limit,
                           .per_class = options.rows_per_class(),
                           .order = options.row_order(),
                           .seed = options.seed};
  if (!options.task.empty()) selection.fields.task = parse_guard_task(options.task);
  return read_guard_sets(options.data, selection, expand_path(data_folder(options)));
}

Json model_json(const std::string& path, LanguageModel& model) {
  const Inspection inspection = inspect_path(model.file().path());
  Json formats = Json::object();
  for (const auto& [name, totals] : inspection.formats()) formats[name] = totals.bytes;
  return {{"path", path},
          {"container", inspection.container},
          {"architecture", inspection.architecture},
          {"bits_per_weight", inspection.bits_per_weight()},
          {"verdict", verdict_name(inspection.verdict)},
          {"format_bytes", formats},
          {"compute", compute_name(model.decoder().compute())},
          {"threads", model.decoder().threads()},
          {"weight_bytes", model.weight_bytes()}};
}

/// The name of a model's file of answers: the last part of its path, or all of it where others share that.
std::string store_name(const Options& options, const std::string& path) {
  const auto last = [](const std::string& of) {
    std::filesystem::path normal = std::filesystem::path(of).lexically_normal();
    if (!normal.has_filename()) normal = normal.parent_path();
    return normal.filename().string();
  };
  std::vector<std::string> all = options.paths;
  if (!options.reference.empty()) all.push_back(options.reference);
  const auto alike = std::count_if(all.begin(), all.end(), [&](const std::string& other) {
    return other != path && last(other) == last(path);
  });
  std::string name = alike > 0 ? path : last(path);
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

void finish(const Options& options, GuardSubject& subject) {
  subject.outcomes = guard_outcomes(subject.records, parse_guard_parser(options.parser));
  if (subject.outcomes.empty()) throw Error({"no row has a label", subject.path, {}, {}, {}});
  subject.summary = summarize_guard(subject.outcomes);
  subject.timing = time_guard(subject.records);
  subject.settings["parser"] = options.score == "logits" ? Json() : Json(options.parser);
  subject.settings["unparsed"] = unparsed_rule_name(UnparsedRule::kCountsOnce);
  subject.settings["interval"] =
      "95 %: shares by Wilson, F1 by bootstrap over requests, 2000 resamples, seed 0";
}

GuardSubject stored_subject(const Options& options, const std::string& label,
                            const std::vector<std::string>& files, const std::vector<GuardSet>& sets) {
  GuardSubject subject;
  subject.path = label;
  std::map<std::pair<std::string, std::string>, GuardLabels> truths;
  for (const GuardSet& set : sets)
    for (const GuardRow& row : set.rows) truths[{set.name, row.id}] = row.truth;
  for (const std::string& file : files) {
    for (GuardRecord& record : read_guard_predictions(expand_path(file), "")) {
      // With --data, its labels hold and its rows are the ones that count.
      const auto found = truths.find({record.set, record.id});
      if (!sets.empty() && found == truths.end()) continue;
      if (!sets.empty()) record.truth = found->second;
      subject.records.push_back(std::move(record));
    }
  }
  if (subject.records.empty())
    throw Error({"no stored answer belongs to the sets of --data", label, {}, {}, {}});
  finish(options, subject);
  return subject;
}

GuardSubject measured_subject(const Options& options, const std::string& path,
                              const std::vector<GuardSet>& sets, bool alone) {
  if (holds_answers(path)) return stored_subject(options, path, {path}, sets);
  GuardSubject subject;
  subject.path = path;
  TerminalProgress progress;
  LanguageModel model(expand_path(path), options.run.engine());
  const GuardOptions guard = options.guard();
  subject.records =
      measure_guard(model, sets, guard, options.output.empty() ? "" : expand_path(options.output),
                    store_name(options, path), progress);
  subject.settings = guard_identity(model, guard);
  finish(options, subject);
  subject.model = model_json(path, model);
  subject.model["kv_bytes_of_longest_row"] =
      KvCache::bytes_per_position(model.config(), model.decoder().kv_format()) *
      static_cast<uint64_t>(subject.timing.longest);
  // Another model's memory in this process would be counted with it.
  subject.model["peak_rss_bytes"] = alone ? Json(peak_rss_bytes()) : Json();
  return subject;
}

void warn_about_classes(const GuardSubject& subject) {
  for (const GuardScore& score : subject.summary.scores)
    if (score.one_class())
      note(fmt::format("{} holds only {} rows for {}: F1 follows from recall, which is told instead",
                       score.set, guard_label_word(score.task, score.support[1] > 0),
                       guard_task_name(score.task)));
}

void write_legacy(const Options& options, const GuardSubject& subject, AtomicFile& file) {
  const auto predicted = prompt_harm_labels(subject.records, parse_guard_parser(options.parser));
  file.write(json_text(legacy_results(subject.records, predicted, parse_legacy_schema(options.legacy_schema),
                                      {{"what", subject.model}, {"run", subject.settings}})));
  file.commit();
}

int run_guard_task(const Options& options) {
  check_usage(options);
  // A file that is in the way is told before the work, not after it.
  std::optional<AtomicFile> legacy;
  if (!options.legacy_json.empty()) legacy.emplace(expand_path(options.legacy_json), options.overwrite);
  const std::vector<GuardSet> sets = read_sets(options);
  GuardReport report;
  report.reference = options.reference;
  report.published = options.published;
  const bool alone = options.paths.size() == 1 && options.reference.empty();
  if (!options.reference.empty())
    report.subjects.push_back(measured_subject(options, options.reference, sets, false));
  if (!options.from.empty())
    report.subjects.push_back(
        stored_subject(options, fmt::format("{}", options.from[0]), options.from, sets));
  for (const std::string& path : options.paths)
    report.subjects.push_back(measured_subject(options, path, sets, alone));
  warn_about_classes(report.subjects.back());
  report.pairings = pair_subjects(report);
  report.margins = score_all_margins(report, options.most_fpr);
  if (legacy) write_legacy(options, report.subjects.back(), *legacy);
  if (options.json)
    print_json(guard_report_json(report));
  else
    fmt::print("{}", guard_report_text(report));
  return 0;
}

void declare_data(CLI::App& task, Options& options) {
  task.add_option("--data", options.data,
                  "sets, by path or by name below --data-dir; A+B makes one set of two files")
      ->delimiter(',')
      ->allow_extra_args(false);
  task.add_option("--data-dir", options.folder,
                  "where named sets lie (default: $ASSAY_GUARD_DATA, else here)");
  task.add_option("--prompt-field", options.fields.prompt, "member or column with the request");
  task.add_option("--response-field", options.fields.response, "member or column with the answer to judge");
  task.add_option("--label-field", options.fields.label, "member or column with the true label");
  task.add_option("--label", options.fields.constant_label, "the true label of every row: harmful, safe, …");
  task.add_option("--task", options.task, "what labels say: prompt-harm, refusal or response-harm");
  task.add_option("--limit", options.limit, "rows of each set at most")->check(kCount);
  task.add_option("--per-class", options.per_class, "so many rows of each class")->check(kCount);
  task.add_flag("--quick", options.quick, "--per-class 25");
  task.add_option("--order", options.order, "file or shuffled (default: shuffled where rows are cut)")
      ->check(CLI::IsMember({"file", "shuffled"}));
  task.add_option("--shuffle", options.shuffle,
                  "assay (default), or cpython: as random.seed(SEED); random.shuffle")
      ->check(CLI::IsMember({"assay", "cpython"}));
  task.add_option("--seed", options.seed, "of the shuffle (default 42)");
}

void declare_model(CLI::App& task, Options& options) {
  task.add_option("--reference", options.reference,
                  "what agreement and retention are held to: a model, or its stored answers");
  task.add_option("--prompt", options.prompt, "benchmark (default), deploy or wizard101")
      ->check(CLI::IsMember({"benchmark", "deploy", "wizard101"}));
  task.add_flag("--chat-template", options.chat_template,
                "the prompt as a turn of the user, instead of raw text");
  task.add_option("--parser", options.parser, "official (default) or legacy, wizard101's")
      ->check(CLI::IsMember({"official", "legacy"}));
  task.add_option("--score", options.score, "generation (default), or logits: the label's margin, no answer")
      ->check(CLI::IsMember({"generation", "logits"}));
  task.add_option("--fpr", options.most_fpr, "share of false alarms at which recall is told (default 0.05)")
      ->check(CLI::Range(0.0, 1.0));
  task.add_option("--max-tokens", options.max_tokens, "of an answer (default 2048)")->check(kCount);
  options.run.declare(task);
}

void declare_output(CLI::App& task, Options& options) {
  task.add_option("-o,--output", options.output,
                  "folder that keeps every answer: the next run goes on there");
  task.add_option("--from", options.from, "score stored answers instead of asking a model")
      ->delimiter(',')
      ->allow_extra_args(false);
  task.add_option("--published", options.published, "the authors' figures for 1B, 3B or 8B beside ours")
      ->check(CLI::IsMember({"1B", "3B", "8B"}));
  task.add_option("--legacy-json", options.legacy_json, "write results as wizard101's scripts did");
  task.add_option("--legacy-schema", options.legacy_schema, "per-class (default) or confusion")
      ->check(CLI::IsMember({"per-class", "confusion"}));
  task.add_flag("--overwrite", options.overwrite, "let --legacy-json replace a file that exists");
  task.add_flag("--json", options.json, "print one JSON document");
}

}  // namespace

RunVerb declare_eval_guard(CLI::App& eval) {
  auto options = std::make_shared<Options>();
  CLI::App* task = eval.add_subcommand("guard", "how well a guard model tells harmful from harmless");
  task->add_option("paths", options->paths, "model directories, GGUF files, or files of stored answers");
  declare_data(*task, *options);
  declare_model(*task, *options);
  declare_output(*task, *options);
  add_examples(*task,
               "  assay eval guard out/mlx-4bit --data ToxicChat,SafeRLHF --data-dir benchmark -o runs\n"
               "  assay eval guard out/mlx-4bit --reference checkpoint --data combined_test --quick\n"
               "  assay eval guard out/mlx-4bit --data set.jsonl --prompt-field text --score logits\n"
               "  assay eval guard --from generated_predictions.jsonl --published 3B");
  return [options] { return run_guard_task(*options); };
}

}  // namespace assay
