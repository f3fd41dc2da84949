#include "eval/judge_template.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/sha256.hpp"
#include "eval/judge_answers.hpp"

namespace assay {
namespace {

using nlohmann::json;

// Source of the sentence: llama-farm/LlamaPajamas' evaluator.
constexpr std::string_view kPointwiseSystem = "You are an expert AI evaluator. Respond only with valid JSON.";

constexpr std::string_view kPairwiseSystem =
    "You compare two answers to the same request. You are impartial: the order in which the answers stand, "
    "their length as such and their tone prove nothing. Respond only with valid JSON.";

constexpr std::string_view kPairwiseUser = R"(The request (category: {category}{qualities}):
<request>
{request}
</request>

Answer A:
<answer_a>
{a}
</answer_a>

Answer B:
<answer_b>
{b}
</answer_b>

Which answer serves the request better? Decide for each criterion, then overall. Say "tie" where there is no
difference that matters to the person who asked. An answer that breaks off, repeats itself or evades the
request is worse. Reply with this JSON object and nothing else:
{{"accuracy": "A" | "B" | "tie", "completeness": "A" | "B" | "tie", "clarity": "A" | "B" | "tie",
 "reason": "at most twenty words", "verdict": "A" | "B" | "tie"}})";

constexpr std::string_view kPointwiseUser = R"(Original prompt:
{request}

Category: {category}
Expected qualities: {qualities}

Response to evaluate:
<response>
{answer}
</response>

Score the response from 0 to 10 on each of four criteria (10 perfect, 5 acceptable, 0 useless):
1. accuracy: what it says is correct
2. coherence: it is well ordered and easy to follow
3. relevance: it answers what was asked
4. overall quality

Reply with this JSON object and nothing else:
{{"accuracy_score": 0-10, "coherence_score": 0-10, "relevance_score": 0-10, "quality_score": 0-10,
 "reasoning": "one or two sentences"}})";

/// One turn as it is; several under the heads of who speaks. `skip_answers` leaves the user's turns alone.
std::string show_turns(const std::vector<std::string>& turns, std::string_view head) {
  if (turns.size() == 1) return turns[0];
  std::string text;
  for (size_t i = 0; i < turns.size(); ++i)
    text += fmt::format("{}[{} {}]\n{}", i == 0 ? "" : "\n\n", head, i + 1, turns[i]);
  return text;
}

/// The JSON object a reply consists of; discarded when it consists of anything else.
json object_of(std::string_view text, std::string& fault) {
  std::string reply = strip_thinking(text);
  if (reply.starts_with("```") && reply.ends_with("```") && reply.size() >= 6) {
    const size_t begin = std::min(reply.find('\n'), reply.size());
    reply = begin < reply.size() - 3 ? reply.substr(begin, reply.size() - 3 - begin) : "";
  }
  json object = json::parse(reply, nullptr, false);
  if (object.is_object()) return object;
  fault = reply.empty() ? "an empty reply" : object.is_discarded() ? "not valid JSON" : "not a JSON object";
  return json(json::value_t::discarded);
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

std::string_view judge_mode_name(JudgeMode mode) noexcept {
  return mode == JudgeMode::kPairwise ? "pairwise" : "pointwise";
}

std::string_view preference_name(Preference preference) noexcept {
  return preference == Preference::kA ? "A" : preference == Preference::kB ? "B" : "tie";
}

Question pairwise_question(const JudgePrompt& prompt, const std::vector<std::string>& a,
                           const std::vector<std::string>& b) {
  const std::string qualities =
      prompt.expected_qualities.empty()
          ? ""
          : fmt::format("; expected of an answer: {}", fmt::join(prompt.expected_qualities, ", "));
  return {.messages = {{"system", std::string(kPairwiseSystem)},
                       {"user", fmt::format(kPairwiseUser, fmt::arg("category", prompt.category),
                                            fmt::arg("qualities", qualities),
                                            fmt::arg("request", show_turns(prompt.turns, "Turn")),
                                            fmt::arg("a", show_turns(a, "Answer to turn")),
                                            fmt::arg("b", show_turns(b, "Answer to turn")))}}};
}

Question pointwise_question(const JudgePrompt& prompt, const std::vector<std::string>& answer) {
  return {.messages = {{"system", std::string(kPointwiseSystem)},
                       {"user", fmt::format(kPointwiseUser, fmt::arg("category", prompt.category),
                                            fmt::arg("qualities", fmt::join(prompt.expected_qualities, ", ")),
                                            fmt::arg("request", show_turns(prompt.turns, "Turn")),
                                            fmt::arg("answer", show_turns(answer, "Answer to turn")))}}};
}

std::string template_sha256(JudgeMode mode) {
  const bool pairwise = mode == JudgeMode::kPairwise;
  const std::string text = std::string(pairwise ? kPairwiseSystem : kPointwiseSystem) + "\n" +
                           std::string(pairwise ? kPairwiseUser : kPointwiseUser);
  return sha256_of_text(text);
}

std::optional<Preference> parse_pairwise_reply(std::string_view text, std::string& fault) {
  const json object = object_of(text, fault);
  if (object.is_discarded()) return std::nullopt;
  const auto member = object.find("verdict");
  const std::string verdict =
      member != object.end() && member->is_string() ? lower(member->get<std::string>()) : "";
  if (verdict == "a") return Preference::kA;
  if (verdict == "b") return Preference::kB;
  if (verdict == "tie") return Preference::kTie;
  fault = "the verdict is none of A, B, tie";
  return std::nullopt;
}

std::optional<PointScores> parse_pointwise_reply(std::string_view text, std::string& fault) {
  const json object = object_of(text, fault);
  if (object.is_discarded()) return std::nullopt;
  PointScores scores;
  for (size_t i = 0; i < kPointCriteria.size(); ++i) {
    const std::string name = fmt::format("{}_score", kPointCriteria[i]);
    const auto member = object.find(name);
    if (member == object.end() || !member->is_number()) {
      fault = fmt::format("{} is missing", name);
      return std::nullopt;
    }
    scores.values[i] = member->get<double>();
    if (!(scores.values[i] >= 0.0 && scores.values[i] <= 10.0)) {
      fault = fmt::format("{} is not between 0 and 10", name);
      return std::nullopt;
    }
  }
  const auto reasoning = object.find("reasoning");
  if (reasoning != object.end() && reasoning->is_string()) scores.reasoning = reasoning->get<std::string>();
  return scores;
}

std::string_view score_band(double score) noexcept {
  return score >= 9.0   ? "excellent"
         : score >= 7.0 ? "good"
         : score >= 5.0 ? "fair"
         : score >= 3.0 ? "poor"
                        : "failed";
}

}  // namespace assay
