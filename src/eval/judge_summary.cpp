#include "eval/judge_summary.hpp"

#include "base/sha256.hpp"
#include "engine/compute.hpp"
#include "text/chat_template.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// Sums over the answers of a set.
struct Sums {
  int64_t truncated = 0, empty = 0, repetitive = 0, code = 0, closed = 0, programs = 0, turns = 0;
  double decode_seconds = 0.0, first_token_seconds = 0.0, generated = 0.0;
};

void add_answer(const JudgePrompt& prompt, const PromptAnswer& answer, Sums& sums, TokenUsage& usage) {
  sums.truncated += answer.flags.truncated ? 1 : 0;
  sums.empty += answer.flags.empty ? 1 : 0;
  sums.repetitive += answer.flags.repetitive ? 1 : 0;
  if (asks_for_code(prompt)) {
    ++sums.programs;
    sums.code += answer.flags.no_code ? 0 : 1;
    sums.closed += answer.flags.no_code || answer.flags.unclosed_code ? 0 : 1;
  }
  for (size_t i = 0; i < answer.turns.size(); ++i) {
    const Answer& turn = answer.turns[i];
    usage.add(usage_of(turn, prompt.turns[i].size()));
    sums.decode_seconds += turn.decode_seconds;
    sums.first_token_seconds += turn.prefill_seconds;
    // The first token falls to the prefill, where that is known.
    sums.generated += static_cast<double>(turn.answer_tokens) - (turn.prefill_seconds > 0.0 ? 1.0 : 0.0);
    ++sums.turns;
  }
}

}  // namespace

AnswerSummary summarize_answers(const PromptSet& prompts, const AnswerSet& answers) {
  AnswerSummary summary;
  Sums sums;
  std::vector<Cluster> tokens, seconds;
  for (size_t i = 0; i < answers.answers.size(); ++i) {
    const PromptAnswer& answer = answers.answers[i];
    add_answer(prompts.prompts[i], answer, sums, summary.usage);
    tokens.push_back({static_cast<double>(answer.tokens()), static_cast<double>(answer.turns.size())});
    seconds.push_back({answer.seconds(), 1.0});
  }
  const auto n = static_cast<int64_t>(answers.answers.size());
  if (n == 0) return summary;
  summary.truncated = wilson_share(sums.truncated, n);
  summary.empty = wilson_share(sums.empty, n);
  summary.repetitive = wilson_share(sums.repetitive, n);
  if (sums.programs > 0) {
    summary.code = wilson_share(sums.code, sums.programs);
    summary.code_closed = wilson_share(sums.closed, sums.programs);
  }
  summary.tokens = cluster_mean(tokens, 0);
  summary.seconds = cluster_mean(seconds, 0);
  if (sums.decode_seconds > 0.0) summary.tokens_per_second = sums.generated / sums.decode_seconds;
  summary.first_token_seconds = sums.first_token_seconds / static_cast<double>(sums.turns);
  return summary;
}

std::vector<Measurement> measurements_of(const AnswerSet& answers, const AnswerSummary& summary,
                                         const Json& settings) {
  std::vector<Measurement> made;
  const auto add = [&](const char* metric, const Estimate& estimate, const char* unit) {
    if (estimate.n == 0) return;
    made.push_back(make_measurement(answers.subject, "judge", metric, unit, estimate, "prompts"));
    made.back().settings = settings;
    made.back().file_sha256 = answers.file_sha256;
  };
  add("truncated_share", summary.truncated, "share");
  add("empty_share", summary.empty, "share");
  add("repetitive_share", summary.repetitive, "share");
  add("code_share", summary.code, "share");
  add("code_closed_share", summary.code_closed, "share");
  add("tokens_per_answer", summary.tokens, "tokens");
  add("seconds_per_prompt", summary.seconds, "s");
  return made;
}

Json to_json(const AnswerSummary& summary) {
  return {{"truncated_share", to_json(summary.truncated)},
          {"too_many_truncated", summary.too_many_truncated()},
          {"empty_share", to_json(summary.empty)},
          {"repetitive_share", to_json(summary.repetitive)},
          {"code_share", summary.code.n > 0 ? to_json(summary.code) : Json()},
          {"code_closed_share", summary.code.n > 0 ? to_json(summary.code_closed) : Json()},
          {"tokens_per_answer", to_json(summary.tokens)},
          {"seconds_per_prompt", to_json(summary.seconds)},
          {"decode_tok_s", summary.tokens_per_second},
          {"first_token_s", summary.first_token_seconds},
          {"usage", to_json(summary.usage)}};
}

std::string local_identity(const ModelFile& file, Compute compute, const std::string& file_sha256) {
  const auto chat = file.gguf() != nullptr ? ChatTemplate::from_gguf(file.gguf()->metadata())
                                           : ChatTemplate::from_directory(file.path());
  Json parts = {file_sha256, compute_name(compute), chat ? chat->source() : ""};
  if (const CheckpointDirectory* directory = file.directory())
    for (const char* name :
         {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"})
      if (std::filesystem::exists(directory->path() / name))
        parts.push_back(sha256_of_file(directory->path() / name));
  return sha256_of_text(parts.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace assay
