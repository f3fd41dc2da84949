#include "eval/guard_score.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "eval/guard_comparison.hpp"
#include "eval/guard_margins.hpp"
#include "eval/guard_predictions.hpp"

namespace assay {
namespace {

/// Outcomes of a string of truth-prediction pairs: "++ +- -? …", ? for an answer nobody can read.
std::vector<GuardOutcome> outcomes(std::string_view pairs, GuardTask task = GuardTask::kPromptHarm,
                                   const std::string& set = "s") {
  std::vector<GuardOutcome> made;
  for (size_t i = 0; i + 1 < pairs.size(); i += 3) {
    GuardOutcome outcome;
    outcome.set = set;
    outcome.id = std::to_string(made.size());
    outcome.task = task;
    outcome.truth = pairs[i] == '+';
    if (pairs[i + 1] != '?') outcome.predicted = pairs[i + 1] == '+';
    outcome.request = made.size();
    made.push_back(outcome);
  }
  return made;
}

std::string matrix(const BinaryMatrix& m) {
  return std::to_string(m.tp) + "," + std::to_string(m.fp) + "," + std::to_string(m.fn) + "," +
         std::to_string(m.tn);
}

TEST(GuardScore, ThreeRulesForWhatNobodyCanRead) {
  const char* pairs = "++ ++ +- -+ -- -- -- +? +? -?";
  const auto harm = outcomes(pairs), refusal = outcomes(pairs, GuardTask::kRefusal);
  EXPECT_EQ(matrix(count_outcomes(harm, UnparsedRule::kCountsOnce)), "2,2,3,3");
  EXPECT_EQ(matrix(count_outcomes(harm, UnparsedRule::kDropped)), "2,1,1,3");
  // evaluate.py leaves out true "harmful" rows and counts every other one twice; "refusal" is another word.
  EXPECT_EQ(matrix(count_outcomes(harm, UnparsedRule::kPublished)), "2,3,1,3");
  EXPECT_EQ(matrix(count_outcomes(refusal, UnparsedRule::kPublished)), "2,3,5,3");
}

TEST(GuardScore, ByHand) {
  const GuardScore score = score_guard(outcomes("++ ++ +- -+ -- -- -- +? +? -?"));
  EXPECT_EQ(score.total, 10);
  EXPECT_EQ(score.parsed, 7);
  EXPECT_EQ(score.unparsed[1], 2);
  EXPECT_EQ(score.unparsed[0], 1);
  EXPECT_DOUBLE_EQ(score.positive.f1.value, 4.0 / 9.0);
  EXPECT_DOUBLE_EQ(score.positive.precision.value, 0.5);
  EXPECT_DOUBLE_EQ(score.positive.recall.value, 0.4);
  EXPECT_DOUBLE_EQ(score.negative.f1.value, 6.0 / 11.0);
  EXPECT_DOUBLE_EQ(score.accuracy.value, 0.5);
  EXPECT_DOUBLE_EQ(score.accuracy_parsed.value, 5.0 / 7.0);
  EXPECT_DOUBLE_EQ(score.false_positive_rate.value, 0.4);
  EXPECT_LT(score.positive.f1.low, 4.0 / 9.0);
  EXPECT_GT(score.positive.f1.high, 4.0 / 9.0);
  EXPECT_FALSE(score.one_class());
  EXPECT_TRUE(score_guard(outcomes("++ +-")).one_class());
}

TEST(GuardScore, RowsOfOneRequestAreOneUnit) {
  auto rows = outcomes("++ ++ +- -+ -- --");
  EXPECT_EQ(score_guard(rows).positive.f1.n, 6);
  for (GuardOutcome& row : rows) row.request /= 3;
  EXPECT_EQ(score_guard(rows).positive.f1.n, 2);
}

TEST(GuardScore, TruncatedAnswersAreToldApart) {
  auto rows = outcomes("++ ++ +- --");
  rows[0].truncated = true;
  const GuardScore score = score_guard(rows);
  EXPECT_EQ(score.truncated[1], 1);
  EXPECT_TRUE(score.too_truncated());
  EXPECT_DOUBLE_EQ(score.f1_truncated_wrong, 2.0 / 4.0);
  EXPECT_DOUBLE_EQ(score.f1_truncated_excluded, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(score.positive.f1.value, 0.8);
}

TEST(GuardScore, WeightedByRowsAndPlainOverTasks) {
  auto all = outcomes("++ ++ --", GuardTask::kPromptHarm, "a");  // F1 1, 3 rows
  for (const auto& row : outcomes("++ +-", GuardTask::kPromptHarm, "b"))
    all.push_back(row);  // F1 2/3, 2 rows
  for (const auto& row : outcomes("+-", GuardTask::kRefusal, "c")) all.push_back(row);
  GuardSummary summary = summarize_guard(all);
  ASSERT_EQ(summary.averages.size(), 2U);
  EXPECT_DOUBLE_EQ(summary.averages[0].headline.value, (3.0 + 2.0 * 2.0 / 3.0) / 5.0);
  EXPECT_EQ(summary.averages[0].rows, 5);
  EXPECT_EQ(summary.averages[0].headline.n, 5);
  EXPECT_EQ(summary.averages[1].headline.n, 1);
  EXPECT_FALSE(summary.macro_defined);
  for (const auto& row : outcomes("++", GuardTask::kResponseHarm, "c")) all.push_back(row);
  summary = summarize_guard(all);
  EXPECT_TRUE(summary.macro_defined);
  EXPECT_DOUBLE_EQ(summary.macro.value, ((3.0 + 4.0 / 3.0) / 5.0 + 0.0 + 1.0) / 3.0);
}

TEST(GuardComparison, PairsRowsByHand) {
  const auto before = outcomes("++ ++ +- -- -- -?"), after = outcomes("++ +- ++ -- -+ -?");
  const auto made = compare_guard(before, after);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].n, 6);
  EXPECT_EQ(made[0].discordance.only_first, 2);
  EXPECT_EQ(made[0].discordance.only_second, 1);
  EXPECT_DOUBLE_EQ(made[0].mcnemar, 1.0);
  EXPECT_DOUBLE_EQ(made[0].agreement.value, 0.5);  // the unread row agrees: both say nothing
  ASSERT_EQ(made[0].flips.size(), 3U);
  EXPECT_EQ(made[0].flips[0].id, "1");
  EXPECT_NEAR(made[0].accuracy_difference.value, -1.0 / 6.0, 1e-12);
  EXPECT_NEAR(made[0].accuracy_retention.value, 0.75, 1e-12);
  EXPECT_NEAR(made[0].f1_difference.value, 4.0 / 7.0 - 4.0 / 6.0, 1e-12);
  const auto pairs = guard_paired_comparisons("bf16", "4bit", made);
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].verdict(), PairedVerdict::kNoDifferenceShown);
  EXPECT_TRUE(pairs[0].n_needed);
  EXPECT_EQ(pairs[1].metric, "f1");
}

TEST(GuardComparison, OtherRowsAreNoBaseline) {
  const auto rows = outcomes("++ -- +-");
  EXPECT_THROW(compare_guard(rows, outcomes("++ --")), Error);
  EXPECT_THROW(compare_guard(outcomes("++ --"), rows), Error);
  EXPECT_THROW(compare_guard(rows, outcomes("++ -- --")), Error);  // another truth
  EXPECT_EQ(compare_guard(rows, rows)[0].agreement.value, 1.0);
}

TEST(GuardComparison, MeasurementsNameRecallWhereThereIsOneClass) {
  const auto has = [](const std::vector<Measurement>& all, const std::string& metric) {
    return std::any_of(all.begin(), all.end(), [&](const Measurement& m) { return m.metric == metric; });
  };
  const auto both = guard_measurements("x", summarize_guard(outcomes("++ --")), {{"compute", "fast"}}, "ab");
  EXPECT_TRUE(has(both, "f1"));
  EXPECT_TRUE(has(both, "f1_weighted"));
  EXPECT_EQ(both[0].settings.at("set"), "s");
  EXPECT_EQ(both[0].settings.at("compute"), "fast");
  const auto one = guard_measurements("x", summarize_guard(outcomes("++ +-")), {}, "");
  EXPECT_FALSE(has(one, "f1"));
  EXPECT_FALSE(has(one, "precision"));
  EXPECT_TRUE(has(one, "recall"));
}

TEST(GuardSpeed, OnlyOnTheSameTermsIsThereARatio) {
  GuardRecord record;
  record.seconds = 2.0;
  record.threads = 2;
  record.machine = "m";
  std::vector<GuardRecord> slow(3, record), fast(3, record);
  for (GuardRecord& row : fast) row.seconds = 0.5;
  EXPECT_NEAR(guard_speed_ratio(slow, fast).value(), 4.0, 1e-12);
  fast[1].threads = 1;
  EXPECT_FALSE(guard_speed_ratio(slow, fast));
  fast[1].threads = 2;
  fast[2].machine = "another";
  EXPECT_FALSE(guard_speed_ratio(slow, fast));
  EXPECT_FALSE(guard_speed_ratio(slow, {}));
}

std::vector<ScoredLabel> scored() {
  const double scores[] = {3.0, 2.5, 2.0, 2.0, 1.0, 0.5, -1.0, -2.0};
  const bool truth[] = {true, false, true, false, true, false, true, false};
  std::vector<ScoredLabel> rows;
  for (uint64_t i = 0; i < 8; ++i) rows.push_back({scores[i], truth[i], i});
  return rows;
}

TEST(GuardMargins, FiguresByHand) {
  const auto rows = scored();
  // Steps at 3, 2.5, 2 (two rows), 1, 0.5, -1: recall rises by 1/4 at precisions 1, 2/4, 3/5, 4/7.
  EXPECT_NEAR(average_precision(rows), (1.0 + 0.5 + 0.6 + 4.0 / 7.0) / 4.0, 1e-12);
  EXPECT_EQ(best_threshold(rows), -1.0);
  EXPECT_NEAR(f1_at(rows, -1.0), 8.0 / 11.0, 1e-12);
  EXPECT_NEAR(f1_at(rows, 2.5), 2.0 / 6.0, 1e-12);
  EXPECT_NEAR(recall_at_fpr(rows, 0.0), 0.25, 1e-12);
  EXPECT_NEAR(recall_at_fpr(rows, 0.25), 0.25, 1e-12);
  EXPECT_NEAR(recall_at_fpr(rows, 0.5), 0.75, 1e-12);
  EXPECT_NEAR(recall_at_fpr(rows, 1.0), 1.0, 1e-12);
  EXPECT_EQ(average_precision({}), 0.0);
}

TEST(GuardMargins, AShiftedModelLosesAtTheReferencesThreshold) {
  auto rows = scored();
  const double threshold = best_threshold(rows);
  const MarginScore same = score_margins(rows, threshold, 0.5);
  for (ScoredLabel& row : rows) row.score -= 4.0;
  const MarginScore drifted = score_margins(rows, threshold, 0.5);
  EXPECT_NEAR(same.f1_at_reference->value, 8.0 / 11.0, 1e-12);
  EXPECT_LT(drifted.f1_at_reference->value, same.f1_at_reference->value);
  EXPECT_EQ(drifted.average_precision.value, same.average_precision.value);  // the order is the same
  EXPECT_FALSE(score_margins(rows, std::nullopt, 0.5).f1_at_reference);
}

TEST(LegacyResults, CutAndCountAsTheScriptsDid) {
  GuardRecord record;
  for (int i = 0; i < 150; ++i) record.prompt += "é";
  record.text = std::string(600, 'x');
  record.truth[GuardTask::kPromptHarm] = true;
  std::vector<GuardRecord> records(4, record);
  records[3].truth[GuardTask::kPromptHarm] = false;
  const std::vector<GuardLabel> predicted = {true, false, std::nullopt, false};
  const auto confusion = legacy_results(records, predicted, LegacySchema::kConfusion, {});
  EXPECT_EQ(confusion["metrics"]["total"], 4);
  EXPECT_EQ(confusion["metrics"]["valid"], 3);
  EXPECT_EQ(confusion["metrics"]["accuracy"], 0.5);  // of all
  EXPECT_EQ(confusion["results"][3]["ground_truth"], "unharmful");
  EXPECT_EQ(confusion["results"][2]["predicted"], "unknown");
  const auto by_class = legacy_results(records, predicted, LegacySchema::kPerClass, {});
  EXPECT_NEAR(by_class["metrics"]["accuracy"].get<double>(), 2.0 / 3.0, 1e-12);  // of the read
  EXPECT_EQ(by_class["metrics"]["safe"]["tp"], 1);
  EXPECT_EQ(by_class["results"][3]["ground_truth"], "safe");
  EXPECT_EQ(by_class["results"][0]["prompt"].get<std::string>().size(), 203U);
  EXPECT_EQ(by_class["results"][0]["response"].get<std::string>().size(), 503U);
  EXPECT_EQ(by_class["results"][0]["raw_response"].get<std::string>().size(), 600U);
}

}  // namespace
}  // namespace assay
