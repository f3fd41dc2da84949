// Pooling and normalization against values worked out by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/pooling.hpp"

namespace assay {
namespace {

/// Three tokens of width 2.
const std::vector<float> kRows = {1, -2, 3, 4, -5, 0};

std::vector<float> pool(const PoolingModes& modes, int64_t skip = 0) {
  std::vector<float> out(static_cast<size_t>(modes.count()) * 2);
  pool_rows(modes, kRows, 2, skip, out);
  return out;
}

TEST(Pooling, EachModeIsItsDefinition) {
  using V = std::vector<float>;
  const auto root3 = static_cast<float>(std::sqrt(3.0));
  EXPECT_EQ((V{1, -2}), pool({.cls = true}));
  EXPECT_EQ((V{3, 4}), pool({.max = true}));
  EXPECT_EQ((V{-1.0f / 3, 2.0f / 3}), pool({.mean = true}));
  EXPECT_EQ((V{-1 / root3, 2 / root3}), pool({.mean_sqrt_len = true}));
  EXPECT_EQ((V{(1 + 6 - 15) / 6.0f, (-2 + 8) / 6.0f}), pool({.weighted_mean = true}));
  EXPECT_EQ((V{-5, 0}), pool({.last_token = true}));
}

TEST(Pooling, ModesStandOneAfterAnotherInTheirFixedOrder) {
  PoolingModes all{true, true, true, true, true, true};
  std::vector<float> expected;
  for (const PoolingModes& one : {PoolingModes{.cls = true}, PoolingModes{.max = true},
                                  PoolingModes{.mean = true}, PoolingModes{.mean_sqrt_len = true},
                                  PoolingModes{.weighted_mean = true}, PoolingModes{.last_token = true}}) {
    const auto part = pool(one);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(expected, pool(all));
}

TEST(Pooling, APromptThatDoesNotCountIsLeftOutOfAllButTheFirstRow) {
  using V = std::vector<float>;
  EXPECT_EQ((V{1, -2}), pool({.cls = true}, 1));
  EXPECT_EQ((V{3, 4}), pool({.max = true}, 1));
  EXPECT_EQ((V{-1, 2}), pool({.mean = true}, 1));
  // Positions keep their weights: (2 · 3 - 3 · 5) / 5 and 2 · 4 / 5.
  EXPECT_EQ((V{-9 / 5.0f, 8 / 5.0f}), pool({.weighted_mean = true}, 1));
  EXPECT_EQ((V{0, 0}), pool({.mean = true}, 3));
  EXPECT_EQ((V{0, 0}), pool({.max = true}, 9));
}

TEST(Pooling, ModesTellApart) {
  // Planted: a confusion of any two modes shows on these rows.
  const std::vector<PoolingModes> modes = {{.cls = true},           {.max = true},
                                           {.mean = true},          {.mean_sqrt_len = true},
                                           {.weighted_mean = true}, {.last_token = true}};
  for (size_t a = 0; a < modes.size(); ++a)
    for (size_t b = a + 1; b < modes.size(); ++b) EXPECT_NE(pool(modes[a]), pool(modes[b])) << a << " " << b;
}

TEST(Pooling, OnlyClsAloneNeedsJustTheFirstRow) {
  EXPECT_TRUE(reads_first_row_only({.cls = true}));
  EXPECT_FALSE(reads_first_row_only({.cls = true, .mean = true}));
  EXPECT_FALSE(reads_first_row_only({.mean = true}));
}

TEST(Normalize, GivesLengthOneAndLeavesZeroAlone) {
  std::vector<float> vector = {3, 0, -4};
  normalize_length(vector);
  EXPECT_EQ((std::vector<float>{0.6f, 0, -0.8f}), vector);
  std::vector<float> zero(4, 0.0f);
  normalize_length(zero);
  EXPECT_EQ(std::vector<float>(4, 0.0f), zero);
  std::vector<float> large = {3e30f, 4e30f};  // the squares leave f32's range
  normalize_length(large);
  EXPECT_FLOAT_EQ(0.6f, large[0]);
  EXPECT_FLOAT_EQ(0.8f, large[1]);
}

}  // namespace
}  // namespace assay
