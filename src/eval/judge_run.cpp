#include "eval/judge_run.hpp"

#include <algorithm>

#include "models/weights_sha256.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// A local model that lives as long as it is asked.
class OwnedModel : public Respondent {
 public:
  OwnedModel(const std::filesystem::path& path, const EngineOptions& engine)
      : model_(path, engine), respondent_(model_) {}
  Answer answer(const Question& question, const DecodingOptions& options) override {
    return respondent_.answer(question, options);
  }

 private:
  LanguageModel model_;
  LocalRespondent respondent_;
};

/// The first prompts and the answers to them.
struct Part {
  PromptSet prompts;
  AnswerSet answers;
};
Part first_part(const PromptSet& prompts, const AnswerSet& answers, size_t most) {
  Part part{prompts, answers};
  const size_t n = std::min(most, prompts.prompts.size());
  part.prompts.prompts.resize(n);
  part.answers.answers.resize(n);
  return part;
}

/// The reference's answers once more. An engine that repeats itself to the bit is not run again for greedy
/// answers: the control then shows what the judge makes of two equal texts.
AnswerSet rerun_of(const JudgeTask& task, const AnswerSource& source, const Part& part, RecordLog& log,
                   Progress& progress) {
  AnswerSet again = source.repeatable && task.decoding.temperature == 0.0
                        ? part.answers
                        : collect_answers(source, part.prompts, task.decoding, log, progress, 1);
  again.subject = source.subject + " again";
  return again;
}

void run_controls(const JudgeTask& task, const AnswerSource& source, const AnswerSet& reference, Judge& judge,
                  RecordLog& log, Progress& progress, JudgeTaskResult& result) {
  PairwiseOptions options{
      .repeats = task.repeats, .ask_identical = true, .seed = task.seed, .kind = "control"};
  if (task.control_prompts > 0) {
    const Part part = first_part(task.prompts, reference, task.control_prompts);
    const AnswerSet again = rerun_of(task, source, part, log, progress);
    result.control = judge_pairwise(judge, part.prompts, part.answers, again, options, progress);
  }
  if (task.planted_answers == 0) return;
  options.kind = "planted";
  const PlantedAnswers planted = plant_bad_answers(task.prompts, reference, task.planted_answers, task.seed);
  result.planted =
      judge_pairwise(judge, planted.prompts, planted.reference, planted.worse, options, progress);
}

JudgedSubject answered(const AnswerSource& source, const JudgeTask& task, RecordLog& log,
                       Progress& progress) {
  JudgedSubject subject;
  subject.answers = collect_answers(source, task.prompts, task.decoding, log, progress);
  subject.summary = summarize_answers(task.prompts, subject.answers);
  return subject;
}

void judge_subjects(const JudgeTask& task, Judge& judge, Progress& progress, JudgeTaskResult& result) {
  if (task.mode == JudgeMode::kPairwise) {
    for (JudgedSubject& candidate : result.candidates) {
      candidate.pairwise = judge_pairwise(judge, task.prompts, result.reference->answers, candidate.answers,
                                          {.repeats = task.repeats, .seed = task.seed}, progress);
      candidate.comparisons = {comparison_of(*candidate.pairwise, result.settings)};
    }
    return;
  }
  const auto score = [&](JudgedSubject& subject) {
    subject.pointwise =
        judge_pointwise(judge, task.prompts, subject.answers, task.repeats, task.seed, progress);
  };
  if (result.reference) score(*result.reference);
  for (JudgedSubject& candidate : result.candidates) {
    score(candidate);
    if (result.reference)
      candidate.comparisons =
          comparisons_of(*result.reference->pointwise, *candidate.pointwise, task.seed, result.settings);
  }
}

/// Where there is more than one comparison, a few would look significant by luck alone.
void correct_for_number(JudgeTaskResult& result) {
  std::vector<double> p;
  std::vector<PairedComparison*> where;
  for (JudgedSubject& candidate : result.candidates)
    for (PairedComparison& comparison : candidate.comparisons)
      if (comparison.p) {
        p.push_back(*comparison.p);
        where.push_back(&comparison);
      }
  const std::vector<double> corrected = holm(p);
  for (size_t i = 0; i < where.size(); ++i) where[i]->p_holm = corrected[i];
}

}  // namespace

std::unique_ptr<Respondent> open_local_respondent(const std::filesystem::path& path,
                                                  const EngineOptions& engine) {
  return std::make_unique<OwnedModel>(path, engine);
}

AnswerSource local_source(std::string label, const std::filesystem::path& path, const EngineOptions& engine) {
  const ModelFile file = ModelFile::open(path);
  AnswerSource source{.subject = std::move(label),
                      .identity = {},
                      .file_sha256 = weights_sha256(file),
                      .open = [path, engine] { return open_local_respondent(path, engine); },
                      .repeatable = true};
  source.identity = local_identity(file, engine.compute, source.file_sha256);
  return source;
}

AnswerSource endpoint_source(std::string label, const EndpointOptions& endpoint) {
  return {.subject = std::move(label),
          .identity = shown_url(chat_completions_url(endpoint.url)) + "#" + endpoint.model,
          .file_sha256 = {},
          .open = [endpoint]() -> std::unique_ptr<Respondent> {
            return std::make_unique<EndpointRespondent>(endpoint);
          },
          .repeatable = false};
}

Json settings_of(const JudgeTask& task, const Judge& judge) {
  Json settings = judge.settings(task.mode);
  settings["mode"] = judge_mode_name(task.mode);
  settings["prompts"] = task.prompts.name;
  settings["prompts_sha256"] = task.prompts.sha256;
  settings["decoding"] = to_json(task.decoding);
  settings["repeats"] = task.repeats;
  if (task.mode == JudgeMode::kPairwise) settings["orders"] = 2;
  settings["seed"] = task.seed;
  settings["interval"] = "95 % bootstrap over prompts, 2000 resamples";
  return settings;
}

JudgeTaskResult run_judge_task(const JudgeTask& task, const AnswerSource* reference,
                               const std::vector<AnswerSource>& candidates, Judge& judge,
                               RecordLog& answer_log, Progress& progress) {
  if (task.mode == JudgeMode::kPairwise && reference == nullptr)
    throw UsageError("pairwise verdicts need a --reference");
  JudgeTaskResult result;
  result.settings = settings_of(task, judge);
  if (reference != nullptr) result.reference = answered(*reference, task, answer_log, progress);
  for (const AnswerSource& candidate : candidates)
    result.candidates.push_back(answered(candidate, task, answer_log, progress));
  if (task.mode == JudgeMode::kPairwise)
    run_controls(task, *reference, result.reference->answers, judge, answer_log, progress, result);
  judge_subjects(task, judge, progress, result);
  correct_for_number(result);
  result.ledger = judge.ledger(judge.asked());
  return result;
}

std::vector<Measurement> measurements_of(const JudgeTaskResult& result) {
  std::vector<Measurement> made;
  const auto add = [&](std::vector<Measurement> more) {
    made.insert(made.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  const auto add_subject = [&](const JudgedSubject& subject) {
    add(measurements_of(subject.answers, subject.summary, result.settings));
    if (subject.pairwise)
      add(measurements_of(*subject.pairwise, result.settings, subject.answers.file_sha256));
    if (subject.pointwise)
      add(measurements_of(*subject.pointwise, result.settings, subject.answers.file_sha256));
  };
  const auto add_control = [&](const char* metric, const Estimate& estimate) {
    if (estimate.n == 0) return;
    made.push_back(
        make_measurement(result.reference->answers.subject, "judge", metric, "share", estimate, "prompts"));
    made.back().settings = result.settings;
    made.back().file_sha256 = result.reference->answers.file_sha256;
  };
  if (result.reference) add_subject(*result.reference);
  if (result.control) {
    add_control("control_win_rate", result.control->win_rate);
    const Estimate& ties = result.control->ties;
    add_control("control_decided_share", {1.0 - ties.value, 1.0 - ties.high, 1.0 - ties.low, ties.n});
  }
  if (result.planted) add_control("planted_seen_share", sensitivity_of(*result.planted));
  for (const JudgedSubject& candidate : result.candidates) add_subject(candidate);
  return made;
}

}  // namespace assay
