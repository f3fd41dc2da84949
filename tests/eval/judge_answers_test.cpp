#include "eval/judge_answers.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

JudgePrompt code_prompt() {
  return {.id = "1", .category = "code", .turns = {"write a function"}, .expected_qualities = {}};
}

AnswerFlags flags_of(const std::string& text, const std::string& finish = "stop") {
  return flag_answer(code_prompt(), {{.text = text, .finish_reason = finish}}, {strip_thinking(text)});
}

TEST(JudgeFlagsTest, TruncatedAndEmpty) {
  EXPECT_TRUE(flags_of("def f(x):", "length").truncated);
  EXPECT_FALSE(flags_of("def f(x): pass").truncated);
  EXPECT_TRUE(flags_of(" \n\t").empty);
  EXPECT_TRUE(flags_of("<think>a program, let me see", "length").empty) << "all of it was thinking";
  EXPECT_FALSE(flags_of("<think>hm</think>no").empty);
  EXPECT_EQ(flag_names(flags_of("")), (std::vector<std::string>{"empty", "no_code"}));
}

TEST(JudgeFlagsTest, ThinkingIsTakenOut) {
  EXPECT_EQ(strip_thinking("<think>one</think>\n\ntwo"), "two");
  EXPECT_EQ(strip_thinking("one</think> two"), "two") << "opened in the prompt";
  EXPECT_EQ(strip_thinking("a <think>b</think> c <think>d"), "a  c");
  EXPECT_EQ(strip_thinking(" plain "), "plain");
}

TEST(JudgeFlagsTest, RepetitiveIsMeasured) {
  std::string varied, looping;
  for (int i = 0; i < 200; ++i) varied += "word" + std::to_string(i * 7919 % 1000) + " ";
  for (int i = 0; i < 30; ++i) looping += "I am sorry, I can not do that. ";
  EXPECT_EQ(repetition(varied), 0.0);
  EXPECT_GT(repetition(looping), 0.9);
  EXPECT_EQ(repetition("yes yes yes"), 0.0) << "too short to tell";
  EXPECT_TRUE(is_repetitive(looping));
  EXPECT_FALSE(is_repetitive(varied));
  EXPECT_TRUE(is_repetitive(varied + std::string(80, '!')));
  EXPECT_TRUE(is_repetitive("結果：" + std::string("はいはいはいはいはいはいはいはいはいはいはいはい")));
  EXPECT_FALSE(is_repetitive("| a | b |\n|---|---|\n| 1 | 2 |")) << "a table's rule is no loop";
  // Just over and just under one half: 41 grams of words that say one sentence of 20 twice, then something
  // new.
  std::string sentence, fresh;
  for (int i = 0; i < 20; ++i) sentence += "s" + std::to_string(i) + " ";
  for (int i = 0; i < 30; ++i) fresh += "n" + std::to_string(i) + " ";
  EXPECT_FALSE(is_repetitive(sentence + sentence + fresh));
  EXPECT_TRUE(is_repetitive(sentence + sentence + sentence + "end"));
}

TEST(JudgeFlagsTest, CodeIsThereAndCloses) {
  EXPECT_FALSE(flags_of("```python\ndef f(x):\n  return (x)\n```").no_code);
  EXPECT_FALSE(flags_of("def factorial(n):\n  return 1").no_code);
  EXPECT_FALSE(flags_of("  async def f(n): pass").no_code);
  EXPECT_TRUE(flags_of("You define a function that multiplies.").no_code);
  EXPECT_TRUE(flags_of("The def keyword (see above) begins a function.").no_code);
  const JudgePrompt talk{
      .id = "2", .category = "factual", .turns = {"what is a tuple?"}, .expected_qualities = {}};
  EXPECT_FALSE(flag_answer(talk, {{.text = "a list", .finish_reason = "stop"}}, {"a list"}).no_code);

  EXPECT_TRUE(is_code_closed("```python\nprint('(')  # it's (\n\"\"\"a\n[\"\"\"\n```\nmore ( text"));
  EXPECT_FALSE(is_code_closed("```python\nprint((1)\n```"));
  EXPECT_FALSE(is_code_closed("```python\nprint('1)\n```"));
  EXPECT_FALSE(is_code_closed("```python\nprint(1]\n```"));
  EXPECT_FALSE(is_code_closed("```python\nprint(1)\n"));
  EXPECT_TRUE(is_code_closed("```\nprint('a\\'b')\n```"));
  EXPECT_TRUE(flags_of("```python\ndef f(x):\n  return (x\n```").unclosed_code);
}

TEST(JudgePromptsTest, SevenAreBuiltIn) {
  const PromptSet set = builtin_prompts();
  ASSERT_EQ(set.prompts.size(), 7u);
  std::map<std::string, int> categories;
  for (const JudgePrompt& prompt : set.prompts) {
    ++categories[prompt.category];
    EXPECT_EQ(prompt.expected_qualities.size(), 3u);
  }
  EXPECT_EQ(categories, (std::map<std::string, int>{
                            {"code", 3}, {"conceptual", 1}, {"factual", 1}, {"technical_explanation", 2}}));
  EXPECT_EQ(set.prompts[3].turns[0], "Write a function to reverse a string:");
  EXPECT_EQ(set.sha256, builtin_prompts().sha256);
  EXPECT_NE(set.sha256, first_prompts(set, 6).sha256);
}

TEST(JudgePromptsTest, FilesInThreeFormatsAreTheSameSet) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "p.jsonl")
      << R"({"id": "a", "prompt": "Say \"hi\", now", "category": "code", "expected_qualities": ["short", "kind"]})"
         "\n"
      << R"({"id": "b", "prompt": "two"})"
         "\n";
  std::ofstream(folder / "p.csv")
      << "id,prompt,category,expected_qualities\na,\"Say \"\"hi\"\", now\",code,short; kind\nb,two,,\n";
  std::ofstream(folder / "p.json")
      << R"([{"id": "a", "prompt": "Say \"hi\", now", "category": "code", "expected_qualities": "short, kind"}, {"id": "b", "prompt": "two"}])";
  const PromptSet set = read_prompt_set(folder / "p.jsonl", false);
  EXPECT_EQ(set.prompts[0].turns[0], "Say \"hi\", now");
  EXPECT_EQ(set.prompts[0].expected_qualities, (std::vector<std::string>{"short", "kind"}));
  EXPECT_EQ(set.prompts[1].category, "uncategorized");
  EXPECT_EQ(read_prompt_set(folder / "p.csv", false).sha256, set.sha256);
  EXPECT_EQ(read_prompt_set(folder / "p.json", false).sha256, set.sha256);
  std::ofstream(folder / "twice.jsonl")
      << "{\"id\": \"a\", \"prompt\": \"x\"}\n{\"id\": \"a\", \"prompt\": \"y\"}\n";
  EXPECT_THROW(read_prompt_set(folder / "twice.jsonl", false), Error);
  std::ofstream(folder / "none.jsonl") << "{\"id\": \"a\"}\n";
  EXPECT_THROW(read_prompt_set(folder / "none.jsonl", false), Error);
}

TEST(JudgePromptsTest, RealQuestionFilesLoad) {
  ASSAY_NEED_DATA(mt_bench, "text/judge/mt_bench_question.jsonl");
  const PromptSet first = read_prompt_set(mt_bench, false), all = read_prompt_set(mt_bench, true);
  ASSERT_EQ(first.prompts.size(), 80u);
  EXPECT_EQ(first.prompts[0].id, "81");
  EXPECT_EQ(first.prompts[0].turns.size(), 1u);
  EXPECT_EQ(all.prompts[0].turns.size(), 2u);
  EXPECT_NE(first.sha256, all.sha256);
  ASSAY_NEED_DATA(vicuna, "text/judge/vicuna_question.jsonl");
  EXPECT_EQ(read_prompt_set(vicuna, true).prompts.size(), 80u);
}

/// Says back how often it was asked, and what it was told.
class Counting : public Respondent {
 public:
  explicit Counting(int& calls) : calls_(calls) {}
  Answer answer(const Question& question, const DecodingOptions&) override {
    ++calls_;
    return {.text = "<think>hm</think>" + std::to_string(question.messages.size()) + "\xff",
            .finish_reason = "stop",
            .answer_tokens = 3};
  }

 private:
  int& calls_;
};

TEST(JudgeAnswersTest, AStoredAnswerIsNotAskedForAgain) {
  const test::TemporaryFolder folder;
  PromptSet prompts = builtin_prompts();
  prompts.prompts[0].turns.push_back("and now shorter");
  int calls = 0, opened = 0;
  const AnswerSource source{.subject = "s", .identity = "i", .file_sha256 = "f", .open = [&] {
                              ++opened;
                              return std::make_unique<Counting>(calls);
                            }};
  std::vector<AnswerSet> sets;
  for (int run = 0; run < 2; ++run) {
    RecordLog log(folder / "answers.jsonl");
    sets.push_back(collect_answers(source, prompts, {}, log, silent_progress()));
    EXPECT_EQ(calls, 8) << "seven prompts, one of two turns";
    EXPECT_EQ(opened, 1);
  }
  EXPECT_EQ(sets[0].answers[0].texts, (std::vector<std::string>{"1\xEF\xBF\xBD", "3\xEF\xBF\xBD"}))
      << "the second turn follows the first answer; ill-formed bytes are replaced at once";
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(sets[0].answers[i].texts, sets[1].answers[i].texts);
  RecordLog log(folder / "answers.jsonl");
  collect_answers(source, prompts, {.max_tokens = 100}, log, silent_progress());
  EXPECT_EQ(calls, 16) << "another decoding is another answer";
}

}  // namespace
}  // namespace assay
