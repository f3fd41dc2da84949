#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/judge_run.hpp"

namespace assay {

/// What `eval judge` tells of a finished task. `addresses` of the candidates, in their order.
struct JudgeReport {
  const JudgeTask& task;
  const JudgeTaskResult& result;
  std::string reference;
  std::vector<std::string> addresses;
};

/// The document of `eval judge --json`.
nlohmann::ordered_json judge_report_json(const JudgeReport& report);
/// The same for people: the noise floor, a table of candidates, categories, what was used and what it cost.
std::string judge_report_text(const JudgeReport& report);

/// "better than the reference", "worse than the reference", or "no difference shown at n = …".
std::string describe_verdict(const PairedComparison& comparison);

}  // namespace assay
