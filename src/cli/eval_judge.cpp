#include "cli/eval_judge.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/judge_options.hpp"
#include "cli/judge_report.hpp"
#include "cli/terminal_progress.hpp"
#include "convert/inspect.hpp"
#include "eval/judge_legacy.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  std::string reference, output, legacy;
  bool json = false, overwrite = false;
  JudgeCliOptions judging;
  RunOptions run;
};

/// The requests without a reply as lines that a batch service or a person can answer: key and messages.
void write_requests(const Judge& judge, const std::string& path, bool overwrite) {
  AtomicFile file(expand_path(path), overwrite);
  for (const JudgeRequest& request : judge.asked()) {
    if (!judge.is_open(request)) continue;
    Json line = {{"key", request.key}, {"about", request.about}, {"messages", Json::array()}};
    for (const ChatMessage& message : request.question.messages)
      line["messages"].push_back({{"role", message.role}, {"content", message.content}});
    file.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

/// What the old files called quantization_config, from what the file itself declares.
LegacySubject legacy_facts(const std::string& address, bool baseline, const std::string& now) {
  LegacySubject facts{.path = address,
                      .format = baseline ? "baseline" : "endpoint",
                      .config = Json::object(),
                      .timestamp = now};
  if (parse_endpoint_address(address)) return facts;
  const Inspection found = inspect_path(expand_path(address));
  if (!baseline) facts.format = found.container == "huggingface" ? "safetensors" : found.container;
  const auto declared = [&](const char* name) {
    return found.declared.is_object() && found.declared.contains(name) ? Json(found.declared[name]) : Json();
  };
  if (found.container == "gguf")
    facts.config = {{"precision", declared("file_type")}};
  else if (declared("bits").is_null())
    facts.config = {{"precision", found.formats().empty() ? "" : found.formats().begin()->first}};
  else
    facts.config = {{"quantization", fmt::format("{}bit", declared("bits").dump())},
                    {"bits", declared("bits")},
                    {"mixed_precision", found.formats().size() > 2}};
  return facts;
}

void write_legacy(const Options& options, const JudgeTask& task, const JudgeTaskResult& result,
                  const std::string& judge_model) {
  const fs::path folder = expand_path(options.legacy);
  fs::create_directories(folder);
  const std::string now =
      fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                  fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  std::map<std::string, int> seen;
  const auto write = [&](const JudgedSubject& subject, const std::string& address, bool baseline) {
    const LegacySubject facts = legacy_facts(address, baseline, now);
    // The old names have room for one file of a format; further ones add their label.
    const std::string more =
        seen[facts.format]++ == 0 ? "" : "-" + fs::path(subject.answers.subject).filename().string();
    AtomicFile file(folder / fmt::format("evaluation_{}{}.json", facts.format, more), options.overwrite);
    file.write(json_text(legacy_evaluation(subject, task, judge_model, facts)));
    file.commit();
  };
  if (result.reference) write(*result.reference, options.reference, true);
  for (size_t i = 0; i < result.candidates.size(); ++i) write(result.candidates[i], options.paths[i], false);
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

int run_judge(const Options& options) {
  check_usage(options);
  const JudgeTask task = options.judging.task();
  const JudgeOptions judge_options = options.judging.options();
  const EngineOptions engine = options.run.engine();
  const std::unique_ptr<Respondent> respondent = options.judging.respondent(engine);
  const std::filesystem::path folder = options.output.empty() ? "" : expand_path(options.output);
  const auto answer_log = open_record_log(folder, "answers.jsonl"),
             reply_log = open_record_log(folder, "judge.jsonl");
  Judge judge(respondent.get(), judge_options, *reply_log);
  judge.add_recorded(options.judging.recorded_replies());

  std::vector<std::string> addresses = options.paths;
  if (!options.reference.empty()) addresses.push_back(options.reference);
  const std::vector<std::string> labels = subject_labels(addresses);
  std::vector<AnswerSource> candidates;
  for (size_t i = 0; i < options.paths.size(); ++i)
    candidates.push_back(options.judging.source(labels[i], options.paths[i], engine));
  std::optional<AnswerSource> reference;
  if (!options.reference.empty())
    reference = options.judging.source(labels.back(), options.reference, engine);
  TerminalProgress progress;
  const JudgeTaskResult result =
      run_judge_task(task, reference ? &*reference : nullptr, candidates, judge, *answer_log, progress);

  if (!options.judging.judge_requests.empty()) {
    write_requests(judge, options.judging.judge_requests, options.overwrite);
    return 0;
  }
  const JudgeReport report{task, result, options.reference, options.paths};
  const Json document = judge_report_json(report);
  if (!options.output.empty()) {
    AtomicFile file(expand_path(options.output) / "judge.json", true);
    file.write(json_text(document));
    file.commit();
  }
  if (!options.legacy.empty()) write_legacy(options, task, result, judge_options.model);
  if (options.json)
    print_json(document);
  else
    fmt::print("{}", judge_report_text(report));
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
