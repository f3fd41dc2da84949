#include "report/advice.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

/// Two files that were measured against a source: `a` is nearer to it, `b` smaller and faster.
class AdviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    report_.reference = "source";
    add_subject("source", "reference", "unquantized");
    add_subject("a", "recipe", "quantized");
    add_subject("b", "recipe", "quantized");
    add("a", "size", "bytes", 800.0, "bytes");
    add("b", "size", "bytes", 450.0, "bytes");
    add("a", "divergence", "kl_mean", 0.002, "nats/token");
    add("b", "divergence", "kl_mean", 0.03, "nats/token");
    add("a", "speed", "decode", 40.0, "tok/s");
    add("b", "speed", "decode", 70.0, "tok/s");
  }

  void add_subject(const std::string& label, const std::string& kind, const std::string& verdict) {
    Subject subject{.label = label, .kind = kind, .bytes = 1, .verdict = verdict};
    if (kind == "recipe") subject.proven = true;
    report_.subjects.push_back(subject);
  }

  void add(const std::string& subject, const std::string& task, const std::string& metric, double value,
           const std::string& unit) {
    report_.measurements.push_back({.subject = subject,
                                    .task = task,
                                    .metric = metric,
                                    .unit = unit,
                                    .value = value,
                                    .low = value * 0.9,
                                    .high = value * 1.1,
                                    .n = 20,
                                    .n_unit = "documents"});
  }

  void add_pair(const std::string& task, const std::string& metric, double low, double high, bool higher) {
    report_.comparisons.push_back({.task = task,
                                   .metric = metric,
                                   .unit = "",
                                   .first = "a",
                                   .second = "b",
                                   .difference = {(low + high) / 2, low, high, 20},
                                   .higher_is_better = higher,
                                   .n_needed = 77});
  }

  /// The advice that holds all of `parts`, or nothing.
  const Advice* find(const std::vector<Advice>& advice, const std::vector<std::string>& parts) {
    for (const Advice& line : advice) {
      bool all = true;
      for (const std::string& part : parts) all &= line.text.find(part) != std::string::npos;
      if (all) return &line;
    }
    return nullptr;
  }

  Report report_;
};

TEST_F(AdviceTest, ABestOneIsNamedOnlyWhereItsIntervalExcludesZero) {
  add_pair("divergence", "kl_mean", 0.02, 0.04, false);  // b lies further: shown
  add_pair("speed", "decode", -2.0, 62.0, true);         // b may be faster: not shown
  const std::vector<Advice> advice = advise(report_, {});
  const Advice* quality = find(advice, {"quality", "a lies nearest", "shown against b"});
  ASSERT_NE(quality, nullptr);
  EXPECT_EQ(quality->measurements, (std::vector<size_t>{2, 3}));
  EXPECT_NE(find(advice, {"speed", "b decodes fastest", "but against a", "no difference shown", "77"}),
            nullptr);
}

/// The planted error: a comparison whose interval reaches 0 must not name a winner.
TEST_F(AdviceTest, AnIntervalThatReachesZeroShowsNothing) {
  add_pair("divergence", "kl_mean", -0.001, 0.057, false);
  EXPECT_EQ(find(advise(report_, {}), {"shown against"}), nullptr);
}

TEST_F(AdviceTest, LimitsChooseTheNearestFileThatKeepsThem) {
  const std::vector<Advice> advice = advise(report_, {.max_bytes = 500.0});
  const Advice* fits = find(advice, {"Within your limits, b"});
  ASSERT_NE(fits, nullptr);
  EXPECT_EQ(fits->measurements, (std::vector<size_t>{1, 3}));  // its bytes, and its divergence
  EXPECT_NE(find(advise(report_, {.min_decode = 30.0}), {"Within your limits, a"}), nullptr);
  EXPECT_NE(find(advise(report_, {.max_bytes = 500.0, .max_kl = 0.01}), {"No measured file keeps"}), nullptr);
  EXPECT_NE(find(advise(report_, {.max_memory = 1e12}), {"No measured file keeps"}), nullptr)
      << "a limit on what was not measured is not kept";
}

TEST_F(AdviceTest, AFakeIsNeitherRecommendedNorPassedOver) {
  report_.subjects[1].verdict = "fake";
  const std::vector<Advice> advice = advise(report_, {.max_bytes = 1e9});
  EXPECT_NE(find(advice, {"Do not use a"}), nullptr);
  EXPECT_NE(find(advice, {"Within your limits, b"}), nullptr);
}

TEST_F(AdviceTest, DriftThatReadersNoticeIsSaid) {
  EXPECT_EQ(find(advise(report_, {}), {"drifts"}), nullptr);
  report_.measurements[3].value = 0.2;
  EXPECT_NE(find(advise(report_, {}), {"b drifts by"}), nullptr);
}

TEST_F(AdviceTest, WithoutIntervalsItSaysWhy) {
  report_.measurements[2].low.reset();
  EXPECT_NE(find(advise(report_, {}), {"too short for an interval"}), nullptr);
}

TEST_F(AdviceTest, ASingleCandidateIsHeldAgainstTheReferenceAlone) {
  report_.subjects.pop_back();  // b is gone
  add("source", "size", "bytes", 1600.0, "bytes");
  add("source", "speed", "decode", 30.0, "tok/s");
  report_.comparisons.push_back({.task = "speed",
                                 .metric = "decode",
                                 .unit = "tok/s",
                                 .first = "source",
                                 .second = "a",
                                 .difference = {10, 8, 12, 7}});
  std::vector<Advice> advice = advise(report_, {});
  const Advice* distance = find(advice, {"a lies", "0.002", "6-bit"});
  ASSERT_NE(distance, nullptr);
  EXPECT_EQ(distance->measurements, (std::vector<size_t>{2}));
  EXPECT_NE(find(advice, {"It takes 800 bytes", "the reference 1600 bytes"}), nullptr);
  EXPECT_NE(find(advice, {"a decodes faster, shown"}), nullptr);
  EXPECT_EQ(find(advice, {"lies nearest"}), nullptr) << "nearest of one says nothing";
  for (const auto& [kl, band] : {std::pair{5e-5, "too little"}, {0.006, "between"}, {0.03, "where 4-bit"}}) {
    report_.measurements[2].value = kl;
    EXPECT_NE(find(advise(report_, {}), {"a lies", band}), nullptr) << kl;
  }
  // Planted: an interval that reaches 0, and a file that is not what it says.
  report_.comparisons[0].difference = {10, -1, 21, 7};
  advice = advise(report_, {});
  EXPECT_EQ(find(advice, {"faster"}), nullptr);
  EXPECT_NE(find(advice, {"no difference shown"}), nullptr);
  report_.subjects[1].proven = false;
  EXPECT_EQ(find(advise(report_, {}), {"a lies"}), nullptr);
}

TEST_F(AdviceTest, NothingMeasuredNothingAdvised) {
  report_.measurements.clear();
  EXPECT_TRUE(advise(report_, {}).empty());
}

}  // namespace
}  // namespace assay
