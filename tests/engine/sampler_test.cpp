#include "engine/sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace assay {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<int> count_choices(const SamplingOptions& options, const std::vector<float>& logits, int draws,
                               const std::vector<TokenId>& history = {}) {
  Sampler sampler(options);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i) ++counts[static_cast<size_t>(sampler.choose(logits, history))];
  return counts;
}

TEST(Argmax, TakesTheLowestOfEqualsAndNeverNan) {
  EXPECT_EQ(1, argmax(std::vector<float>{0, 3, 3, 1}));
  EXPECT_EQ(2, argmax(std::vector<float>{kNan, -5, -1}));
  EXPECT_EQ(0, argmax(std::vector<float>{-1e30f, -1e30f}));
}

TEST(Sampler, GreedyIsArgmax) {
  Sampler sampler({});
  EXPECT_EQ(2, sampler.choose(std::vector<float>{1, 2, 5, 4}, {}));
}

TEST(Sampler, DrawsInProportionToTheProbabilities) {
  // Probabilities 0.7, 0.2, 0.1; with 30,000 draws the standard error is at most 0.0027: bounds of 5 of them.
  const std::vector<float> logits = {std::log(0.7f), std::log(0.2f), std::log(0.1f)};
  const auto counts = count_choices({.temperature = 1.0f, .seed = 3}, logits, 30000);
  EXPECT_NEAR(0.7, counts[0] / 30000.0, 0.0135);
  EXPECT_NEAR(0.2, counts[1] / 30000.0, 0.0135);
  EXPECT_NEAR(0.1, counts[2] / 30000.0, 0.0135);
  // Temperature 0.5 squares them: 0.49, 0.04, 0.01 of 0.54.
  const auto cold = count_choices({.temperature = 0.5f, .seed = 3}, logits, 30000);
  EXPECT_NEAR(0.49 / 0.54, cold[0] / 30000.0, 0.0135);
}

TEST(Sampler, EachCutRemovesExactlyItsTail) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  const auto top_k = count_choices({.temperature = 1.0f, .top_k = 2}, logits, 2000);
  EXPECT_EQ(0, top_k[0] + top_k[2]);
  EXPECT_GT(top_k[3], 0);
  // 0.5 + 0.25 reaches 0.7 with two tokens; 0.8 needs the third.
  const auto top_p = count_choices({.temperature = 1.0f, .top_p = 0.7f}, logits, 2000);
  EXPECT_EQ(0, top_p[0] + top_p[2]);
  const auto wider = count_choices({.temperature = 1.0f, .top_p = 0.8f}, logits, 2000);
  EXPECT_EQ(0, wider[0]);
  EXPECT_GT(wider[2], 0);
  // min_p 0.4 keeps what has at least 0.2.
  const auto min_p = count_choices({.temperature = 1.0f, .min_p = 0.4f}, logits, 2000);
  EXPECT_EQ(0, min_p[0] + min_p[2]);
  EXPECT_GT(min_p[3], 0);
}

TEST(Sampler, RepeatPenaltyPushesSeenTokensDownWhateverTheirSign) {
  Sampler sampler({.repeat_penalty = 2.0f});
  EXPECT_EQ(1, sampler.choose(std::vector<float>{4.0f, 3.0f}, std::vector<TokenId>{0}));
  EXPECT_EQ(1, sampler.choose(std::vector<float>{-1.0f, -1.5f}, std::vector<TokenId>{0, 0}));
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const std::vector<float> logits(50, 0.0f);
  EXPECT_EQ(count_choices({.temperature = 1.0f, .seed = 9}, logits, 500),
            count_choices({.temperature = 1.0f, .seed = 9}, logits, 500));
  EXPECT_NE(count_choices({.temperature = 1.0f, .seed = 9}, logits, 500),
            count_choices({.temperature = 1.0f, .seed = 10}, logits, 500));
}

TEST(Sampler, RefusesWhatHasNoMeaning) {
  for (const SamplingOptions& bad :
       {SamplingOptions{.temperature = -1.0f}, SamplingOptions{.temperature = kNan},
        SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 0.0f}, SamplingOptions{.top_p = 1.5f},
        SamplingOptions{.min_p = 2.0f}, SamplingOptions{.repeat_penalty = 0.0f}})
    EXPECT_THROW(Sampler{bad}, UsageError);
  Sampler sampler({.temperature = 1.0f});
  EXPECT_THROW(sampler.choose(std::vector<float>{kNan, kNan}, {}), Error);
}

TEST(Sampler, GreedyRefusesLogitsThatAreAllNan) {
  for (const float penalty : {1.0f, 1.5f}) {
    Sampler sampler({.repeat_penalty = penalty});
    EXPECT_THROW(sampler.choose(std::vector<float>{kNan, kNan}, {}), Error);
    EXPECT_EQ(1, sampler.choose(std::vector<float>{kNan, 2, 1}, {}));
  }
}

}  // namespace
}  // namespace assay
