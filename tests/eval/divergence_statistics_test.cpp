// Statistics of scored positions: by hand, against plain quantiles, and as Measurements.
#include "eval/divergence_statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "eval/divergence_measurements.hpp"

namespace assay {
namespace {

/// Positions of several documents; each document has a level of its own.
std::vector<TokenDivergence> sample(uint32_t documents, int32_t length, double scale, uint64_t seed) {
  Rng rng(seed);
  std::vector<TokenDivergence> tokens;
  for (uint32_t d = 0; d < documents; ++d) {
    const double level = scale * std::exp(0.5 * rng.normal());
    for (int32_t i = 0; i < length; ++i) {
      const double nll = 3.0 * rng.uniform();
      tokens.push_back({.kl = level * rng.uniform(),
                        .reference_nll = nll,
                        .candidate_nll = nll + level * rng.normal(),
                        .confidence = static_cast<float>(rng.uniform()),
                        .top5 = 0.8f,
                        .top1 = rng.uniform() < 0.9,
                        .position = i,
                        .cluster = d});
    }
  }
  return tokens;
}

TEST(DivergenceStatistics, ByHand) {
  std::vector<TokenDivergence> tokens(2);
  tokens[0] = {.kl = 0.2,
               .reference_nll = std::log(2.0),
               .candidate_nll = std::log(4.0),
               .confidence = 0.5f,
               .top5 = 1.0f,
               .top1 = true,
               .position = 0,
               .cluster = 0};
  tokens[1] = {.kl = 0.4,
               .reference_nll = std::log(4.0),
               .candidate_nll = std::log(2.0),
               .confidence = 0.95f,
               .top5 = 0.6f,
               .top1 = false,
               .position = 1,
               .cluster = 1};
  const DivergenceResult r = summarize_divergence(tokens);
  EXPECT_DOUBLE_EQ(0.3, r.figure("kl_mean").value);
  EXPECT_DOUBLE_EQ(0.3, r.figure("kl_median").value);
  EXPECT_DOUBLE_EQ(0.2 + 0.9 * 0.2, r.figure("kl_p90").value);
  EXPECT_DOUBLE_EQ(0.4, r.figure("kl_max").value);
  EXPECT_TRUE(std::isinf(r.figure("kl_max").high)) << "no bootstrap bounds an extreme";
  EXPECT_DOUBLE_EQ(0.5, r.figure("top1_agreement").value);
  EXPECT_NEAR(0.8, r.figure("top5_agreement").value, 1e-7);
  EXPECT_DOUBLE_EQ(0.0, r.figure("ln_ppl_ratio").value);
  EXPECT_DOUBLE_EQ(1.0, r.figure("ppl_ratio").value);
  EXPECT_NEAR(std::sqrt(8.0), r.figure("ppl_reference").value, 1e-12);
  EXPECT_NEAR(0.0, r.figure("delta_p_mean").value, 1e-15);  // -1/4 and +1/4
  EXPECT_NEAR(0.25, r.figure("delta_p_rms").value, 1e-15);
  EXPECT_NEAR(-1.0, r.figure("ppl_correlation").value, 1e-12);
  EXPECT_THROW(r.figure("kl_typical"), Error);
  ASSERT_EQ(4u, r.curves.size());
  EXPECT_EQ("position in the window", r.curves[0].x_name);
  EXPECT_EQ("0", r.curves[0].points[0].label);
  EXPECT_DOUBLE_EQ(0.2, r.curves[0].points[0].y.value);
  EXPECT_EQ("0.9–0.99", r.curves[2].points.back().label);
  EXPECT_DOUBLE_EQ(0.4, r.curves[2].points.back().y.value);
}

TEST(DivergenceStatistics, QuantilesAreThoseOfAllPositions) {
  const auto tokens = sample(20, 53, 0.1, 1);
  std::vector<double> values;
  for (const TokenDivergence& token : tokens) values.push_back(token.kl);
  std::sort(values.begin(), values.end());
  const DivergenceResult r = summarize_divergence(tokens);
  const std::pair<const char*, double> wanted[] = {{"kl_min", 0.0},    {"kl_p0.1", 0.001}, {"kl_p10", 0.1},
                                                   {"kl_median", 0.5}, {"kl_p95", 0.95},   {"kl_p99", 0.99},
                                                   {"kl_p99.9", 0.999}};
  for (const auto& [name, share] : wanted) {
    const Estimate& found = r.figure(name);
    EXPECT_NEAR(quantile(values, share), found.value, 1e-15) << name;
    if (share == 0.0) continue;
    EXPECT_LE(found.low, found.value) << name;
    EXPECT_GE(found.high, found.value) << name;
  }
  EXPECT_LT(r.figure("delta_p_p1").value, r.figure("delta_p_p99").value);
}

TEST(DivergenceStatistics, QuantileIntervalsAreThoseOfABootstrapDoneByHand) {
  const auto tokens = sample(12, 9, 0.1, 5);
  const auto median = [&](std::span<const size_t> drawn) {
    std::vector<double> values;
    for (const size_t d : drawn)
      for (const TokenDivergence& token : tokens)
        if (token.cluster == d) values.push_back(token.kl);
    std::sort(values.begin(), values.end());
    return quantile(values, 0.5);
  };
  const Estimate wanted = bootstrap(12, median, 0), found = summarize_divergence(tokens).figure("kl_median");
  EXPECT_NEAR(wanted.low, found.low, 1e-15);  // the same seed draws the same documents
  EXPECT_NEAR(wanted.high, found.high, 1e-15);
}

TEST(DivergenceStatistics, CurvesCoverEveryPositionOnce) {
  const auto tokens = sample(6, 100, 0.1, 2);
  const DivergenceResult r = summarize_divergence(tokens);
  for (const DivergenceCurve& curve : r.curves) {
    int64_t covered = 0;
    for (const auto& point : curve.points) covered += point.tokens;
    EXPECT_EQ(600, covered) << curve.x_name;
  }
  EXPECT_EQ("64–99", r.curves[0].points.back().label);
}

TEST(DivergenceStatistics, OneClusterHasNoInterval) {
  const DivergenceResult r = summarize_divergence(sample(1, 50, 0.1, 3));
  for (const DivergenceFigure& figure : r.figures)
    EXPECT_TRUE(std::isinf(figure.estimate.low)) << figure.name;
  for (const Measurement& m : measurements_of(r, "a", "", {})) EXPECT_FALSE(m.low.has_value()) << m.metric;
}

TEST(DivergenceMeasurements, CarrySubjectSettingsAndTheirOtherName) {
  DivergenceResult r = summarize_divergence(sample(5, 20, 0.1, 4));
  r.cluster_unit = "documents";
  Corpus corpus;
  corpus.path = "c.jsonl", corpus.sha256 = "ab";
  const auto settings = divergence_settings(r, corpus, {.context = 20}, Compute::kFast, Compute::kExact);
  const auto made = measurements_of(r, "mlx:4bit", "cd", settings);
  ASSERT_EQ(r.figures.size(), made.size());
  const auto kl = std::find_if(made.begin(), made.end(), [](const auto& m) { return m.metric == "kl_mean"; });
  ASSERT_NE(made.end(), kl);
  EXPECT_EQ("mlx:4bit", kl->subject);
  EXPECT_EQ("divergence", kl->task);
  EXPECT_EQ(5, kl->n);
  EXPECT_EQ("documents", kl->n_unit);
  EXPECT_EQ("cd", kl->file_sha256);
  EXPECT_EQ("fast", kl->settings["compute"]);
  EXPECT_EQ("exact", kl->settings["reference_compute"]);
  EXPECT_EQ("ab", kl->settings["corpus_sha256"]);
  EXPECT_EQ("Mean KLD", kl->settings["llama_perplexity_name"]);
}

/// Above 100,000 tokens a quantile is resampled less often than a mean, and says so.
TEST(DivergenceMeasurements, EveryIntervalNamesTheResamplesItRestsOn) {
  EXPECT_EQ(2000, quantile_resamples(1));
  EXPECT_EQ(2000, quantile_resamples(100'000));
  EXPECT_EQ(1000, quantile_resamples(200'000));
  EXPECT_EQ(200, quantile_resamples(50'000'000));
  DivergenceResult r = summarize_divergence(sample(3, 100, 0.1, 5));
  r.cluster_unit = "documents";
  for (DivergenceFigure& figure : r.figures)
    if (figure.name == "kl_p99") figure.resamples = quantile_resamples(400'000);
  const auto interval = [&](const char* metric) {
    for (const Measurement& m : measurements_of(r, "a", "", {}))
      if (m.metric == metric) return m.settings["interval"].get<std::string>();
    return std::string();
  };
  EXPECT_NE(interval("kl_mean").find("documents, 2000 resamples"), std::string::npos);
  EXPECT_NE(interval("kl_p99").find("documents, 500 resamples"), std::string::npos);
  EXPECT_NE(interval("kl_max").find("none"), std::string::npos);
  DivergenceResult single = summarize_divergence(sample(1, 100, 0.1, 5));
  single.cluster_unit = "windows";
  EXPECT_EQ("none: fewer than two windows", describe_interval(single, single.kl, 2000));
}

TEST(DivergenceMeasurements, PerplexityAgainstTheReference) {
  const DivergenceResult r = summarize_divergence(sample(40, 30, 0.3, 7));
  const PairedComparison made = compare_with_reference(r, "source", "4-bit", {{"compute", "exact"}});
  EXPECT_EQ("source", made.first);
  EXPECT_EQ("4-bit", made.second);
  EXPECT_EQ("ln_ppl_ratio", made.metric);
  EXPECT_NEAR(r.nll_difference.value, made.difference.value, 1e-12);
  EXPECT_NEAR(r.nll_difference.low, made.difference.low, 1e-12);
  EXPECT_EQ("exact", made.settings["compute"]);
  EXPECT_TRUE(made.p.has_value());
}

TEST(DivergenceMeasurements, NameAWinnerOnlyWhereTheIntervalExcludesZero) {
  const auto few = summarize_divergence(sample(40, 30, 0.1, 7)),
             same = summarize_divergence(sample(40, 30, 0.1, 8)),
             worse = summarize_divergence(sample(40, 30, 0.3, 7));
  const auto clear = compare_divergences(few, worse, "8-bit", "4-bit", {});
  ASSERT_EQ("kl_mean", clear[0].metric);
  EXPECT_EQ(PairedVerdict::kFirstBetter, clear[0].verdict());
  EXPECT_LT(clear[0].p.value(), 0.01);
  EXPECT_FALSE(clear[0].n_needed.has_value());
  const auto unclear = compare_divergences(few, same, "a", "b", {});
  EXPECT_EQ(PairedVerdict::kNoDifferenceShown, unclear[0].verdict());
  EXPECT_GT(unclear[0].n_needed.value(), 40);
  EXPECT_EQ(PairedVerdict::kNoDifferenceShown, compare_divergences(few, few, "a", "a", {})[0].verdict());
}

}  // namespace
}  // namespace assay
