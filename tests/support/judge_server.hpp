#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "support/mock_server.hpp"

namespace assay::test {

/// A chat completion as the OpenAI API words it.
inline nlohmann::json completion(const std::string& text, const std::string& finish_reason = "stop",
                                 int prompt_tokens = 100, int answer_tokens = 20) {
  return {{"choices",
           {{{"message", {{"role", "assistant"}, {"content", text}}}, {"finish_reason", finish_reason}}}},
          {"usage",
           {{"prompt_tokens", prompt_tokens},
            {"completion_tokens", answer_tokens},
            {"prompt_tokens_details", {{"cached_tokens", prompt_tokens / 2}}},
            {"completion_tokens_details", {{"reasoning_tokens", answer_tokens / 4}}}}}};
}

inline std::string verdict(const std::string& preferred) {
  return nlohmann::json{{"accuracy", preferred}, {"reason", "because"}, {"verdict", preferred}}.dump();
}

inline std::string scores(double accuracy, double coherence, double relevance, double quality) {
  return nlohmann::json{{"accuracy_score", accuracy},
                        {"coherence_score", coherence},
                        {"relevance_score", relevance},
                        {"quality_score", quality},
                        {"reasoning", "because"}}
      .dump();
}

/// What stands between <tag> and </tag> of a question to the judge.
inline std::string between(const std::string& text, const std::string& tag) {
  const std::string open = "<" + tag + ">\n", close = "\n</" + tag + ">";
  const size_t begin = text.find(open), end = text.rfind(close);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return text.substr(begin + open.size(), end - begin - open.size());
}

/// A steady judge: more different letters are better, equally many are a tie. Its word depends on the
/// answers alone, not on their order.
inline std::string steady_verdict(const std::string& question) {
  const auto letters = [](const std::string& text) {
    return std::set<char>(text.begin(), text.end()).size();
  };
  const size_t a = letters(between(question, "answer_a")), b = letters(between(question, "answer_b"));
  return verdict(a > b ? "A" : b > a ? "B" : "tie");
}

/// The text of the user's message in a request's body.
inline std::string user_text(const std::string& body) {
  const auto json = nlohmann::json::parse(body);
  return json.at("messages").back().at("content");
}

}  // namespace assay::test
