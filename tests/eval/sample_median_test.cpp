#include "eval/sample_median.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace assay {
namespace {

std::vector<double> counting(size_t n) {
  std::vector<double> values(n);
  std::iota(values.rbegin(), values.rend(), 1.0);  // n, …, 1: order must not matter
  return values;
}

TEST(SampleMedian, FiveValuesShowNothingAndSixTheirRange) {
  const Estimate five = sample_median(counting(5)), six = sample_median(counting(6));
  EXPECT_EQ(five.value, 3.0);
  EXPECT_TRUE(std::isinf(five.low) && std::isinf(five.high));  // 2 · (1/2)^5 = 6.25 %
  EXPECT_EQ(six.value, 3.5);
  EXPECT_EQ(six.low, 1.0);  // 2 · (1/2)^6 = 3.1 %
  EXPECT_EQ(six.high, 6.0);
}

/// Tables of the sign test: for n = 9 the second and the eighth value (2 · 10/512 = 3.9 %), for n = 20 the
/// sixth and the fifteenth (4.1 %).
TEST(SampleMedian, OrderStatisticsOfTheTables) {
  const Estimate nine = sample_median(counting(9)), twenty = sample_median(counting(20));
  EXPECT_EQ(nine.low, 2.0);
  EXPECT_EQ(nine.high, 8.0);
  EXPECT_EQ(twenty.low, 6.0);
  EXPECT_EQ(twenty.high, 15.0);
  EXPECT_EQ(twenty.n, 20);
}

}  // namespace
}  // namespace assay
