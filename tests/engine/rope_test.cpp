#include "engine/rope.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

TEST(Rope, PlainFrequenciesFallFromOneByPowersOfTheBase) {
  const RopeFrequencies f = rope_frequencies({.base = 10000.0, .dim = 8}, 0);
  ASSERT_EQ(4u, f.values.size());
  EXPECT_EQ(1.0f, f.values[0]);
  EXPECT_FLOAT_EQ(0.1f, f.values[1]);
  EXPECT_FLOAT_EQ(0.001f, f.values[3]);
  EXPECT_EQ(1.0f, f.amplitude);
}

TEST(Rope, RotationKeepsLengthsAndDependsOnDistanceOnly) {
  const RopeFrequencies f = rope_frequencies({.base = 100.0, .dim = 4}, 0);
  const auto product = [&](int64_t p, int64_t q, bool interleaved) {
    std::vector<float> a = {1, 2, 3, 4}, b = {-2, 1, 0.5f, 3};
    rotate_head(a, rope_angles(f, p), interleaved);
    rotate_head(b, rope_angles(f, q), interleaved);
    double sum = 0;
    for (size_t i = 0; i < 4; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  };
  for (const bool interleaved : {false, true}) {
    EXPECT_NEAR(product(3, 1, interleaved), product(13, 11, interleaved), 1e-5);
    EXPECT_GT(std::abs(product(3, 1, interleaved) - product(3, 2, interleaved)), 1e-3);
  }
}

TEST(Rope, InterleavedIsHalfSplitWithRowsPermuted) {
  // llama.cpp stores row p·dim/2 + j of a head at 2j + p; the rotation must commute with that.
  const RopeAngles angles = rope_angles(rope_frequencies({.base = 100.0, .dim = 8}, 0), 5);
  std::vector<float> split = {1, 2, 3, 4, 5, 6, 7, 8}, interleaved(8);
  for (size_t j = 0; j < 4; ++j) {
    interleaved[2 * j] = split[j];
    interleaved[2 * j + 1] = split[4 + j];
  }
  rotate_head(split, angles, false);
  rotate_head(interleaved, angles, true);
  for (size_t j = 0; j < 4; ++j) {
    EXPECT_EQ(split[j], interleaved[2 * j]);
    EXPECT_EQ(split[4 + j], interleaved[2 * j + 1]);
  }
}

TEST(Rope, StoredFactorsAreTheLlama3Scaling) {
  RopeConfig rope{.base = 500000.0,
                  .dim = 64,
                  .scaling = RopeConfig::Scaling::kLlama3,
                  .factor = 32.0,
                  .original_context = 8192};
  const RopeFrequencies scaled = rope_frequencies(rope, 0);
  rope.scaling = RopeConfig::Scaling::kNone;
  const RopeFrequencies plain = rope_frequencies(rope, 0);
  EXPECT_EQ(plain.values.front(), scaled.values.front());
  EXPECT_FLOAT_EQ(plain.values.back() / 32.0f, scaled.values.back());
  rope.scaling = RopeConfig::Scaling::kFactors;
  for (size_t i = 0; i < plain.values.size(); ++i) rope.factors.push_back(plain.values[i] / scaled.values[i]);
  const RopeFrequencies stored = rope_frequencies(rope, 0);
  for (size_t i = 0; i < plain.values.size(); ++i) EXPECT_FLOAT_EQ(scaled.values[i], stored.values[i]);
}

}  // namespace
}  // namespace assay
