#include "cli/answers.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "base/memory.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Generation& result, LanguageModel& model) {
  Json json = {{"text", result.text},
               {"tokens", result.tokens},
               {"prompt_tokens", result.prompt_tokens},
               {"cached_tokens", result.cached_tokens},
               {"generated_tokens", result.tokens.size()},
               {"finish_reason", finish_reason_name(result.finish)},
               {"prefill_tok_s", result.prefill_tokens_per_second()},
               {"decode_tok_s", result.decode_tokens_per_second()},
               {"load_s", model.load_seconds()},
               {"peak_rss_bytes", peak_rss_bytes()},
               {"logits_hash", fmt::format("{:016x}", result.logits_hash)},
               {"compute", compute_name(model.decoder().compute())},
               {"threads", model.decoder().threads()},
               {"kv", kv_format_name(model.decoder().kv_format())},
               {"kv_bytes", result.kv_bytes}};
  if (result.drafted > 0)
    json["draft"] = {
        {"proposed", result.drafted},
        {"accepted", result.accepted},
        {"acceptance", static_cast<double>(result.accepted) / static_cast<double>(result.drafted)}};
  return json;
}

std::string summary_of(const Generation& result, LanguageModel& model) {
  const double bytes_per_second =
      result.decode_tokens_per_second() * static_cast<double>(model.weight_bytes());
  const std::string guesses =
      result.drafted > 0 ? fmt::format(" · {} of {} guesses right", result.accepted, result.drafted) : "";
  return fmt::format(
      "\n[{} prompt tokens at {:.1f} tok/s · {} generated at {:.1f} tok/s = {:.1f} GB/s of weights · "
      "{} · {} · {} threads{} · logits {:016x}]\n",
      result.prompt_tokens, result.prefill_tokens_per_second(), result.tokens.size(),
      result.decode_tokens_per_second(), bytes_per_second / 1e9, finish_reason_name(result.finish),
      compute_name(model.decoder().compute()), model.decoder().threads(), guesses, result.logits_hash);
}

void print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

AnswerPrinter::AnswerPrinter(const std::vector<std::string>& prompts, int64_t samples, bool side_by_side,
                             LanguageModel& model)
    : prompts_(prompts),
      samples_(static_cast<size_t>(samples)),
      side_by_side_(side_by_side),
      model_(model),
      answers_(prompts.size() * static_cast<size_t>(samples)) {}

void AnswerPrinter::announce(size_t index) {
  if (answers_[index].announced || answers_.size() == 1) return;
  print_text("--- " + prompts_[index / samples_] + "\n");
  answers_[index].announced = true;
}

void AnswerPrinter::add(size_t index, std::string_view text) {
  if (side_by_side_) {
    answers_[index].text += text;
  } else {
    announce(index);
    print_text(text);
  }
}

void AnswerPrinter::complete(size_t index, const Generation& result) {
  answers_[index].summary = summary_of(result, model_);
  answers_[index].complete = true;
  print_next();
}

void AnswerPrinter::print_next() {
  for (; next_ < answers_.size() && answers_[next_].complete; ++next_) {
    announce(next_);
    print_text(answers_[next_].text + "\n");
    std::fputs(answers_[next_].summary.c_str(), stderr);
  }
}

Json answers_json(std::span<const Generation> results, double seconds, int64_t batch, LanguageModel& model) {
  if (results.size() == 1) return to_json(results.front(), model);
  Json rows = Json::array();
  size_t tokens = 0;
  for (const Generation& result : results) {
    rows.push_back(to_json(result, model));
    tokens += result.tokens.size();
  }
  return {{"results", rows},
          {"total_s", seconds},
          {"total_tok_s", seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0},
          {"batch", batch}};
}

}  // namespace assay
