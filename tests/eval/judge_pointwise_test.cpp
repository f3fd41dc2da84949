#include "eval/judge_pointwise.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/judge_legacy.hpp"
#include "support/judge_server.hpp"

namespace assay {
namespace {

class ScoreByText : public Respondent {
 public:
  explicit ScoreByText(std::function<std::string(const std::string&)> script) : script_(std::move(script)) {}
  Answer answer(const Question& question, const DecodingOptions&) override {
    return {.text = script_(question.messages.back().content), .finish_reason = "stop"};
  }

 private:
  std::function<std::string(const std::string&)> script_;
};

AnswerSet seven_answers(const std::string& subject) {
  AnswerSet set{.subject = subject, .identity = subject, .file_sha256 = "f00d", .answers = {}};
  for (const JudgePrompt& prompt : builtin_prompts().prompts)
    set.answers.push_back({.prompt_id = prompt.id,
                           .turns = {{.text = subject + prompt.id,
                                      .finish_reason = "stop",
                                      .prompt_tokens = 9,
                                      .answer_tokens = 4,
                                      .decode_seconds = 0.5}},
                           .texts = {subject + prompt.id},
                           .flags = {}});
  return set;
}

PointwiseResult judged(std::function<std::string(const std::string&)> script,
                       const std::string& subject = "s") {
  ScoreByText respondent(std::move(script));
  RecordLog log;
  Judge judge(&respondent, {.model = "m", .attempts = 2}, log);
  return judge_pointwise(judge, builtin_prompts(), seven_answers(subject), 2, 0, silent_progress());
}

TEST(JudgePointwiseTest, RefusesWhatIsOutOfRangeOrMissing) {
  std::string fault;
  EXPECT_TRUE(parse_pointwise_reply(test::scores(0, 10, 4.5, 7), fault));
  for (const std::string& text :
       {test::scores(11, 5, 5, 5), test::scores(5, -1, 5, 5), std::string("{\"accuracy_score\": 5}"),
        std::string("{\"accuracy_score\": \"5\", \"coherence_score\": 5, \"relevance_score\": 5, "
                    "\"quality_score\": 5}"),
        std::string("about 7")})
    EXPECT_FALSE(parse_pointwise_reply(text, fault)) << text;
  EXPECT_EQ(fault, "not valid JSON");
}

/// The planted error: had the missing answer counted as 0, the mean would be 6.86.
TEST(JudgePointwiseTest, AMissingScoreIsNotZero) {
  const PointwiseResult result = judged([](const std::string& question) {
    return question.find("\ns3\n") != std::string::npos ? std::string("no idea") : test::scores(8, 8, 8, 8);
  });
  EXPECT_EQ(result.missing, 1);
  EXPECT_DOUBLE_EQ(result.means[0].value, 8.0);
  EXPECT_EQ(result.means[0].n, 6);
  EXPECT_FALSE(result.prompts[2].scores);
  EXPECT_EQ(result.by_category.at("factual")[0].n, 0);
  EXPECT_EQ(result.by_category.at("code")[0].n, 3);
  EXPECT_EQ(result.ledger.missing, 2);
}

/// The category scores of the seed's report (code 2 against 0-1, list against tuple 9 against 1, …) as a
/// fixture: per-category means and their n come out, and seven prompts prove what seven prompts can.
TEST(JudgePointwiseTest, TheOldReportsTable) {
  const std::array<double, 7> mlx = {2, 4, 9, 2, 6, 2, 4}, gguf = {0, 3, 1, 1, 6, 0, 1};
  const auto by_number = [](const std::array<double, 7>& values, const char* subject) {
    return [values, subject](const std::string& question) {
      const size_t at = question.find(std::string("\n") + subject) + 1 + std::string(subject).size();
      const double score = values[static_cast<size_t>(question[at] - '1')];
      return test::scores(score, score, score, score);
    };
  };
  const PointwiseResult first = judged(by_number(gguf, "gguf"), "gguf"),
                        second = judged(by_number(mlx, "mlx"), "mlx");
  EXPECT_DOUBLE_EQ(second.by_category.at("code")[3].value, 2.0);
  EXPECT_EQ(second.by_category.at("code")[3].n, 3);
  EXPECT_NEAR(first.by_category.at("code")[3].value, 1.0 / 3.0, 1e-12);
  EXPECT_DOUBLE_EQ(second.by_category.at("factual")[3].value, 9.0);
  EXPECT_DOUBLE_EQ(first.by_category.at("conceptual")[3].value, 1.0);
  const std::vector<PairedComparison> comparisons = comparisons_of(first, second, 0, {});
  ASSERT_EQ(comparisons.size(), 4u);
  EXPECT_EQ(comparisons[3].metric, "quality");
  EXPECT_NEAR(comparisons[3].difference.value, 17.0 / 7.0, 1e-12);
  EXPECT_EQ(comparisons[3].difference.n, 7);
}

TEST(JudgePointwiseTest, FivePromptsNameNoWinner) {
  PointwiseResult low, high;
  for (int i = 0; i < 5; ++i) {
    low.prompts.push_back({.prompt_id = "p", .category = "c", .scores = {{1, 1, 1, 1}}, .reasoning = {}});
    high.prompts.push_back({.prompt_id = "p", .category = "c", .scores = {{9, 9, 9, 9}}, .reasoning = {}});
  }
  EXPECT_EQ(comparisons_of(low, high, 0, {})[0].verdict(), PairedVerdict::kNoDifferenceShown);
  for (auto* result : {&low, &high}) result->prompts.push_back(result->prompts[0]);
  EXPECT_EQ(comparisons_of(low, high, 0, {})[0].verdict(), PairedVerdict::kSecondBetter);
}

TEST(JudgePointwiseTest, RelativeFormulasOfTheOldReport) {
  EXPECT_DOUBLE_EQ(relative_gain(3.9, 1.6), 1.4375);
  EXPECT_NEAR(relative_saving(2.25, 3.36), 0.330, 0.0005);
  EXPECT_NEAR(relative_loss(3.9, 1.6), 0.590, 0.0005);
  EXPECT_DOUBLE_EQ(degradation_percent(8.0, 6.0), 25.0);
  EXPECT_NEAR(3.9 - 1.6, 2.3, 1e-12);
  EXPECT_NEAR(4.1 - 1.6, 2.5, 1e-12) << "the report's 2.6 was a rounding";
}

TEST(JudgePointwiseTest, BandsOfTheOldGuide) {
  const std::pair<double, const char*> cases[] = {
      {10, "excellent"}, {9, "excellent"}, {8.9, "good"}, {7, "good"},     {6.9, "fair"},
      {5, "fair"},       {4.9, "poor"},    {3, "poor"},   {2.9, "failed"}, {0, "failed"}};
  for (const auto& [score, band] : cases) EXPECT_EQ(score_band(score), band) << score;
}

TEST(JudgeLegacyTest, TheOldFilesMembersAllAndMissingAsNull) {
  JudgedSubject subject;
  subject.answers = seven_answers("s");
  subject.summary = summarize_answers(builtin_prompts(), subject.answers);
  subject.pointwise = judged([](const std::string& question) {
    return question.find("\ns3\n") != std::string::npos ? std::string("no idea") : test::scores(8, 7, 6, 5);
  });
  const JudgeTask task{.mode = JudgeMode::kPointwise, .prompts = builtin_prompts()};
  const auto document =
      legacy_evaluation(subject, task, "gpt-5-nano",
                        {.path = "out/mlx",
                         .format = "mlx",
                         .config = {{"quantization", "4bit"}, {"bits", 4}, {"mixed_precision", false}},
                         .timestamp = "2026-01-01T00:00:00Z"});
  for (const char* member : {"model_name", "model_path", "quantization_format", "quantization_config",
                             "prompt_results", "aggregate_scores", "evaluation_timestamp", "judge_model",
                             "hardware_info", "decoding", "seed", "file_sha256"})
    EXPECT_TRUE(document.contains(member)) << member;
  ASSERT_EQ(document["prompt_results"].size(), 7u);
  for (const char* member : {"prompt", "category", "model_response", "generation_time_seconds",
                             "accuracy_score", "coherence_score", "relevance_score", "quality_score",
                             "judge_reasoning", "timestamp", "generated_tokens"})
    EXPECT_TRUE(document["prompt_results"][0].contains(member)) << member;
  EXPECT_TRUE(document["prompt_results"][2]["accuracy_score"].is_null());
  EXPECT_EQ(document["aggregate_scores"]["accuracy"], 8.0);
  EXPECT_EQ(document["aggregate_scores"]["generation_time"], 0.5);
  for (const char* member : {"platform", "processor", "python_version", "ram_gb"})
    EXPECT_TRUE(document["hardware_info"].contains(member)) << member;
  EXPECT_FALSE(legacy_evaluation(subject, task, "m",
                                 {.path = "x", .format = "baseline", .config = {}, .timestamp = ""})
                   .contains("hardware_info"))
      << "as the old baseline file";
}

}  // namespace
}  // namespace assay
