#include "eval/judge_pairwise.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "eval/judge_run.hpp"
#include "support/judge_server.hpp"

namespace assay {
namespace {

class JudgeByText : public Respondent {
 public:
  explicit JudgeByText(std::function<std::string(const std::string&)> script) : script_(std::move(script)) {}
  Answer answer(const Question& question, const DecodingOptions&) override {
    ++calls;
    return {.text = script_(question.messages.back().content), .finish_reason = "stop"};
  }
  int calls = 0;

 private:
  std::function<std::string(const std::string&)> script_;
};

PromptSet prompt_set(size_t n) {
  PromptSet set{.name = "test", .sha256 = "x", .prompts = {}};
  for (size_t i = 0; i < n; ++i)
    set.prompts.push_back(
        {std::to_string(i), i % 2 == 0 ? "even" : "odd", {"say something about " + std::to_string(i)}, {}});
  return set;
}

AnswerSet answer_set(const std::string& subject, const std::vector<std::string>& texts) {
  AnswerSet set{.subject = subject, .identity = subject, .file_sha256 = "f", .answers = {}};
  for (size_t i = 0; i < texts.size(); ++i)
    set.answers.push_back({.prompt_id = std::to_string(i),
                           .turns = {{.text = texts[i], .finish_reason = "stop"}},
                           .texts = {texts[i]},
                           .flags = {}});
  return set;
}

AnswerSet uniform(const std::string& subject, size_t n, const std::string& text) {
  return answer_set(subject, std::vector<std::string>(n, text));
}

struct Judged {
  PairwiseResult result;
  int calls = 0;
};
Judged judged(std::function<std::string(const std::string&)> script, const AnswerSet& reference,
              const AnswerSet& candidate, PairwiseOptions options = {.repeats = 2}) {
  JudgeByText respondent(std::move(script));
  RecordLog log;
  Judge judge(&respondent, {.model = "m"}, log);
  const PromptSet prompts = prompt_set(reference.answers.size());
  PairwiseResult result = judge_pairwise(judge, prompts, reference, candidate, options, silent_progress());
  return {std::move(result), respondent.calls};
}

TEST(JudgePairwiseTest, ASteadyJudgeNamesTheBetterOneInBothOrders) {
  const auto [result, calls] =
      judged(test::steady_verdict, uniform("full", 10, "abcdefg"), uniform("small", 10, "aaa"));
  EXPECT_EQ(calls, 10 * 2 * 2);
  EXPECT_EQ(result.win_rate.value, 0.0);
  EXPECT_EQ(result.losses.value, 1.0);
  EXPECT_EQ(result.consistency.value, 1.0);
  EXPECT_EQ(result.first_position.value, 0.5);
  EXPECT_GT(result.win_rate.high, 0.0) << "ten prompts are no certainty";
  const PairedComparison comparison = comparison_of(result, {});
  EXPECT_EQ(comparison.verdict(), PairedVerdict::kFirstBetter);
  EXPECT_DOUBLE_EQ(comparison.difference.value, -1.0);
  EXPECT_NEAR(*comparison.p, 2.0 / 1024, 1e-12);
}

/// The planted error: a judge that always prefers what it reads first must not produce a winner.
TEST(JudgePairwiseTest, APositionBiasedJudgeGivesTiesAlone) {
  for (const char* position : {"A", "B"}) {
    const auto [result, calls] = judged([&](const std::string&) { return test::verdict(position); },
                                        uniform("full", 10, "abcdefg"), uniform("small", 10, "aaa"));
    EXPECT_EQ(result.ties.value, 1.0);
    EXPECT_EQ(result.win_rate.value, 0.5);
    EXPECT_EQ(result.consistency.value, 0.0) << "and the report says why";
    EXPECT_EQ(result.first_position.value, *position == 'A' ? 1.0 : 0.0);
    EXPECT_EQ(result.prompts[0].inconsistent, 2);
    EXPECT_EQ(comparison_of(result, {}).verdict(), PairedVerdict::kNoDifferenceShown);
  }
}

TEST(JudgePairwiseTest, EqualTextsAreATieWithoutACallButNotInTheControl) {
  const AnswerSet full = uniform("full", 6, "same"), small = uniform("small", 6, "same");
  const auto [result, calls] = judged(test::steady_verdict, full, small);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(result.identical, 6);
  EXPECT_EQ(result.ties.value, 1.0);
  const auto [control, control_calls] =
      judged(test::steady_verdict, full, small, {.repeats = 2, .ask_identical = true});
  EXPECT_EQ(control_calls, 24);
  EXPECT_EQ(control.win_rate.value, 0.5);
}

TEST(JudgePairwiseTest, MissingPairsAreCountedAndNoTies) {
  // No valid reply wherever the first prompt's answer is shown.
  std::vector<std::string> texts(6, "abc");
  texts[0] = "unreadable";
  const auto [result, calls] = judged(
      [](const std::string& question) {
        return question.find("unreadable") == std::string::npos ? test::steady_verdict(question) : "no idea";
      },
      uniform("full", 6, "ab"), answer_set("small", texts));
  EXPECT_EQ(result.missing, 1);
  EXPECT_EQ(result.missing_pairs, 2);
  EXPECT_EQ(result.judged, 5);
  EXPECT_EQ(result.win_rate.value, 1.0);
  EXPECT_EQ(result.win_rate.n, 5);
  EXPECT_EQ(result.win_rate_by_category.at("even").n, 2);
  EXPECT_EQ(result.win_rate_by_category.at("odd").n, 3);
}

TEST(JudgePairwiseTest, NothingJudgedIsNoNumber) {
  const auto [result, calls] = judged([](const std::string&) { return "no idea"; }, uniform("full", 3, "ab"),
                                      uniform("small", 3, "abc"));
  EXPECT_EQ(result.judged, 0);
  EXPECT_TRUE(std::isnan(result.win_rate.value));
  EXPECT_TRUE(measurements_of(result, {}, "").empty());
  EXPECT_EQ(comparison_of(result, {}).verdict(), PairedVerdict::kNoDifferenceShown);
}

/// A judge that merely likes long answers: at equal length its preference is gone.
TEST(JudgePairwiseTest, LengthIsTakenOut) {
  std::vector<std::string> full, small;
  for (size_t i = 0; i < 40; ++i) {
    full.push_back(std::string(100, 'a'));
    small.push_back(std::string(i % 4 == 0 ? 50 : 200, 'b'));
  }
  const auto longer = [](const std::string& question) {
    const size_t a = test::between(question, "answer_a").size(),
                 b = test::between(question, "answer_b").size();
    return test::verdict(a > b ? "A" : b > a ? "B" : "tie");
  };
  const auto [result, calls] = judged(longer, answer_set("full", full), answer_set("small", small));
  EXPECT_DOUBLE_EQ(result.win_rate.value, 0.75);
  EXPECT_NEAR(result.length_controlled.value, 0.5, 0.02);
  EXPECT_GT(result.length_ratio, 1.2);
  // A judge of substance keeps its word at any length.
  const auto [fair, more] = judged(test::steady_verdict, answer_set("full", full),
                                   answer_set("small", std::vector<std::string>(40, "abcdef")));
  EXPECT_DOUBLE_EQ(fair.length_controlled.value, 1.0);
}

TEST(JudgePairwiseTest, PlantedBadAnswersAreSeenByAJudgeThatCanAndMissedByOneThatCannot) {
  std::vector<std::string> texts;
  for (int i = 0; i < 6; ++i)
    texts.push_back("the answer number " + std::to_string(i) + " says in order what was asked, word by word");
  const AnswerSet reference = answer_set("full", texts);
  const PlantedAnswers planted = plant_bad_answers(prompt_set(6), reference, 5, 0);
  ASSERT_EQ(planted.prompts.prompts.size(), 5u);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_NE(planted.worse.answers[i].texts, planted.reference.answers[i].texts) << i;
  const auto run = [&](std::function<std::string(const std::string&)> script) {
    JudgeByText respondent(std::move(script));
    RecordLog log;
    Judge judge(&respondent, {.model = "m"}, log);
    return sensitivity_of(judge_pairwise(judge, planted.prompts, planted.reference, planted.worse,
                                         {.repeats = 1}, silent_progress()));
  };
  const std::set<std::string> right(texts.begin(), texts.end());
  // Knows the right answers to the letter; for an answer that belongs to another prompt it reads the number.
  const Estimate seen = run([&](const std::string& question) {
    const std::string a = test::between(question, "answer_a"), b = test::between(question, "answer_b");
    if (right.contains(a) && right.contains(b)) return test::verdict(a < b ? "A" : "B");
    return test::verdict(right.contains(a) ? "A" : "B");
  });
  EXPECT_GE(seen.value, 0.8);
  EXPECT_EQ(seen.n, 5);
  EXPECT_EQ(run([](const std::string&) { return test::verdict("tie"); }).value, 0.0);
  EXPECT_EQ(plant_bad_answers(prompt_set(6), uniform("full", 6, "too short"), 5, 0).prompts.prompts.size(),
            0u);
}

/// Answers from memory, for the whole task.
class Parrot : public Respondent {
 public:
  explicit Parrot(std::string text) : text_(std::move(text)) {}
  Answer answer(const Question&, const DecodingOptions& options) override {
    return {.text = text_ + std::to_string(options.seed), .finish_reason = "stop", .answer_tokens = 5};
  }

 private:
  std::string text_;
};
AnswerSource parrot(const std::string& label, const std::string& text) {
  return {.subject = label,
          .identity = label,
          .file_sha256 = "f",
          .open = [text]() -> std::unique_ptr<Respondent> { return std::make_unique<Parrot>(text); }};
}

TEST(JudgeRunTest, TheWholeTaskWithControlAndMeasurements) {
  JudgeByText respondent(test::steady_verdict);
  RecordLog replies, answers;
  Judge judge(&respondent, {.model = "m"}, replies);
  const JudgeTask task{.prompts = prompt_set(8), .repeats = 1, .control_prompts = 4, .planted_answers = 2};
  const AnswerSource reference = parrot("full", "the quick brown fox jumps over the lazy dog ");
  const JudgeTaskResult result =
      run_judge_task(task, &reference,
                     {parrot("same", "the quick brown fox jumps over the lazy dog "), parrot("worse", "aaa")},
                     judge, answers, silent_progress());
  ASSERT_EQ(result.candidates.size(), 2u);
  EXPECT_EQ(result.candidates[0].pairwise->identical, 8);
  EXPECT_EQ(result.candidates[1].pairwise->win_rate.value, 0.0);
  EXPECT_EQ(result.candidates[1].comparisons[0].verdict(), PairedVerdict::kFirstBetter);
  ASSERT_TRUE(result.candidates[1].comparisons[0].p_holm);
  EXPECT_GE(*result.candidates[1].comparisons[0].p_holm, *result.candidates[1].comparisons[0].p);
  // The re-run has another seed, and a steady judge sees no difference that matters.
  ASSERT_TRUE(result.control);
  EXPECT_EQ(result.control->judged, 4);
  EXPECT_EQ(result.control->identical, 0);
  std::set<std::string> names;
  for (const Measurement& measurement : measurements_of(result)) {
    EXPECT_EQ(measurement.task, "judge");
    EXPECT_EQ(measurement.settings["prompts_sha256"], "x");
    names.insert(measurement.subject + " " + measurement.metric);
  }
  for (const char* name : {"full control_win_rate", "full control_decided_share", "full truncated_share",
                           "worse win_rate", "worse length_controlled_win_rate", "worse win_rate/even"})
    EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_THROW(run_judge_task(task, nullptr, {}, judge, answers, silent_progress()), UsageError);
}

}  // namespace
}  // namespace assay
