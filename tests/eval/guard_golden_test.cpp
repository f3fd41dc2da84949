// Real files by others: counts of the data sets, and every F1 and confusion matrix that was published or
// recomputed from stored answers. No text of a row is ever printed.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/sha256.hpp"
#include "eval/guard_benchmarks.hpp"
#include "eval/guard_predictions.hpp"
#include "eval/guard_prompt.hpp"
#include "eval/guard_run.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

struct SetCounts {
  const char* file;
  int64_t rows, positives;
  GuardTask task;
};

class SetFiles : public testing::TestWithParam<SetCounts> {};

TEST_P(SetFiles, HaveTheirRows) {
  const SetCounts expected = GetParam();
  ASSAY_NEED_DATA(path, std::string("guard/") + expected.file);
  const GuardSet set = read_guard_set(path.string(), {}, ".");
  EXPECT_EQ(static_cast<int64_t>(set.rows.size()), expected.rows);
  ASSERT_EQ(set.tasks(), std::vector<GuardTask>{expected.task});
  int64_t positives = 0;
  for (const GuardLabel label : set.labels(expected.task)) {
    ASSERT_TRUE(label);
    positives += *label;
  }
  EXPECT_EQ(positives, expected.positives);
}

constexpr GuardTask kPrompt = GuardTask::kPromptHarm, kRefusal = GuardTask::kRefusal,
                    kResponse = GuardTask::kResponseHarm;
INSTANTIATE_TEST_SUITE_P(
    Guard, SetFiles,
    testing::Values(SetCounts{"GuardReasoner/benchmark/0_0_SimpleSafetyTests.json", 100, 100, kPrompt},
                    SetCounts{"GuardReasoner/benchmark/0_1_AegisSafetyTest.json", 359, 232, kPrompt},
                    SetCounts{"GuardReasoner/benchmark/0_2_OpenAIModeration.json", 1680, 522, kPrompt},
                    SetCounts{"GuardReasoner/benchmark/0_3_harmbench_prompt.json", 239, 239, kPrompt},
                    SetCounts{"GuardReasoner/benchmark/0_5_harmbench_response.json", 602, 273, kResponse},
                    SetCounts{"GuardReasoner/benchmark/0_6_xstest_response_harmful.json", 446, 78, kResponse},
                    SetCounts{"GuardReasoner/benchmark/0_7_xstest_response_refusal.json", 449, 178, kRefusal},
                    SetCounts{"GuardReasoner/benchmark/0_8_toxic_chat.json", 2853, 362, kPrompt},
                    SetCounts{"GuardReasoner/benchmark/0_9_safe_rlhf.json", 2000, 1000, kResponse},
                    SetCounts{"GuardReasoner/benchmark/0_A_beaver_tails.json", 3021, 1733, kResponse},
                    SetCounts{"wizard101/evaluation/combined_test.json", 200, 100, kPrompt},
                    SetCounts{"wizard101/evaluation/wildguard_full_benchmark.json", 1554, 609, kPrompt},
                    SetCounts{"wizard101/evaluation/wildguard_benchmark_hist.json", 300, 247, kPrompt},
                    SetCounts{"wizard101/evaluation/xstest.json", 450, 200, kPrompt},
                    SetCounts{"wizard101/evaluation/guardreasoner_test_5k.json", 5000, 2500, kPrompt},
                    SetCounts{"wizard101/raw/harmful_behaviors.json", 400, 400, kPrompt},
                    SetCounts{"wizard101/raw/harmless_alpaca.json", 400, 0, kPrompt},
                    SetCounts{"wizard101/benchmark/beavertails_30k.json", 3021, 1733, kPrompt},
                    SetCounts{"wizard101/benchmark/toxicchat_test.json", 5083, 362, kPrompt},
                    SetCounts{"wizard101/benchmark/jailbreakbench.json", 200, 100, kPrompt},
                    SetCounts{"wizard101/benchmark/sgbench.json", 1442, 1442, kPrompt},
                    SetCounts{"wizard101/benchmark/harmbench_test.json", 500, 500, kPrompt},
                    SetCounts{"wizard101/benchmark/strongreject.json", 313, 313, kPrompt},
                    SetCounts{"HarmBench/harmbench_behaviors_text_all.csv", 400, 400, kPrompt},
                    SetCounts{"HarmBench/strongreject_dataset.csv", 313, 313, kPrompt},
                    SetCounts{"SimpleSafetyTests/SimpleSafetyTests.csv", 100, 100, kPrompt},
                    SetCounts{"prompt-injection/test.csv", 3154, 1688, kPrompt}),
    [](const auto& instance) {
      std::string name = std::filesystem::path(instance.param.file).string();
      for (char& c : name)
        if (!isalnum(static_cast<unsigned char>(c))) c = '_';
      return name;
    });

/// F1 times 100 to two decimals, as papers print it.
double printed(double f1) {
  return std::round(f1 * 1e4) / 100;
}

struct Golden {
  const char* folder;
  const char* benchmark;
  double published, once, dropped;
  int64_t unparsed;
  BinaryMatrix official;
};

class ReleasedAnswers : public testing::TestWithParam<Golden> {};

TEST_P(ReleasedAnswers, GiveTheirF1) {
  const Golden& golden = GetParam();
  ASSAY_NEED_DATA(
      path, std::string("guard/GuardReasoner/test/3B/") + golden.folder + "/generated_predictions.jsonl");
  const auto records = read_guard_predictions(path, "");
  const GuardSummary summary = summarize_guard(guard_outcomes(records, GuardParser::kOfficial));
  ASSERT_EQ(summary.scores.size(), 1U);
  const GuardScore& score = summary.scores[0];
  EXPECT_EQ(printed(score.f1(UnparsedRule::kCountsOnce)), golden.once);
  EXPECT_EQ(printed(score.f1(UnparsedRule::kPublished)), golden.published);
  EXPECT_EQ(printed(score.f1(UnparsedRule::kDropped)), golden.dropped);
  EXPECT_EQ(score.unparsed[0] + score.unparsed[1], golden.unparsed);
  const BinaryMatrix& official = score.matrix[static_cast<size_t>(UnparsedRule::kPublished)];
  if (golden.official.total() > 0) {
    EXPECT_EQ(official.tp, golden.official.tp);
    EXPECT_EQ(official.fp, golden.official.fp);
    EXPECT_EQ(official.fn, golden.official.fn);
    EXPECT_EQ(official.tn, golden.official.tn);
  }
  EXPECT_LE(score.positive.f1.low, score.positive.f1.value);
  EXPECT_GE(score.positive.f1.high, score.positive.f1.value);
  // The prompts that those answers were given to are ours, byte for byte.
  ASSAY_NEED_DATA(benchmark, std::string("guard/GuardReasoner/benchmark/") + golden.benchmark);
  const GuardSet set = read_guard_set(benchmark.string(), {}, ".");
  ASSERT_EQ(set.rows.size(), records.size());
  EXPECT_EQ(set.name, records[0].set);
  for (size_t i = 0; i < records.size(); ++i) {
    const std::string prompt = guard_prompt_of(set.rows[i], {});
    ASSERT_EQ(sha256_of(std::as_bytes(std::span(prompt.data(), prompt.size()))), records[i].prompt_sha256)
        << i;
    ASSERT_EQ(set.rows[i].instruction, kGuardInstruction) << i;
    ASSERT_EQ(set.rows[i].truth.values, records[i].truth.values) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Guard, ReleasedAnswers,
    testing::Values(
        Golden{"AegisSafetyTest", "0_1_AegisSafetyTest.json", 91.39, 91.39, 91.39, 0, {207, 14, 25, 113}},
        Golden{"HarmBenchPrompt", "0_3_harmbench_prompt.json", 89.10, 89.10, 89.10, 0, {}},
        Golden{"SimpleSafetyTests", "0_0_SimpleSafetyTests.json", 100, 100, 100, 0, {100, 0, 0, 0}},
        Golden{
            "HarmBenchResponse", "0_5_harmbench_response.json", 86.06, 86.06, 86.06, 0, {250, 58, 23, 271}},
        Golden{"XSTestReponseHarmful",
               "0_6_xstest_response_harmful.json",
               91.36,
               91.36,
               91.36,
               0,
               {74, 10, 4, 358}},
        Golden{"XSTestResponseRefusal",
               "0_7_xstest_response_refusal.json",
               80.61,
               85.41,
               90.80,
               22,
               {158, 39, 37, 237}}),
    [](const auto& instance) { return std::string(instance.param.folder); });

struct OldResults {
  const char* file;
  LegacySchema schema;
  BinaryMatrix matrix;
  double accuracy, precision, recall, f1;
};

class StoredResults : public testing::TestWithParam<OldResults> {};

TEST_P(StoredResults, GiveTheirMatrixAndSchema) {
  const OldResults& old = GetParam();
  ASSAY_NEED_DATA(path, std::string("guard/wizard101/results/") + old.file);
  const auto records = read_guard_predictions(path, "");
  const auto outcomes = guard_outcomes(records, GuardParser::kOfficial);
  const GuardSummary summary = summarize_guard(outcomes);
  const GuardScore& score = summary.scores.at(0);
  EXPECT_EQ(score.matrix[0].tp, old.matrix.tp);
  EXPECT_EQ(score.matrix[0].tn, old.matrix.tn);
  EXPECT_EQ(score.matrix[0].fp, old.matrix.fp);
  EXPECT_EQ(score.matrix[0].fn, old.matrix.fn);
  EXPECT_NEAR(score.accuracy.value, old.accuracy, 1e-12);
  EXPECT_NEAR(score.positive.precision.value, old.precision, 1e-5);
  EXPECT_NEAR(score.positive.recall.value, old.recall, 1e-5);
  EXPECT_NEAR(score.positive.f1.value, old.f1, 1e-5);
  // Written again, the figures and rows are those of the file.
  std::vector<GuardLabel> predicted;
  for (const GuardOutcome& outcome : outcomes) predicted.push_back(outcome.predicted);
  const auto written = legacy_results(records, predicted, old.schema, {});
  std::ifstream stream(path);
  const auto original = nlohmann::json::parse(stream);
  ASSERT_EQ(written["results"].size(), original["results"].size());
  EXPECT_EQ(nlohmann::json(written["metrics"]), original["metrics"]);
  for (size_t i = 0; i < records.size(); ++i)
    for (const char* member : {"ground_truth", "predicted", "correct"})
      ASSERT_EQ(written["results"][i][member], original["results"][i][member]) << i;
}

INSTANTIATE_TEST_SUITE_P(
    Guard, StoredResults,
    testing::Values(
        OldResults{"results_8b_baseline.json",
                   LegacySchema::kPerClass,
                   {97, 1, 3, 99},
                   0.98,
                   0.98980,
                   0.97,
                   0.97980},
        OldResults{
            "results_fast_mac.json", LegacySchema::kConfusion, {23, 0, 2, 25}, 0.96, 1.0, 0.92, 0.95833},
        OldResults{"results_wildguard_mlx.json",
                   LegacySchema::kConfusion,
                   {71, 9, 11, 109},
                   0.9,
                   0.8875,
                   0.86585,
                   0.87654}));

TEST(StoredResults, CpythonsOrderIsTheOneTheyWereAskedIn) {
  struct Run {
    const char *results, *set;
  };
  for (const Run run : {Run{"results_wildguard_mlx.json", "wildguard_full_benchmark.json"},
                        Run{"results_8b_baseline.json", "combined_test.json"}}) {
    ASSAY_NEED_DATA(results, std::string("guard/wizard101/results/") + run.results);
    ASSAY_NEED_DATA(set, std::string("guard/wizard101/evaluation/") + run.set);
    const auto records = read_guard_predictions(results, "");
    GuardSelection selection;
    selection.limit = 200;
    selection.order = RowOrder::kCpython;
    const std::string spec = set.string();
    const auto sets = read_guard_sets({&spec, 1}, selection, ".");
    ASSERT_EQ(sets[0].rows.size(), records.size());
    for (size_t i = 0; i < records.size(); ++i) {
      const std::string stored = records[i].prompt.substr(0, records[i].prompt.size() - 3);  // cut, and "..."
      ASSERT_TRUE(sets[0].rows[i].prompt.starts_with(stored)) << run.set << " " << i;
    }
  }
}

}  // namespace
}  // namespace assay
