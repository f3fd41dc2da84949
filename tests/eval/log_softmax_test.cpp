#include "eval/log_softmax.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace assay {
namespace {

TEST(LogSoftmax, ProbabilitiesSumToOneAndIgnoreAShift) {
  std::vector<double> a, b;
  log_softmax(std::vector<float>{1, 2, 3, -50}, a);
  log_softmax(std::vector<float>{1001, 1002, 1003, 950}, b);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += std::exp(a[i]);
    EXPECT_DOUBLE_EQ(a[i], b[i]);
  }
  EXPECT_NEAR(1.0, sum, 1e-15);
  EXPECT_NEAR(2.0 - std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0) + std::exp(-50.0)), a[1], 1e-15);
}

TEST(LogSoftmax, RefusesNan) {
  std::vector<double> out;
  EXPECT_THROW(log_softmax(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()}, out), Error);
}

TEST(LogSoftmax, RefusesInfinityUnlessItSaysImpossible) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<double> out;
  EXPECT_THROW(log_softmax(std::vector<float>{1, kInfinity}, out), Error);
  EXPECT_THROW(log_softmax(std::vector<float>{-kInfinity, -kInfinity}, out), Error);
  log_softmax(std::vector<float>{2, -kInfinity}, out);
  EXPECT_EQ(0.0, out[0]);
  EXPECT_EQ(-std::numeric_limits<double>::infinity(), out[1]);
}

}  // namespace
}  // namespace assay
