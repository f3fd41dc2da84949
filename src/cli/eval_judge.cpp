#include "cli/eval_judge.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/judge_options.hpp"
#include "cli/judge_report.hpp"
#include "cli/legacy_files.hpp"
#include "cli/terminal_progress.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  std::string reference, output, legacy;
  bool json = false, overwrite = false;
  JudgeCliOptions judging;
  RunOptions run;
};

/// The requests without a reply as lines that a batch service or a person can answer: key and messages.
void write_requests(const Judge& judge, AtomicFile& file) {
  for (const JudgeRequest& request : judge.asked()) {
    if (!judge.is_open(request)) continue;
    Json line = {{"key", request.key}, {"about", request.about}, {"messages", Json::array()}};
    for (const ChatMessage& message : request.question.messages)
      line["messages"].push_back({{"role", message.role}, {"content", message.content}});
    file.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

void check_usage(const Options& options) {
  const bool pointwise = options.judging.mode == "pointwise";
  if (!pointwise && options.reference.empty())
    throw UsageError("pairwise verdicts need a --reference; --mode pointwise does without");
  if (!options.legacy.empty() && !pointwise)
    throw UsageError("the old files hold scores: --legacy-json needs --mode pointwise");
}

int report_end(const JudgeLedger& ledger, const Judge& judge) {
  if (ledger.stopped_by_budget) {
    fmt::print(stderr,
               "assay: stopped before the budget of {} {} was exceeded: {} of {} verdicts are missing\n",
               *judge.options().budget, ledger.price->currency, ledger.missing, ledger.requests);
    return 1;
  }
  if (ledger.requests > 0 && ledger.valid == 0) {
    fmt::print(stderr, "assay: not one valid verdict among {} requests\n", ledger.requests);
    return 1;
  }
  return 0;
}

/// Who is judged, under unique labels.
struct Judged {
  std::optional<AnswerSource> reference{};
  std::vector<AnswerSource> candidates{};
  std::vector<LegacyEvaluations::Address> addresses{};  ///< of both, the reference first
};

Judged open_subjects(const Options& options) {
  std::vector<std::string> paths = options.paths;
  if (!options.reference.empty()) paths.insert(paths.begin(), options.reference);
  const std::vector<std::string> labels = subject_labels(paths);
  Judged judged;
  for (size_t i = 0; i < paths.size(); ++i) {
    const bool is_reference = i == 0 && !options.reference.empty();
    AnswerSource source = options.judging.source(labels[i], paths[i], options.run.engine());
    if (is_reference)
      judged.reference = std::move(source);
    else
      judged.candidates.push_back(std::move(source));
    judged.addresses.push_back({paths[i], labels[i], is_reference});
  }
  return judged;
}

void report_result(const Options& options, const JudgeReport& report) {
  const Json document = judge_report_json(report);
  if (!options.output.empty()) {
    AtomicFile file(expand_path(options.output) / "judge.json", true);
    file.write(json_text(document));
    file.commit();
  }
  if (options.json)
    print_json(document);
  else
    fmt::print("{}", judge_report_text(report));
}

int run_judge(const Options& options) {
  check_usage(options);
  const JudgeTask task = options.judging.task();
  const JudgeOptions judge_options = options.judging.options();
  const std::unique_ptr<Respondent> respondent = options.judging.respondent(options.run.engine());
  const std::filesystem::path folder = options.output.empty() ? "" : expand_path(options.output);
  const auto answer_log = open_record_log(folder, "answers.jsonl"),
             reply_log = open_record_log(folder, "judge.jsonl");
  Judge judge(respondent.get(), judge_options, *reply_log);
  judge.add_recorded(options.judging.recorded_replies());
  const Judged judged = open_subjects(options);
  // A file that is in the way is told before the work, not after it.
  std::optional<LegacyEvaluations> legacy;
  if (!options.legacy.empty())
    legacy.emplace(expand_path(options.legacy), options.overwrite, judged.addresses);
  std::optional<AtomicFile> requests;
  if (!options.judging.judge_requests.empty())
    requests.emplace(expand_path(options.judging.judge_requests), options.overwrite);
  TerminalProgress progress;
  const JudgeTaskResult result = run_judge_task(task, judged.reference ? &*judged.reference : nullptr,
                                                judged.candidates, judge, *answer_log, progress);
  if (requests) {
    write_requests(judge, *requests);
    return 0;
  }
  if (legacy) legacy->write(task, result, judge_options.model);
  report_result(options, {task, result, options.reference, options.paths});
  return report_end(result.ledger, judge);
}

}  // namespace

RunVerb declare_eval_judge(CLI::App& eval) {
  auto options = std::make_shared<Options>();
  CLI::App* task = eval.add_subcommand("judge", "another model's verdict on answers, against full precision");
  task->add_option("candidates", options->paths, "model directories, GGUF files, or https://host/v1#model")
      ->required();
  task->add_option("--reference", options->reference, "what they are compared with, usually the bf16 source");
  task->add_option("-o,--output", options->output,
                   "folder for answers, replies and result: killed at any point, the same command goes on");
  task->add_option("--legacy-json", options->legacy,
                   "folder for evaluation_{mlx,gguf,baseline}.json (with --mode pointwise)");
  task->add_flag("--overwrite", options->overwrite, "let --legacy-json and --judge-requests replace files");
  task->add_flag("--json", options->json, "print one JSON document");
  options->judging.declare_judge(*task);
  options->judging.declare_decoding(*task);
  options->run.declare(*task);
  add_examples(
      *task,
      "  assay eval judge out/mlx-4bit out/model-Q4_K_M.gguf --reference checkpoint -o verdicts \\\n"
      "    --judge-url https://api.openai.com/v1 --judge-model gpt-5-nano --prices prices.yaml --budget 1\n"
      "  assay eval judge out/mlx-4bit --reference checkpoint --judge-url http://localhost:8080/v1 \\\n"
      "    --judge-model local --prompts mt_bench_question.jsonl --turns all --thinking off\n"
      "  assay eval judge out/mlx-4bit --reference checkpoint --mode pointwise --legacy-json old \\\n"
      "    --judge-replies verdicts/judge.jsonl --judge-model gpt-5-nano");
  return [options] { return run_judge(*options); };
}

}  // namespace assay
