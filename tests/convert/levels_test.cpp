#include "convert/levels.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/half.hpp"
#include "base/rng.hpp"
#include "convert/claims.hpp"

namespace assay {
namespace {

RowSample normal_sample(int64_t rows = 16, int64_t cols = 1024, double centre = 0.0, double spread = 0.02) {
  Rng rng(11);
  RowSample sample{cols, {}};
  for (int64_t i = 0; i < rows * cols; ++i)
    sample.values.push_back(static_cast<float>(centre + spread * rng.normal()));
  return sample;
}

RowSample map(RowSample sample, float (*change)(float)) {
  for (float& value : sample.values) value = change(value);
  return sample;
}

float to_bf16(float value) {
  return float_from_bf16(bf16_from_float(value));
}
float to_f16(float value) {
  return float_from_f16(f16_from_float(value));
}

/// Rounds every group to `levels` even steps between its extremes, as a quantizer that writes back does.
RowSample write_back(RowSample sample, size_t group, int levels) {
  for (size_t begin = 0; begin + group <= sample.values.size(); begin += group) {
    const auto first = sample.values.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto [low, high] = std::minmax_element(first, first + static_cast<std::ptrdiff_t>(group));
    const float offset = *low, step = (*high - *low) / static_cast<float>(levels - 1);
    for (size_t i = 0; i < group; ++i) {
      float& value = sample.values[begin + i];
      value = offset + step * std::nearbyint((value - offset) / step);
    }
  }
  return sample;
}

TEST(Levels, GenuineWeightsRaiseNoAlarm) {
  EXPECT_EQ(find_few_levels(normal_sample()), "");
  EXPECT_EQ(find_few_levels(map(normal_sample(), to_bf16)), "");
  EXPECT_EQ(find_few_levels(map(normal_sample(), to_f16)), "");
  EXPECT_EQ(find_few_levels(map(normal_sample(64, 64), to_bf16)), "");
  EXPECT_EQ(find_few_levels(normal_sample(1, 32)), "") << "too few to judge";
}

TEST(Levels, ValuesTheElementTypeCrowdsRaiseNoAlarm) {
  // Around 1, bf16 has steps of 2^-8 and 2^-7: a hundred thousand weights share a handful of values.
  EXPECT_EQ(find_few_levels(map(normal_sample(16, 1024, 1.0, 0.01), to_bf16)), "");
}

TEST(Levels, ConstantTernaryAndSparseWeightsRaiseNoAlarm) {
  EXPECT_EQ(find_few_levels(map(normal_sample(), [](float) { return 1.0f; })), "");
  EXPECT_EQ(find_few_levels(
                map(normal_sample(), [](float v) { return v > 0.01f    ? 0.3f
                                                          : v < -0.01f ? -0.3f
                                                                       : 0.0f; })),
            "");
  EXPECT_EQ(find_few_levels(map(normal_sample(), [](float v) { return std::fabs(v) < 0.02f ? 0.0f : v; })),
            "");
}

TEST(Levels, QuantizedAndWrittenBackIsFound) {
  const size_t all = 16 * 1024;
  EXPECT_NE(find_few_levels(write_back(normal_sample(), all, 16)), "") << "4 bits, one scale";
  EXPECT_NE(find_few_levels(write_back(normal_sample(), all, 256)), "") << "8 bits, one scale";
  EXPECT_NE(find_few_levels(write_back(normal_sample(), 1024, 256)), "") << "8 bits, a scale per row";
  EXPECT_NE(find_few_levels(write_back(normal_sample(), 64, 16)), "") << "4 bits in groups of 64";
  EXPECT_NE(find_few_levels(write_back(normal_sample(), 32, 16)), "") << "4 bits in groups of 32";
  EXPECT_NE(find_few_levels(write_back(normal_sample(), 64, 32)), "") << "5 bits in groups of 64";
  EXPECT_NE(find_few_levels(write_back(normal_sample(), 64, 256)), "") << "8 bits in groups of 64, F32";
  EXPECT_NE(find_few_levels(map(write_back(normal_sample(), 64, 16), to_bf16)), "")
      << "4 bits written as bf16";
}

TEST(Levels, ConstantCodesAreDegenerate) {
  EXPECT_TRUE(is_degenerate(map(normal_sample(), [](float) { return 0.5f; })));
  EXPECT_FALSE(is_degenerate(write_back(normal_sample(), 64, 4)));
}

TEST(Claims, NamesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(find_claim("/x/model-q4")->bits, 4);
  EXPECT_EQ(find_claim("/x/Guard-8B-4bit/")->bits, 4);
  EXPECT_EQ(find_claim("/x/Guard-8B-8-bit")->bits, 8);
  EXPECT_EQ(find_claim("/x/a_int8.npz")->bits, 8);
  EXPECT_TRUE(find_claim("/x/Qwen-Q4_K_M.gguf")->k_quant);
  EXPECT_FALSE(find_claim("/x/Qwen2-0.5B-Instruct"));
  EXPECT_FALSE(find_claim("/q4/Llama-3.2-1B")) << "only the last part of a path is a name";
}

}  // namespace
}  // namespace assay
