#include "cli/compare_answers.hpp"

#include <fmt/format.h>

#include <memory>

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

AnswerSource source_of(const Subject& subject, const JudgeCliOptions& options, const EngineOptions& engine) {
  return options.source(subject.label, subject.path, engine);
}

void add_samples(Report& report, const PromptSet& prompts, const AnswerSet& set) {
  for (size_t i = 0; i < set.answers.size(); ++i) {
    const PromptAnswer& answer = set.answers[i];
    const JudgePrompt& prompt = prompts.prompts[i];
    for (size_t turn = 0; turn < answer.turns.size(); ++turn)
      report.answers.push_back({.subject = set.subject,
                                .prompt = prompt.turns[turn],
                                .category = prompt.category,
                                .text = answer.turns[turn].text,
                                .finish_reason = answer.turns[turn].finish_reason,
                                .flags = flag_names(answer.flags),
                                .tokens = answer.turns[turn].answer_tokens});
  }
}

/// The share of answers whose text is the reference's own.
Measurement same_text_share(const AnswerSet& set, const AnswerSet& reference, const Json& settings) {
  int64_t same = 0;
  for (size_t i = 0; i < set.answers.size(); ++i)
    same += set.answers[i].texts == reference.answers[i].texts ? 1 : 0;
  Measurement made =
      make_measurement(set.subject, "answers", "same_text_share", "share",
                       wilson_share(same, static_cast<int64_t>(set.answers.size())), "prompts");
  made.settings = settings;
  made.file_sha256 = set.file_sha256;
  return made;
}

void append(Report& report, std::vector<Measurement> made) {
  report.measurements.insert(report.measurements.end(), std::make_move_iterator(made.begin()),
                             std::make_move_iterator(made.end()));
}

/// What the judge was asked, what it cost, and what is missing.
void note_ledger(Report& report, const JudgeLedger& ledger) {
  std::string note =
      fmt::format("the judge was asked {} times, {} verdicts are missing", ledger.requests, ledger.missing);
  if (ledger.cost)
    note += fmt::format("; its replies cost {:.6g} {} (prices: {})", *ledger.cost, ledger.price->currency,
                        ledger.price->version);
  if (ledger.stopped_by_budget) note += "; stopped before the budget was exceeded";
  report.notes.push_back(note);
}

}  // namespace

void compare_answers(Report& report, const JudgeTask& task, const JudgeCliOptions& options,
                     const EngineOptions& engine, const std::filesystem::path& output, Progress& progress) {
  const auto log = open_record_log(output, "answers.jsonl");
  const PromptSet& prompts = task.prompts;
  const DecodingOptions& decoding = task.decoding;
  const Json settings = {{"prompts", prompts.name},
                         {"prompts_sha256", prompts.sha256},
                         {"decoding", to_json(decoding)},
                         {"compute", compute_name(engine.compute)},
                         {"interval", "95 % by Wilson's score"}};
  std::vector<AnswerSet> sets;
  for (const Subject& subject : report.subjects) {
    sets.push_back(collect_answers(source_of(subject, options, engine), prompts, decoding, *log, progress));
    const AnswerSet &set = sets.back(), &reference = sets.front();
    add_samples(report, prompts, set);
    std::vector<Measurement> made = measurements_of(set, summarize_answers(prompts, set), settings);
    for (Measurement& m : made) m.task = "answers";  // nobody judged them
    append(report, std::move(made));
    if (sets.size() > 1) report.measurements.push_back(same_text_share(set, reference, settings));
  }
}

void compare_judge(Report& report, const JudgeTask& task, const JudgeCliOptions& options,
                   const EngineOptions& engine, const std::filesystem::path& output,
                   LegacyEvaluations* legacy, Progress& progress) {
  const auto answers = open_record_log(output, "answers.jsonl"),
             replies = open_record_log(output, "judge.jsonl");
  const std::unique_ptr<Respondent> respondent = options.respondent(engine);
  Judge judge(respondent.get(), options.options(), *replies);
  judge.add_recorded(options.recorded_replies());
  const AnswerSource reference = source_of(report.subjects.front(), options, engine);
  std::vector<AnswerSource> candidates;
  for (size_t i = 1; i < report.subjects.size(); ++i)
    candidates.push_back(source_of(report.subjects[i], options, engine));
  const JudgeTaskResult result = run_judge_task(task, &reference, candidates, judge, *answers, progress);
  if (legacy != nullptr) legacy->write(task, result, judge.options().model);
  append(report, measurements_of(result));
  note_ledger(report, result.ledger);
  if (result.reference) add_samples(report, task.prompts, result.reference->answers);
  for (const JudgedSubject& candidate : result.candidates) {
    add_samples(report, task.prompts, candidate.answers);
    report.comparisons.insert(report.comparisons.end(), candidate.comparisons.begin(),
                              candidate.comparisons.end());
  }
}

}  // namespace assay
