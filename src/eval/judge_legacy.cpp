#include "eval/judge_legacy.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>

#include "eval/machine.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json hardware_info() {
  utsname system{};
  uname(&system);
  const double bytes =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  return {{"platform", std::string(system.sysname) + "-" + system.release + "-" + system.machine},
          {"processor", processor_name()},
          {"python_version", nullptr},  // none takes part
          {"ram_gb", std::round(bytes / 1e8) / 10.0}};
}

Json prompt_result(const JudgePrompt& prompt, const PromptAnswer& answer, const PromptScores& scores,
                   const std::string& timestamp) {
  Json texts = answer.texts;
  Json result = {{"prompt", prompt.turns.size() == 1 ? Json(prompt.turns[0]) : Json(prompt.turns)},
                 {"category", prompt.category},
                 {"model_response", texts.size() == 1 ? texts[0] : texts},
                 {"generation_time_seconds", answer.seconds()}};
  for (size_t k = 0; k < kPointCriteria.size(); ++k)
    result[std::string(kPointCriteria[k]) + "_score"] = scores.scores ? Json((*scores.scores)[k]) : Json();
  result["judge_reasoning"] = scores.reasoning;
  result["timestamp"] = timestamp;
  int64_t prompt_tokens = 0;
  for (const Answer& turn : answer.turns) prompt_tokens += turn.prompt_tokens;
  result["prompt_tokens"] = prompt_tokens;
  result["generated_tokens"] = answer.tokens();
  result["finish_reason"] = answer.flags.truncated ? "length" : "stop";
  result["flags"] = flag_names(answer.flags);
  return result;
}

}  // namespace

Json legacy_evaluation(const JudgedSubject& subject, const JudgeTask& task, const std::string& judge_model,
                       const LegacySubject& facts) {
  ASSAY_CHECK(subject.pointwise.has_value());
  Json document = {{"model_name", subject.answers.subject},
                   {"model_path", facts.path},
                   {"quantization_format", facts.format},
                   {"quantization_config", facts.config},
                   {"prompt_results", Json::array()}};
  for (size_t i = 0; i < task.prompts.prompts.size(); ++i)
    document["prompt_results"].push_back(prompt_result(task.prompts.prompts[i], subject.answers.answers[i],
                                                       subject.pointwise->prompts[i], facts.timestamp));
  for (size_t k = 0; k < kPointCriteria.size(); ++k)
    document["aggregate_scores"][std::string(kPointCriteria[k])] =
        finite_json(subject.pointwise->means[k].value);
  document["aggregate_scores"]["generation_time"] = finite_json(subject.summary.seconds.value);
  document["evaluation_timestamp"] = facts.timestamp;
  document["judge_model"] = judge_model;
  if (facts.format != "baseline") document["hardware_info"] = hardware_info();
  document["decoding"] = to_json(task.decoding);
  document["seed"] = task.decoding.seed;
  document["prompts_sha256"] = task.prompts.sha256;
  document["file_sha256"] = subject.answers.file_sha256;
  document["missing_prompts"] = subject.pointwise->missing;
  document["truncated_share"] = finite_json(subject.summary.truncated.value);
  return document;
}

}  // namespace assay
