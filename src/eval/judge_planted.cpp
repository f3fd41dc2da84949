// Answers made worse on purpose, to see whether the judge notices: see judge_pairwise.hpp.
#include <algorithm>

#include "base/rng.hpp"
#include "eval/judge_pairwise.hpp"

namespace assay {
namespace {

constexpr size_t kFewestWords = 8;

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  constexpr const char* kSpace = " \t\r\n";
  for (size_t begin = text.find_first_not_of(kSpace); begin != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kSpace, end);
  }
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// Fisher-Yates. The last word changes its place for certain, so that no text stays as it was.
std::string shuffled(const std::string& text, Rng& rng) {
  std::vector<std::string> words = words_of(text);
  for (size_t i = words.size() - 1; i > 0; --i)
    std::swap(words[i], words[i == words.size() - 1 ? rng.below(i) : rng.below(i + 1)]);
  return joined(words);
}

std::string first_seventh(const std::string& text) {
  std::vector<std::string> words = words_of(text);
  words.resize(std::max<size_t>(1, words.size() / 7));
  return joined(words);
}

}  // namespace

PlantedAnswers plant_bad_answers(const PromptSet& prompts, const AnswerSet& reference, size_t most,
                                 uint64_t seed) {
  PlantedAnswers planted{.prompts = prompts, .reference = reference, .worse = reference};
  planted.prompts.prompts.clear();
  planted.reference.answers.clear();
  planted.worse.answers.clear();
  planted.worse.subject = "planted bad answers";
  for (size_t i = 0; i < prompts.prompts.size(); ++i) {
    if (planted.prompts.prompts.size() == most) break;
    const PromptAnswer& answer = reference.answers[i];
    if (words_of(answer.texts.back()).size() < kFewestWords) continue;
    Rng rng(seed + i);
    const size_t way = planted.worse.answers.size() % 3;
    const std::string& elsewhere = reference.answers[(i + 1) % reference.answers.size()].texts.back();
    PromptAnswer worse = answer;
    for (std::string& text : worse.texts) {
      if (way == 0 || (way == 1 && (elsewhere == text || elsewhere.empty())))
        text = words_of(text).size() < 2 ? "" : shuffled(text, rng);
      else
        text = way == 1 ? elsewhere : first_seventh(text);
    }
    if (worse.texts == answer.texts) continue;
    planted.prompts.prompts.push_back(prompts.prompts[i]);
    planted.reference.answers.push_back(answer);
    planted.worse.answers.push_back(std::move(worse));
  }
  return planted;
}

}  // namespace assay
