#include "eval/embedding_drift.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.hpp"
#include "eval/correlation.hpp"

namespace assay {
namespace {

std::vector<float> random_vectors(int64_t n, int64_t dim, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < n * dim; ++i) values.push_back(static_cast<float>(rng.normal()));
  return values;
}

TEST(Correlation, RanksShareTheirPlaces) {
  const std::vector<double> values{3, 1, 3, 2};
  EXPECT_EQ(average_ranks(values), (std::vector<double>{3.5, 1, 3.5, 2}));
}

TEST(Correlation, KnownValues) {
  const std::vector<double> a{1, 2, 3, 4, 5}, b{2, 1, 4, 3, 5}, constant(5, 7.0);
  EXPECT_DOUBLE_EQ(pearson(a, a), 1.0);
  EXPECT_DOUBLE_EQ(pearson(a, b), 0.8);
  EXPECT_DOUBLE_EQ(spearman(a, b), 0.8);  // 1 - 6 Σ d² / (n (n² - 1)), d² = 1 + 1 + 1 + 1
  const std::vector<double> cubes{1, 8, 27, 64, 125};
  EXPECT_DOUBLE_EQ(spearman(a, cubes), 1.0);
  EXPECT_LT(pearson(a, cubes), 1.0);
  EXPECT_TRUE(std::isnan(pearson(a, constant)));
}

TEST(Correlation, ABootstrapCoversWhatItShould) {
  Rng rng(3);
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(rng.normal());
  const Estimate mean = bootstrap(400, 1, 1000, [&](std::span<const int64_t> draw) {
    double sum = 0.0;
    for (const int64_t i : draw) sum += values[static_cast<size_t>(i)];
    return sum / static_cast<double>(draw.size());
  });
  EXPECT_NEAR(mean.high - mean.low, 2 * 1.96 / 20.0, 0.03);  // the standard error of a mean of 400 is 1/20
  EXPECT_LT(mean.low, mean.value);
  EXPECT_GT(mean.high, mean.value);
}

TEST(EmbeddingDrift, AModelAgainstItselfReadsExactly) {
  const std::vector<float> vectors = random_vectors(30, 16, 1);
  const EmbeddingDrift drift = measure_drift({vectors, 16}, {vectors, 16});
  EXPECT_EQ(drift.n, 30);
  EXPECT_NEAR(drift.cosine.value, 1.0, 1e-15);
  EXPECT_NEAR(drift.cosine_min, 1.0, 1e-15);
  EXPECT_EQ(drift.mse, 0.0);
  EXPECT_EQ(drift.max_absolute, 0.0);
  EXPECT_EQ(drift.relative_l2, 0.0);
  EXPECT_EQ(drift.norm_ratio, 1.0);
  EXPECT_DOUBLE_EQ(drift.pair_spearman, 1.0);
  EXPECT_EQ(drift.pairs, 435);
  EXPECT_EQ(drift.top1_same, 1.0);
  EXPECT_EQ(drift.neighbour_overlap, 1.0);
}

TEST(EmbeddingDrift, OnePlantedBadVectorIsTheWorst) {
  const std::vector<float> vectors = random_vectors(40, 8, 2);
  std::vector<float> damaged = vectors;
  for (size_t k = 0; k < 8; ++k) damaged[17 * 8 + k] = -damaged[17 * 8 + k];
  const EmbeddingDrift drift = measure_drift({vectors, 8}, {damaged, 8});
  EXPECT_EQ(drift.worst, 17);
  EXPECT_NEAR(drift.cosine_min, -1.0, 1e-12);
  EXPECT_NEAR(drift.cosine.value, (39.0 - 1.0) / 40.0, 1e-12);
  EXPECT_LT(drift.pair_spearman, 1.0);
  EXPECT_LT(drift.top1_same, 1.0);
  EXPECT_LT(drift.neighbour_overlap, 1.0);
  EXPECT_NEAR(drift.norm_ratio, 1.0, 1e-12);
}

TEST(EmbeddingDrift, ErrorsOfUnitVectorsFollowTheCosine) {
  std::vector<float> x, y;  // planes turned by a known angle
  for (int i = 0; i < 10; ++i) {
    const double angle = 0.3 * i, turned = angle + 0.1;
    x.insert(x.end(), {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
    y.insert(y.end(), {static_cast<float>(2 * std::cos(turned)), static_cast<float>(2 * std::sin(turned))});
  }
  const EmbeddingDrift drift = measure_drift({x, 2}, {y, 2});
  EXPECT_NEAR(drift.cosine.value, std::cos(0.1), 1e-7);
  EXPECT_NEAR(drift.mse_normalized, 2 * (1 - std::cos(0.1)) / 2, 1e-7);
  EXPECT_NEAR(drift.norm_ratio, 2.0, 1e-7);
  EXPECT_NEAR(drift.relative_l2, std::sqrt(1 + 4 - 4 * std::cos(0.1)), 1e-6);
}

TEST(EmbeddingDrift, NaNIsCountedAndDoesNotSpread) {
  const std::vector<float> vectors = random_vectors(12, 4, 5);
  std::vector<float> broken = vectors;
  broken[4 * 3 + 1] = std::numeric_limits<float>::quiet_NaN();
  const EmbeddingDrift drift = measure_drift({vectors, 4}, {broken, 4});
  EXPECT_EQ(drift.candidate_not_finite, 1);
  EXPECT_EQ(drift.reference_not_finite, 0);
  EXPECT_EQ(drift.worst, 3);
  EXPECT_EQ(drift.mse, 0.0);
  EXPECT_TRUE(std::isfinite(drift.pair_spearman));
}

TEST(EmbeddingDrift, BandsAreStrict) {
  EXPECT_EQ(drift_band(0.9901), "EXCELLENT");
  EXPECT_EQ(drift_band(0.99), "GOOD");
  EXPECT_EQ(drift_band(0.95), "ACCEPTABLE");
  EXPECT_EQ(drift_band(0.90), "POOR");
}

TEST(Similarities, APairedDifferenceIsTighterThanEither) {
  Rng rng(9);
  std::vector<double> scores, reference, candidate;
  for (int i = 0; i < 300; ++i) {
    scores.push_back(rng.normal());
    reference.push_back(scores.back() + 0.5 * rng.normal());
    candidate.push_back(reference.back() + 0.01 * rng.normal());
  }
  const SimilarityScores result = compare_similarities(reference, candidate, scores);
  EXPECT_GT(result.reference_spearman.value, 0.8);
  EXPECT_NEAR(result.spearman_difference.value,
              result.candidate_spearman.value - result.reference_spearman.value, 1e-12);
  EXPECT_LT(result.spearman_difference.high - result.spearman_difference.low,
            0.2 * (result.reference_spearman.high - result.reference_spearman.low));
}

}  // namespace
}  // namespace assay
