// Rows of logits: the vector code against libm, whatever the number of threads.
#include "eval/logit_rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "eval/log_softmax.hpp"

namespace assay {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_row(size_t width, uint64_t seed, double spread) {
  Rng rng(seed);
  std::vector<float> row(width);
  for (float& logit : row) logit = static_cast<float>(spread * rng.normal());
  return row;
}

RowDivergence compare(const std::vector<float>& p, const std::vector<float>& q, ThreadPool& pool) {
  return compare_rows(p, find_peaks(p, pool), q, find_peaks(q, pool), pool);
}

/// KL by the definition, in long double.
double plain_divergence(const std::vector<float>& p, const std::vector<float>& q) {
  const auto log_sum = [](const std::vector<float>& row) {
    const long double highest = *std::max_element(row.begin(), row.end());
    long double sum = 0;
    for (const float logit : row) sum += std::exp(logit - highest);
    return highest + std::log(sum);
  };
  const long double p_sum = log_sum(p), q_sum = log_sum(q);
  long double kl = 0;
  for (size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i] - p_sum) * ((p[i] - p_sum) - (q[i] - q_sum));
  return static_cast<double>(kl);
}

TEST(LogitRows, AgreeWithTheDefinition) {
  ThreadPool pool(2);
  for (const size_t width : {1u, 2u, 7u, 8u, 255u, 8192u, 8193u, 151936u})
    for (const double spread : {0.5, 4.0, 60.0}) {
      const auto p = random_row(width, width, spread), q = random_row(width, width + 1, spread);
      const RowDivergence found = compare(p, q, pool);
      const double wanted = plain_divergence(p, q);
      EXPECT_NEAR(wanted, found.kl, 1e-12 * std::max(1.0, wanted)) << width << " " << spread;
      std::vector<double> log_p;
      log_softmax(p, log_p);
      const LogitPeaks peaks = find_peaks(p, pool);
      EXPECT_NEAR(log_p[0], p[0] - static_cast<double>(peaks.highest) - found.p_log_sum, 1e-11);
      EXPECT_EQ(found.p_log_sum, log_sum_exp(p, peaks, pool));
    }
}

TEST(LogitRows, SmallDivergencesAreNotLostInRounding) {
  ThreadPool pool(1);
  auto p = random_row(50000, 3, 3.0), q = p;
  for (size_t i = 0; i < q.size(); i += 2) q[i] += 1e-4f;  // KL of order 1e-9
  const double wanted = plain_divergence(p, q);
  EXPECT_LT(wanted, 1e-8);
  EXPECT_NEAR(wanted, compare(p, q, pool).kl, 1e-14);
}

TEST(LogitRows, EqualRowsDivergeByExactlyNothing) {
  ThreadPool pool(2);
  for (const double spread : {0.1, 10.0, 1000.0}) {
    const auto p = random_row(10007, 5, spread);
    EXPECT_EQ(0.0, compare(p, p, pool).kl);
  }
}

TEST(LogitRows, GiveTheSameBitsForAnyNumberOfThreads) {
  const auto p = random_row(151936, 1, 3.0), q = random_row(151936, 2, 3.0);
  ThreadPool one(1);
  const RowDivergence wanted = compare(p, q, one);
  for (const int threads : {2, 3, 7}) {
    ThreadPool pool(threads);
    const RowDivergence found = compare(p, q, pool);
    EXPECT_EQ(wanted.kl, found.kl);
    EXPECT_EQ(wanted.p_log_sum, found.p_log_sum);
    EXPECT_EQ(wanted.q_log_sum, found.q_log_sum);
    EXPECT_EQ(find_peaks(p, one).best, find_peaks(p, pool).best);
  }
}

TEST(LogitRows, FiveBestAreSortedAndTiesGoToTheLowestId) {
  ThreadPool pool(2);
  std::vector<float> row = random_row(40000, 9, 1.0);
  for (const size_t id : {39999u, 123u, 8192u}) row[id] = 9.0f;
  row[20000] = 8.0f;
  row[7] = 10.0f;
  const LogitPeaks peaks = find_peaks(row, pool);
  EXPECT_EQ((std::array<int32_t, 5>{7, 123, 8192, 39999, 20000}), peaks.best);
  EXPECT_EQ(10.0f, peaks.highest);
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto random = random_row(40000, 10, 1.0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return random[a] > random[b]; });
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(static_cast<int32_t>(order[i]), find_peaks(random, pool).best[i]);
}

TEST(LogitRows, SharedBestCountsOfWhatIsThere) {
  ThreadPool pool(1);
  const std::vector<float> p = {5, 4, 3, 2, 1, 0, 0}, q = {5, 0, 3, 0, 1, 8, 9};
  EXPECT_DOUBLE_EQ(0.6, shared_best(find_peaks(p, pool), find_peaks(q, pool)));
  const std::vector<float> small = {1, 2, 3};
  EXPECT_EQ(3, find_peaks(small, pool).best_count);
  EXPECT_DOUBLE_EQ(1.0, shared_best(find_peaks(small, pool), find_peaks(small, pool)));
}

TEST(LogitRows, InfinitiesAreProbabilitiesOfZero) {
  ThreadPool pool(1);
  const std::vector<float> p = {1, 2, -kInfinity}, q = {1, 2, 0}, r = {1, -kInfinity, 0};
  EXPECT_EQ(0.0, compare(p, p, pool).kl);
  EXPECT_NEAR(std::log((std::exp(1.0) + std::exp(2.0) + 1) / (std::exp(1.0) + std::exp(2.0))),
              compare(p, q, pool).kl, 1e-12);
  EXPECT_TRUE(std::isinf(compare(q, r, pool).kl)) << "what the reference allows and the candidate excludes";
}

TEST(LogitRows, RefusesRowsThatAreNoPrediction) {
  ThreadPool pool(1);
  EXPECT_THROW(find_peaks(std::vector<float>{1, std::nanf("")}, pool), Error);
  EXPECT_THROW(find_peaks(std::vector<float>{std::nanf(""), 1}, pool), Error);
  EXPECT_THROW(find_peaks(std::vector<float>{1, kInfinity}, pool), Error);
  EXPECT_THROW(find_peaks(std::vector<float>{-kInfinity, -kInfinity}, pool), Error);
  std::vector<float> wide(300, 0.0f);
  wide[299] = std::nanf("");
  EXPECT_THROW(find_peaks(wide, pool), Error);
}

}  // namespace
}  // namespace assay
