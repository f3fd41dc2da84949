#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "eval/guard_dataset.hpp"
#include "eval/guard_parser.hpp"
#include "eval/guard_prompt.hpp"
#include "eval/guard_score.hpp"
#include "eval/guard_store.hpp"
#include "eval/respondent.hpp"
#include "models/weights_sha256.hpp"

namespace assay {

struct GuardOptions {
  GuardPrompt prompt = GuardPrompt::kBenchmark;
  GuardParser parser = GuardParser::kOfficial;
  /// The prompt as a user's turn through the model's chat template, instead of raw text. GuardReasoner was
  /// trained and measured without one.
  bool chat_template = false;
  /// The label's margin after a forced "Answers: \nRequest:" instead of an answer: a fraction of the time.
  bool logits = false;
  DecodingOptions decoding{.max_tokens = 2048};
};

/// All that makes two runs the same: the model's files, the prompt's form, decoding. Not the parser, which
/// reads what is stored, and not the number of threads, on which no logit depends.
nlohmann::ordered_json guard_identity(LanguageModel& model, const GuardOptions& options);

/// The prompt of a row, raw text.
std::string guard_prompt_of(const GuardRow& row, const GuardOptions& options);

/// What to ask, who answers, where the answers are kept.
struct GuardRun {
  std::span<const GuardSet> sets;
  GuardOptions options{};
  GuardStore* store = nullptr;  ///< null: nothing is kept
  int threads = 0;              ///< said in the records
};

/// Puts every row that the store does not hold to `respondent`; the records of all rows, in order. A row
/// whose answer fails is kept with its error and asked again by the next run; twenty failures in a row end
/// the run.
std::vector<GuardRecord> run_guard(Respondent& respondent, const GuardRun& run, Progress& progress);
/// The same by the labels' margins (options.logits), which needs the model itself.
std::vector<GuardRecord> run_guard_margins(LanguageModel& model, const GuardRun& run, Progress& progress);

/// The labels that the records' texts give under this parser; a record with margins and no text gives those
/// whose margin is above 0. One outcome for every task of which the row has a true label.
std::vector<GuardOutcome> guard_outcomes(std::span<const GuardRecord> records, GuardParser parser);

/// What each record says of the request alone: nothing for one that says nothing, or was not asked.
std::vector<GuardLabel> prompt_harm_labels(std::span<const GuardRecord> records, GuardParser parser);

/// How long answers took, over the rows that were answered.
struct GuardTiming {
  int64_t rows = 0, prompt_tokens = 0, answer_tokens = 0, longest = 0;  ///< longest: tokens of one row
  double seconds_mean = 0, seconds_median = 0, prefill_seconds = 0, decode_seconds = 0;
  int threads = 0;      ///< 0 where rows differ
  std::string machine;  ///< empty where rows differ
};
GuardTiming time_guard(std::span<const GuardRecord> records);

/// Opens nothing and prints nothing: runs `model` over the sets with its answers kept below `folder` (empty:
/// nowhere), as `eval guard` does. The file there is guard-<name>.jsonl, or guard-<name>.logits.jsonl.
std::vector<GuardRecord> measure_guard(LanguageModel& model, std::span<const GuardSet> sets,
                                       const GuardOptions& options, const std::filesystem::path& folder,
                                       const std::string& name, Progress& progress);

}  // namespace assay
