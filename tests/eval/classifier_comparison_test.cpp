#include "eval/classifier_comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace assay {
namespace {

TEST(Wilson, KnownIntervals) {
  const Estimate half = wilson_share(50, 100);
  EXPECT_NEAR(half.low, 0.4038, 1e-4);  // Newcombe 1998 gives the formula; the figures follow by hand
  EXPECT_NEAR(half.high, 0.5962, 1e-4);
  const Estimate none = wilson_share(0, 100);
  EXPECT_EQ(none.low, 0.0);
  EXPECT_NEAR(none.high, 3.8415 / 103.8415, 1e-4);  // z² / (n + z²)
  EXPECT_EQ(wilson_share(100, 100).high, 1.0);
  EXPECT_EQ(wilson_share(0, 0).high, 1.0);
}

TEST(McNemar, KnownValues) {
  EXPECT_EQ(mcnemar_p(0, 0), 1.0);
  EXPECT_NEAR(mcnemar_p(0, 5), 2.0 / 32.0, 1e-12);
  EXPECT_NEAR(mcnemar_p(5, 15), 2.0 * 21700.0 / 1048576.0, 1e-12);  // Σ C(20, 0…5) = 21700
  EXPECT_EQ(mcnemar_p(7, 7), 1.0);
}

TEST(ClassifierComparison, TheSameLogitsAgree) {
  const std::vector<float> logits{2, 0, 1, /**/ 0, 3, 1, /**/ 0, 0, 9};
  const std::vector<int64_t> labels{0, 1, 0};
  const ClassifierComparison c = compare_classifiers(logits, logits, 3, labels);
  EXPECT_EQ(c.n, 3);
  EXPECT_TRUE(c.flips.empty());
  EXPECT_EQ(c.agreement.value, 1.0);
  EXPECT_EQ(c.max_probability_change, 0.0);
  EXPECT_EQ(c.kl.value, 0.0);
  EXPECT_EQ(c.mcnemar, 1.0);
  EXPECT_NEAR(c.reference_score->accuracy.value, 2.0 / 3.0, 1e-12);
}

TEST(ClassifierComparison, FlipsAreListedWithTheirMargins) {
  const std::vector<float> before{1, 0, /**/ 4, 0, /**/ 0, 2, /**/ 0, 1};
  const std::vector<float> after{0, 1, /**/ 0, 1, /**/ 0, 2, /**/ 0, 1};
  const std::vector<int64_t> labels{0, 1, 1, 1};
  const ClassifierComparison c = compare_classifiers(before, after, 2, labels);
  ASSERT_EQ(c.flips.size(), 2u);
  EXPECT_EQ(c.flips[0].index, 1);  // the surer one first
  EXPECT_EQ(c.flips[0].reference, 0);
  EXPECT_EQ(c.flips[0].candidate, 1);
  EXPECT_NEAR(c.flips[0].reference_margin, std::tanh(2.0), 1e-6);
  EXPECT_EQ(c.agreement.value, 0.5);
  EXPECT_EQ(c.only_reference_right, 1);
  EXPECT_EQ(c.only_candidate_right, 1);
  EXPECT_GT(c.kl.value, 0.0);
}

TEST(ClassifierComparison, F1ByHand) {
  // class 0: 2 of 3 predictions right, 2 of 4 texts found; class 1: 1 of 3, 1 of 2; class 2 never occurs.
  const std::vector<int64_t> labels{0, 0, 0, 0, 1, 1}, predictions{0, 0, 1, 1, 1, 0};
  const ClassifierScore score = score_classifier(predictions, labels, 3);
  EXPECT_NEAR(score.classes[0].precision, 2.0 / 3.0, 1e-12);
  EXPECT_NEAR(score.classes[0].recall, 0.5, 1e-12);
  EXPECT_NEAR(score.classes[0].f1, 4.0 / 7.0, 1e-12);
  EXPECT_NEAR(score.classes[1].f1, 2.0 / 5.0, 1e-12);
  EXPECT_NEAR(score.macro_f1, (4.0 / 7.0 + 2.0 / 5.0) / 2.0, 1e-12);
}

TEST(ClassifierComparison, ANaNIsADisagreementAndWrong) {
  const std::vector<float> before{1, 0, /**/ 0, 1}, nan{std::numeric_limits<float>::quiet_NaN(), 0, 0, 1};
  const std::vector<int64_t> labels{0, 1};
  const ClassifierComparison c = compare_classifiers(before, nan, 2, labels);
  EXPECT_EQ(c.candidate_not_finite, 1);
  EXPECT_EQ(c.agreement.value, 0.5);
  EXPECT_EQ(c.candidate_score->accuracy.value, 0.5);
  EXPECT_EQ(c.only_reference_right, 1);
}

}  // namespace
}  // namespace assay
