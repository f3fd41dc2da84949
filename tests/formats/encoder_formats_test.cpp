// int8 and int4: known rows worked out by hand, the layout byte by byte, and what the search of int4 gains.
#include <gtest/gtest.h>

#include <cmath>

#include "base/half.hpp"
#include "formats/cases.hpp"

namespace assay::test {
namespace {

using Row = std::vector<float>;

float f32_at(const std::vector<std::byte>& bytes, size_t index) {
  float value;
  std::memcpy(&value, bytes.data() + index * 4, sizeof value);
  return value;
}

float f16_at(const std::vector<std::byte>& bytes, size_t index) {
  uint16_t bits;
  std::memcpy(&bits, bytes.data() + index * 2, sizeof bits);
  return float_from_f16(bits);
}

int signed_byte(std::byte byte) {
  return static_cast<int8_t>(std::to_integer<uint8_t>(byte));
}

TEST(Int8, ScaleIsTheLargestOver127AndTiesGoToEven) {
  // scale 1: codes are the values, halves to the even neighbour.
  const Row source = {127.0f, -127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f, 0.0f, -3.25f};
  const Packed packed = pack(int8_format(), source);
  ASSERT_EQ(packed.codes.size(), source.size());
  ASSERT_EQ(packed.scales.size(), 4u);
  EXPECT_EQ(f32_at(packed.scales, 0), 1.0f);
  const int expected[] = {127, -127, 0, 2, 2, 0, -2, 126, 0, -3};
  for (size_t i = 0; i < source.size(); ++i) EXPECT_EQ(signed_byte(packed.codes[i]), expected[i]) << i;
}

TEST(Int8, ARowOfZerosHasScaleOne) {
  const Packed packed = pack(int8_format(), Row(7, 0.0f));
  EXPECT_EQ(f32_at(packed.scales, 0), 1.0f);
  for (const std::byte code : packed.codes) EXPECT_EQ(code, std::byte{0});
}

TEST(Int8, TheScaleIsNotRoundedAndMinus128NeverOccurs) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Row source = normal_values(seed, 33, 0.02);
    const Packed packed = pack(int8_format(), source);
    float largest = 0;
    for (const float value : source) largest = std::max(largest, std::abs(value));
    EXPECT_EQ(f32_at(packed.scales, 0), largest / 127.0f);
    int most = 0;
    for (const std::byte code : packed.codes) most = std::max(most, std::abs(signed_byte(code)));
    EXPECT_EQ(most, 127);
  }
}

TEST(Int4, FirstValueLiesInTheLowNibble) {
  Row source(32, 0.0f);
  source[0] = -8.0f, source[1] = 7.0f, source[2] = 3.0f, source[3] = -1.0f;
  const Packed packed = pack(int4_format(32), source);
  ASSERT_EQ(packed.codes.size(), 16u);
  ASSERT_EQ(packed.scales.size(), 2u);
  EXPECT_EQ(f16_at(packed.scales, 0), 1.0f);
  EXPECT_EQ(packed.codes[0], std::byte{0xf0});
  EXPECT_EQ(packed.codes[1], std::byte{0x7b});
  EXPECT_EQ(packed.codes[2], std::byte{0x88});
  EXPECT_EQ(unpack(int4_format(32), packed, 32), source);
}

TEST(Int4, ALargestPositiveValueTakesTheLongerSide) {
  Row source(64, 0.0f);
  source[9] = 8.0f, source[10] = -7.0f, source[11] = 1.0f;
  const Packed packed = pack(int4_format(64), source);
  EXPECT_EQ(f16_at(packed.scales, 0), -1.0f);
  EXPECT_EQ(unpack(int4_format(64), packed, 64), source);
}

/// Codes nearest under f16(extreme / divisor), decoded: what packing without a search would give.
double error_without_search(const Row& source, float divisor, int group) {
  double sum = 0;
  for (size_t at = 0; at < source.size(); at += static_cast<size_t>(group)) {
    float extreme = 0;
    for (int i = 0; i < group; ++i) {
      const float value = source[at + static_cast<size_t>(i)];
      if (std::abs(value) > std::abs(extreme)) extreme = value;
    }
    const float scale = float_from_f16(f16_from_float(extreme / divisor));
    for (int i = 0; i < group; ++i) {
      const float value = source[at + static_cast<size_t>(i)];
      const float code = std::min(std::max(std::nearbyint(value / scale), -8.0f), 7.0f);
      sum += std::pow(double{code * scale} - value, 2);
    }
  }
  return sum;
}

TEST(Int4, TheSearchBeatsEveryPlainRule) {
  for (const int group : {32, 64}) {
    const Row source = normal_values(41, 64 * 500, 0.02);
    const double searched = squared_error(
        unpack(int4_format(group), pack(int4_format(group), source), static_cast<int64_t>(source.size())),
        source);
    for (const float divisor : {-8.0f, 8.0f, 7.0f, -7.0f})
      EXPECT_LT(searched, 0.93 * error_without_search(source, divisor, group))
          << group << " over " << divisor;
  }
}

TEST(Int4, NoTrialOfAFinerScanIsMuchBetter) {
  // A scan of 2000 scales of either sign, in double: what the 35 trials may miss.
  const int group = 64;
  const Row source = normal_values(43, group * 40, 0.02);
  const Row values = unpack(int4_format(group), pack(int4_format(group), source), group * 40);
  double found = 0, best_sum = 0;
  for (int g = 0; g < 40; ++g) {
    const Row x(source.begin() + g * group, source.begin() + (g + 1) * group);
    found += squared_error({values.begin() + g * group, values.begin() + (g + 1) * group}, x);
    double best = 1e9;
    for (int step = 1; step <= 2000; ++step) {
      for (const double sign : {-1.0, 1.0}) {
        const double scale = sign * 0.02 * step / 2000.0;
        double sum = 0;
        for (const float value : x) {
          const double code = std::min(std::max(std::nearbyint(value / scale), -8.0), 7.0);
          sum += std::pow(code * scale - value, 2);
        }
        best = std::min(best, sum);
      }
    }
    best_sum += best;
  }
  EXPECT_LT(found, best_sum * 1.03);
}

}  // namespace
}  // namespace assay::test
