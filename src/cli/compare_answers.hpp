#pragma once
#include <filesystem>

#include "base/progress.hpp"
#include "cli/judge_options.hpp"
#include "cli/legacy_files.hpp"
#include "report/report.hpp"

namespace assay {

/// Every subject answers every prompt with the same decoding. Adds the answers with their flags, and of each
/// subject what can be told without a judge: shares that were cut, empty or repetitive, and of each but the
/// reference the share that equals the reference's text. Answers are kept in `output`/answers.jsonl (empty:
/// nowhere), so that a run that was stopped goes on.
void compare_answers(Report& report, const JudgeTask& task, const JudgeCliOptions& options,
                     const EngineOptions& engine, const std::filesystem::path& output, Progress& progress);

/// The same for the judge's prompts, and then its verdicts: each subject against the reference, with the
/// control and the planted answers. Replies are kept in `output`/judge.jsonl. `legacy`, where given, writes
/// the scores in the old form.
void compare_judge(Report& report, const JudgeTask& task, const JudgeCliOptions& options,
                   const EngineOptions& engine, const std::filesystem::path& output,
                   LegacyEvaluations* legacy, Progress& progress);

}  // namespace assay
