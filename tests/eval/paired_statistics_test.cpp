// Paired differences, tests and planning: by hand, and as scipy has them (tools/make_statistics_golden.py).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/rng.hpp"
#include "eval/statistics.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

nlohmann::json golden(const char* name) {
  std::ifstream file(test::source_file("tests/golden/statistics/statistics.json"));
  return nlohmann::json::parse(file).at(name);
}

TEST(Statistics, NormalQuantilesAreScipys) {
  for (const auto& row : golden("normal_quantile")) EXPECT_NEAR(row[1], normal_quantile(row[0]), 1e-9);
}

TEST(Statistics, QuantilesAreNumpys) {
  const auto wanted = golden("quantile");
  const auto values = wanted.at("values").get<std::vector<double>>();
  for (const auto& row : wanted.at("at")) EXPECT_NEAR(row[1], quantile(values, row[0]), 1e-12);
}

TEST(Statistics, WilsonIsScipys) {
  for (const auto& row : golden("wilson")) {
    const Estimate found = wilson_share(row[0], row[1]);
    EXPECT_NEAR(row[2], found.low, 1e-12);
    EXPECT_NEAR(row[3], found.high, 1e-12);
  }
}

TEST(Statistics, McNemarIsScipysBinomialTest) {
  for (const auto& row : golden("mcnemar")) {
    const double p = row[2];
    EXPECT_NEAR(p, mcnemar_p(row[0], row[1]), 1e-9 * p);
  }
}

TEST(Statistics, PairedShareBoundsMaximiseTheLikelihood) {
  for (const auto& row : golden("tango")) {
    const Estimate found = paired_share_difference({row[0], row[1], row[2]}, row[3]);
    EXPECT_NEAR(row[4], found.low, 1e-5) << row;
    EXPECT_NEAR(row[5], found.high, 1e-5) << row;
  }
}

TEST(Statistics, PairedShareBoundWithoutAnyDiscordantItemIsStillOne) {
  const double z = normal_quantile(0.975);
  const Estimate none = paired_share_difference({0, 0, 30});
  EXPECT_DOUBLE_EQ(0.0, none.value);
  EXPECT_NEAR(z * z / (30 + z * z), none.high, 1e-9);
  EXPECT_NEAR(-none.high, none.low, 1e-9);
  EXPECT_EQ(1.0, paired_share_difference({0, 0, 0}).high);
}

TEST(Statistics, HolmStepsDown) {
  const auto wanted = golden("holm");
  const auto corrected = holm(wanted.at("p").get<std::vector<double>>());
  for (size_t i = 0; i < corrected.size(); ++i) EXPECT_NEAR(wanted.at("corrected")[i], corrected[i], 1e-12);
  EXPECT_TRUE(holm({}).empty());
  EXPECT_EQ(1.0, holm(std::vector<double>{0.9, 0.8})[0]);
}

TEST(Bootstrap, MeanHasScipysInterval) {
  const auto wanted = golden("bootstrap_mean");
  const auto values = wanted.at("values").get<std::vector<double>>();
  const auto mean = [&](std::span<const size_t> drawn) {
    double sum = 0.0;
    for (const size_t i : drawn) sum += values[i];
    return sum / static_cast<double>(drawn.size());
  };
  const Estimate found = bootstrap(values.size(), mean, 3, 20000);
  // A percentile's own standard error here is sqrt(.025 * .975 / 20000) / density(1.96) = 0.019 of the
  // mean's.
  const double tolerance = 0.08 * wanted.at("standard_error").get<double>();
  EXPECT_NEAR(wanted.at("low"), found.low, tolerance);
  EXPECT_NEAR(wanted.at("high"), found.high, tolerance);
}

TEST(Bootstrap, TakesAnyStatisticAndSkipsNaN) {
  // The share of the positive among the drawn; undefined where cluster 0 is not drawn.
  const auto statistic = [](std::span<const size_t> drawn) {
    double zeros = 0.0;
    for (const size_t i : drawn) zeros += i == 0 ? 1.0 : 0.0;
    return zeros == 0.0 ? std::nan("") : zeros;
  };
  const Estimate found = bootstrap(3, statistic, 1);
  EXPECT_EQ(1.0, found.value);
  EXPECT_EQ(1.0, found.low);
  EXPECT_EQ(3, found.n);
  const Estimate never = bootstrap(
      3, [](std::span<const size_t>) { return std::nan(""); }, 1);
  EXPECT_TRUE(std::isinf(never.low) && std::isinf(never.high));
  EXPECT_TRUE(std::isnan(bootstrap(0, statistic, 1).value));
}

TEST(PairedDifference, IsNarrowerThanTheItemsSpread) {
  Rng rng(2);
  std::vector<double> first, second;
  for (int i = 0; i < 300; ++i) {
    first.push_back(10.0 * rng.normal());  // hard and easy items: what pairing takes away
    second.push_back(first.back() + 0.5 + 0.1 * rng.normal());
  }
  const Estimate found = paired_difference(first, second, 0);
  EXPECT_NEAR(0.5, found.value, 0.05);
  EXPECT_GT(found.low, 0.45);
  EXPECT_LT(found.high, 0.55);
  EXPECT_EQ(300, found.n);
}

TEST(PairedDifference, RepeatedItemsAreNoNewEvidence) {
  Rng rng(4);
  std::vector<double> zero, values;
  std::vector<size_t> family;
  for (size_t i = 0; i < 30; ++i) {
    const double value = rng.normal();
    for (int repeat = 0; repeat < 20; ++repeat) {
      zero.push_back(0.0);
      values.push_back(value);
      family.push_back(100 + i);
    }
  }
  const Estimate naive = paired_difference(zero, values, 0),
                 clustered = paired_difference(zero, values, 0, family);
  EXPECT_NEAR(naive.value, clustered.value, 1e-12);
  EXPECT_EQ(30, clustered.n);
  EXPECT_NEAR(std::sqrt(20.0), (clustered.high - clustered.low) / (naive.high - naive.low), 1.0);
}

TEST(PairedExchange, IsScipysPermutationTest) {
  const auto wanted = golden("exchange");
  const auto values = wanted.at("differences").get<std::vector<double>>();
  const std::vector<double> zero(values.size());
  const double p = wanted.at("p");  // of all 1024 exchanges
  EXPECT_NEAR(p, paired_exchange_p(zero, values, 7, {}, 40000), 4 * std::sqrt(p * (1 - p) / 40000));
  EXPECT_EQ(1.0, paired_exchange_p(zero, zero, 7));
}

TEST(PairedExchange, FindsADifferenceAndNoneWhereThereIsNone) {
  Rng rng(6);
  std::vector<double> zero(200), shifted, noise;
  for (size_t i = 0; i < zero.size(); ++i) {
    noise.push_back(rng.normal());
    shifted.push_back(noise.back() + 0.5);
  }
  EXPECT_LT(paired_exchange_p(zero, shifted, 0), 0.001);
  EXPECT_GT(paired_exchange_p(zero, noise, 0), 0.05);
}

TEST(NonInferiority, NeedsEnoughItemsEvenWithoutASingleFlip) {
  EXPECT_FALSE(non_inferiority({0, 0, 5}, 0.01).shown);  // a bootstrap of five equal pairs would say yes
  EXPECT_FALSE(non_inferiority({0, 0, 250}, 0.01).shown);
  EXPECT_TRUE(non_inferiority({0, 0, 300}, 0.01).shown);  // 1.645² / (n + 1.645²) < 0.01 from n = 268 on
  const NonInferiority worse = non_inferiority({80, 20, 1000}, 0.01);
  EXPECT_DOUBLE_EQ(-0.06, worse.difference);
  EXPECT_LT(worse.bound, worse.difference);
  EXPECT_FALSE(worse.shown);
  EXPECT_TRUE(non_inferiority({80, 20, 1000}, 0.1).shown);
}

TEST(NonInferiority, OfAnyStatisticByBootstrap) {
  const std::vector<double> differences = {-0.02, 0.01, 0.03, -0.01, 0.0, 0.02, -0.02, 0.01};
  const auto mean = [&](std::span<const size_t> drawn) {
    double sum = 0.0;
    for (const size_t i : drawn) sum += differences[i];
    return sum / static_cast<double>(drawn.size());
  };
  const NonInferiority found = non_inferiority(differences.size(), mean, 0.02, 5);
  EXPECT_TRUE(found.shown);
  EXPECT_LT(found.bound, found.difference);
  EXPECT_GT(found.bound, bootstrap(differences.size(), mean, 5).low);  // one-sided: 5 %, not 2.5 %
  EXPECT_FALSE(non_inferiority(differences.size(), mean, 0.001, 5).shown);
  EXPECT_FALSE(non_inferiority(1, mean, 10.0, 5).shown);
}

TEST(SampleSize, PairedTableOfThePlan) {
  // n = (z.975 √ψ + z.8 √(ψ - d²))² / d²; e.g. ψ = .05, d = .01: (.43826 + .18800)² / .0001 = 3922.1
  EXPECT_EQ(6277, paired_sample_size(0.02, 0.005));
  EXPECT_EQ(1568, paired_sample_size(0.02, 0.01));
  EXPECT_EQ(391, paired_sample_size(0.02, 0.02));
  EXPECT_EQ(15696, paired_sample_size(0.05, 0.005));
  EXPECT_EQ(3923, paired_sample_size(0.05, 0.01));
  EXPECT_EQ(979, paired_sample_size(0.05, 0.02));
  EXPECT_EQ(434, paired_sample_size(0.05, -0.03));
  EXPECT_EQ(25115, paired_sample_size(0.08, 0.005));
  EXPECT_EQ(696, paired_sample_size(0.08, 0.03));
  EXPECT_EQ(std::nullopt, paired_sample_size(0.02, 0.03));  // more than all flips together
  EXPECT_EQ(std::nullopt, paired_sample_size(0.05, 0.0));
  for (const auto& row : golden("paired_sample_size"))
    EXPECT_EQ(row.at("n").get<int64_t>(), paired_sample_size(row.at("discordant"), row.at("difference"),
                                                             row.at("alpha"), row.at("power")));
}

TEST(SampleSize, UnpairedAndMeans) {
  EXPECT_EQ(80059, unpaired_sample_size(0.85, 0.005));
  EXPECT_EQ(20015, unpaired_sample_size(0.85, 0.01));
  EXPECT_EQ(5004, unpaired_sample_size(0.85, 0.02));
  EXPECT_EQ(2224, unpaired_sample_size(0.85, 0.03));
  EXPECT_EQ(std::nullopt, unpaired_sample_size(1.0, 0.03));
  for (const auto& row : golden("mean_sample_size"))
    EXPECT_EQ(row[2].get<int64_t>(), sample_size_for_mean(row[0], row[1]));
  EXPECT_EQ(std::nullopt, sample_size_for_mean(1.0, 0.0));
  EXPECT_EQ(1, sample_size_for_mean(0.0, 0.5));
}

TEST(SampleSize, HasThePowerItPromises) {
  // 979 items of which 5 % differ, 3.5 % for and 1.5 % against: McNemar finds it about 4 times in 5. The
  // exact test is a little conservative; 400 trials have a standard error of 0.02.
  const int64_t n = paired_sample_size(0.05, 0.02).value();
  Rng rng(12);
  int found = 0;
  for (int trial = 0; trial < 400; ++trial) {
    int64_t worse = 0, better = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double u = rng.uniform();
      worse += u < 0.015 ? 1 : 0;
      better += u >= 0.015 && u < 0.05 ? 1 : 0;
    }
    found += mcnemar_p(worse, better) < 0.05 ? 1 : 0;
  }
  EXPECT_GT(found, 280);
  EXPECT_LT(found, 352);
}

}  // namespace
}  // namespace assay
