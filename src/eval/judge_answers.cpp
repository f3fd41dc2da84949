#include "eval/judge_answers.hpp"

#include <map>
#include <numeric>

#include "base/error.hpp"
#include "base/sha256.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Answer& answer) {
  return {{"text", answer.text},
          {"finish_reason", answer.finish_reason},
          {"prompt_tokens", answer.prompt_tokens},
          {"answer_tokens", answer.answer_tokens},
          {"cached_tokens", answer.cached_tokens},
          {"reasoning_tokens", answer.reasoning_tokens},
          {"usage_known", answer.usage_known},
          {"prefill_seconds", answer.prefill_seconds},
          {"decode_seconds", answer.decode_seconds}};
}

Answer answer_from_json(const Json& json) {
  return {.text = json.at("text"),
          .finish_reason = json.at("finish_reason"),
          .prompt_tokens = json.at("prompt_tokens"),
          .answer_tokens = json.at("answer_tokens"),
          .prefill_seconds = json.at("prefill_seconds"),
          .decode_seconds = json.at("decode_seconds"),
          .cached_tokens = json.at("cached_tokens"),
          .reasoning_tokens = json.at("reasoning_tokens"),
          .usage_known = json.at("usage_known")};
}

PromptAnswer complete(const JudgePrompt& prompt, std::vector<Answer> turns) {
  PromptAnswer made{.prompt_id = prompt.id, .turns = std::move(turns), .texts = {}, .flags = {}};
  for (const Answer& turn : made.turns) made.texts.push_back(strip_thinking(turn.text));
  made.flags = flag_answer(prompt, made.turns, made.texts);
  return made;
}

/// The turns of a conversation one after another, each with the answers so far. What a model thought is not
/// part of what it said.
std::vector<Answer> converse(Respondent& respondent, const JudgePrompt& prompt,
                             const DecodingOptions& decoding) {
  std::vector<Answer> turns;
  Question question;
  if (!decoding.system.empty()) question.messages.push_back({"system", decoding.system});
  for (const std::string& turn : prompt.turns) {
    question.messages.push_back({"user", turn});
    turns.push_back(respondent.answer(question, decoding));
    turns.back().text = valid_utf8(turns.back().text);
    question.messages.push_back({"assistant", strip_thinking(turns.back().text)});
  }
  return turns;
}

/// Answers that the log already holds, by key.
std::map<std::string, std::vector<Answer>> earlier_answers(const RecordLog& log) {
  std::map<std::string, std::vector<Answer>> known;
  for (const Json& record : log.earlier()) {
    try {
      std::vector<Answer> turns;
      for (const Json& turn : record.at("turns")) turns.push_back(answer_from_json(turn));
      known[record.at("key")] = std::move(turns);
    } catch (const Json::exception& fault) {
      throw Error({"a stored answer cannot be read", {}, {}, fault.what(), {}});
    }
  }
  return known;
}

}  // namespace

std::string valid_utf8(const std::string& text) {
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
}

int64_t PromptAnswer::tokens() const noexcept {
  return std::accumulate(turns.begin(), turns.end(), int64_t{0},
                         [](int64_t sum, const Answer& turn) { return sum + turn.answer_tokens; });
}

double PromptAnswer::seconds() const noexcept {
  return std::accumulate(turns.begin(), turns.end(), 0.0, [](double sum, const Answer& turn) {
    return sum + turn.prefill_seconds + turn.decode_seconds;
  });
}

size_t PromptAnswer::length() const noexcept {
  return std::accumulate(texts.begin(), texts.end(), size_t{0},
                         [](size_t sum, const std::string& text) { return sum + text.size(); });
}

std::string answer_key(const AnswerSource& source, const JudgePrompt& prompt, const DecodingOptions& decoding,
                       uint64_t rerun) {
  const Json document = {source.identity, prompt.turns, assay::to_json(decoding), rerun};
  const std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  return sha256_of_text(text);
}

AnswerSet collect_answers(const AnswerSource& source, const PromptSet& prompts,
                          const DecodingOptions& decoding, RecordLog& log, Progress& progress,
                          uint64_t rerun) {
  AnswerSet set{.subject = source.subject,
                .identity = source.identity,
                .file_sha256 = source.file_sha256,
                .answers = {}};
  const auto known = earlier_answers(log);
  DecodingOptions seeded = decoding;
  seeded.seed += rerun;
  std::unique_ptr<Respondent> respondent;
  progress.begin(source.subject, prompts.prompts.size(), "answer");
  for (const JudgePrompt& prompt : prompts.prompts) {
    const std::string key = answer_key(source, prompt, decoding, rerun);
    if (const auto found = known.find(key); found != known.end()) {
      set.answers.push_back(complete(prompt, found->second));
    } else {
      if (!respondent) respondent = source.open();
      std::vector<Answer> turns = converse(*respondent, prompt, seeded);
      Json record = {{"key", key},
                     {"subject", source.subject},
                     {"prompt_id", prompt.id},
                     {"category", prompt.category},
                     {"turns", Json::array()}};
      for (const Answer& turn : turns) record["turns"].push_back(to_json(turn));
      set.answers.push_back(complete(prompt, std::move(turns)));
      record["flags"] = flag_names(set.answers.back().flags);
      record["decoding"] = assay::to_json(seeded);
      record["file_sha256"] = source.file_sha256;
      log.append(record);
    }
    progress.advance(1);
  }
  progress.end();
  return set;
}

}  // namespace assay
