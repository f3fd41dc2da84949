#include "base/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.hpp"

namespace assay {
namespace {

/// The value of binary16 bits by its definition: (-1)^s * 2^(e-15) * 1.m, subnormals 2^-14 * 0.m.
double f16_by_definition(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Half, EveryF16ValueDecodesByDefinition) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double expected = f16_by_definition(static_cast<uint16_t>(bits));
    const double actual = float_from_f16(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << bits;
    } else {
      ASSERT_EQ(expected, actual) << bits;
      ASSERT_EQ(std::signbit(expected), std::signbit(actual)) << bits;
    }
  }
}

TEST(Half, EveryF16ValueSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = float_from_f16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(float_from_f16(f16_from_float(value))));
    } else {
      ASSERT_EQ(bits, f16_from_float(value));
    }
  }
}

TEST(Half, F16RoundsToTheNearestAndTiesToEven) {
  // Midpoints between neighbours, over every finite exponent, and a hair on either side of them.
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = f16_by_definition(bits);
    const double high = f16_by_definition(static_cast<uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    ASSERT_EQ(even, f16_from_float(middle));
    ASSERT_EQ(bits, f16_from_float(std::nextafter(middle, 0.0f)));
    ASSERT_EQ(bits + 1, f16_from_float(std::nextafter(middle, INFINITY)));
  }
  EXPECT_EQ(0x7bff, f16_from_float(65519.996f));
  EXPECT_EQ(0x7c00, f16_from_float(65520.0f));
  EXPECT_EQ(0xfc00, f16_from_float(-INFINITY));
}

TEST(Half, Bf16RoundsToTheNearestAndTiesToEven) {
  Rng rng(1);
  for (int i = 0; i < 200000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(rng.next()));
    if (!std::isfinite(value)) continue;
    const float back = float_from_bf16(bf16_from_float(value));
    if (!std::isfinite(back)) continue;
    const float below = float_from_bf16(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
    const float above = float_from_bf16(static_cast<uint16_t>((std::bit_cast<uint32_t>(value) >> 16) + 1));
    const double error = std::abs(static_cast<double>(back) - value);
    ASSERT_LE(error, std::abs(static_cast<double>(below) - value));
    if (std::isfinite(above)) {
      ASSERT_LE(error, std::abs(static_cast<double>(above) - value));
    }
  }
  EXPECT_EQ(0x3f80, bf16_from_float(std::bit_cast<float>(0x3f808000u)));
  EXPECT_EQ(0x3f82, bf16_from_float(std::bit_cast<float>(0x3f818000u)));
  EXPECT_TRUE(std::isnan(float_from_bf16(bf16_from_float(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace assay
