#pragma once
#include <vector>

#include "eval/judge_answers.hpp"
#include "eval/measurement.hpp"
#include "eval/token_price.hpp"
#include "models/weights_sha256.hpp"

namespace assay {

/// What a set of answers tells without a judge. Shares are of prompts, with Wilson's interval.
struct AnswerSummary {
  Estimate truncated, empty, repetitive;
  Estimate code;         ///< of the prompts that ask for a program: those answered with one; n 0 without any
  Estimate code_closed;  ///< the same, with every bracket, quote and block closed
  Estimate tokens;       ///< per answer
  Estimate seconds;      ///< per prompt: prefill and decoding, or an endpoint's whole time
  double tokens_per_second = 0.0;    ///< generated, over the seconds of decoding
  double first_token_seconds = 0.0;  ///< mean; 0 for an endpoint, which does not tell
  TokenUsage usage;

  /// More than 2 % of the answers were cut by the limit: what is measured then is the limit.
  bool too_many_truncated() const noexcept { return truncated.value > 0.02; }
};
AnswerSummary summarize_answers(const PromptSet& prompts, const AnswerSet& answers);

/// truncated_share, empty_share, repetitive_share, code_share, code_closed_share, tokens_per_answer,
/// seconds_per_prompt.
std::vector<Measurement> measurements_of(const AnswerSet& answers, const AnswerSummary& summary,
                                         const nlohmann::ordered_json& settings);

nlohmann::ordered_json to_json(const AnswerSummary& summary);

/// Who a local model is for the store of answers: its weights, compute mode, tokenizer and chat template.
std::string local_identity(const ModelFile& file, Compute compute, const std::string& file_sha256);

}  // namespace assay
