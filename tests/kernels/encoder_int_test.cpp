#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/encoder_int_cases.hpp"

// The integer products of the encoders: the scalar table against plain arithmetic, every other table against
// the scalar one, bit for bit.

namespace assay::test {
namespace {

constexpr float kUntouched = -12345.0f;
constexpr int64_t kGap = 5;  ///< floats between the rows of an output

const EncoderKernels& scalar_table() {
  return *available_encoder_kernels().front();
}

ProductRange whole_range(const ProductShape& shape) {
  return {.token_begin = 0, .token_end = shape.tokens, .row_begin = 0, .row_end = shape.rows};
}

/// [tokens, rows + kGap]; what no product may write holds kUntouched.
std::vector<float> blank_output(const ProductShape& shape) {
  return std::vector<float>(static_cast<size_t>(shape.tokens * (shape.rows + kGap)), kUntouched);
}

std::vector<float> run(const IntProduct& product, const EncoderKernels& kernels, const Epilogue& epilogue) {
  std::vector<float> out = blank_output(product.shape);
  product.multiply(kernels, product.pack(kernels), whole_range(product.shape), epilogue, out.data(),
                   product.shape.rows + kGap);
  return out;
}

/// The specification, value by value.
std::vector<float> expected_output(const IntProduct& product, const Epilogue& epilogue) {
  const auto [rows, cols, tokens, group_size] = product.shape;
  const int64_t groups = group_size ? cols / group_size : 1, group = cols / groups;
  std::vector<float> out = blank_output(product.shape);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = 0; r < rows; ++r) {
      const float x_scale = product.token_scales[static_cast<size_t>(t)];
      const float bias = epilogue.bias ? epilogue.bias[r] : 0.0f;
      const float start = std::fma(product.token_offsets[static_cast<size_t>(t)],
                                   product.row_sums[static_cast<size_t>(r)], bias);
      float sum = 0.0f, value = 0.0f;
      for (int64_t g = 0; g < groups; ++g) {
        int64_t exact = 0;
        for (int64_t c = g * group; c < (g + 1) * group; ++c)
          exact += int64_t{product.weight[static_cast<size_t>(r * cols + c)]} *
                   product.tokens[static_cast<size_t>(t * product.stride + c)];
        const float scale = product.scales[static_cast<size_t>(r * groups + g)];
        if (group_size == 0) value = std::fma(static_cast<float>(exact), x_scale * scale, start);
        sum = std::fma(static_cast<float>(exact), scale, sum);
      }
      if (group_size != 0) value = std::fma(sum, x_scale, start);
      if (epilogue.residual) value += epilogue.residual[t * epilogue.residual_stride + r];
      out[static_cast<size_t>(t * (rows + kGap) + r)] = value;
    }
  return out;
}

/// A shape near the edges of tiles, panels, steps and blocks.
ProductShape draw_shape(Rng& rng) {
  constexpr int64_t kSizes[] = {1,  2,  3,  5,  7,  8,  11, 12, 13, 15, 16, 17,
                                23, 31, 32, 33, 40, 47, 49, 63, 64, 65, 97};
  constexpr int64_t kCols[] = {1,  2,  3,  4,   5,   15,  31,  32,  33,  60, 63,
                               64, 65, 66, 100, 127, 128, 129, 200, 257, 384};
  constexpr int64_t kGroupCounts[] = {1, 2, 3, 4, 5, 6, 7, 12};
  ProductShape shape{.rows = kSizes[rng.below(std::size(kSizes))],
                     .cols = kCols[rng.below(std::size(kCols))],
                     .tokens = kSizes[rng.below(std::size(kSizes))]};
  shape.group_size = rng.below(2) == 0 ? 0 : rng.below(2) == 0 ? 32 : 64;
  if (shape.group_size) shape.cols = shape.group_size * kGroupCounts[rng.below(std::size(kGroupCounts))];
  return shape;
}

Epilogue draw_epilogue(const IntProduct& product, Rng& rng) {
  constexpr Activation kActivations[] = {Activation::kNone,      Activation::kNone, Activation::kGeluErf,
                                         Activation::kGeluTanh,  Activation::kRelu, Activation::kSilu,
                                         Activation::kGeluQuick, Activation::kTanh};
  return {.bias = rng.below(4) ? product.bias.data() : nullptr,
          .activation = kActivations[rng.below(std::size(kActivations))],
          .residual = rng.below(2) ? product.residual.data() : nullptr,
          .residual_stride = product.shape.rows};
}

TEST(EncoderInt, ScalarIsTheSpecification) {
  Rng rng(1);
  for (int i = 0; i < 150; ++i) {
    const IntProduct product(draw_shape(rng), rng.below(4) ? Codes::kAny : Codes::kSaturated, rng);
    Epilogue epilogue = draw_epilogue(product, rng);
    epilogue.activation = Activation::kNone;
    EXPECT_EQ(first_difference(expected_output(product, epilogue), run(product, scalar_table(), epilogue)),
              "")
        << shape_name(product.shape);
  }
}

class EncoderIntTable : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (const EncoderKernels* candidate : available_encoder_kernels())
      if (candidate->isa == GetParam()) table_ = candidate;
    if (table_ == nullptr) GTEST_SKIP() << "this processor or build has no " << GetParam();
  }
  const EncoderKernels* table_ = nullptr;
};

TEST_P(EncoderIntTable, ProductsAreThoseOfScalar) {
  Rng rng(2);
  for (int i = 0; i < 500; ++i) {
    const IntProduct product(draw_shape(rng), rng.below(4) ? Codes::kAny : Codes::kSaturated, rng);
    const Epilogue epilogue = draw_epilogue(product, rng);
    ASSERT_EQ(first_difference(run(product, scalar_table(), epilogue), run(product, *table_, epilogue)), "")
        << shape_name(product.shape) << " " << static_cast<int>(epilogue.activation);
  }
}

TEST_P(EncoderIntTable, LargeProductsAreThoseOfScalar) {
  Rng rng(3);
  // More tokens than any block of them; codes that fill the second-level cache; the longest sums.
  for (const ProductShape& shape : {ProductShape{40, 3072, 733}, ProductShape{40, 768, 517, 64},
                                    ProductShape{33, 384, 500, 32}, ProductShape{2, 131072, 3}}) {
    for (const Codes codes : {Codes::kAny, Codes::kSaturated}) {
      IntProduct product(shape, codes, rng);
      if (shape.rows == 2 && codes == Codes::kSaturated) {
        static_assert(int64_t{131072} * 128 * 127 <= std::numeric_limits<int32_t>::max());
        std::fill(product.tokens.begin(), product.tokens.end(), int8_t{-128});
        std::fill(product.weight.begin(), product.weight.end(), int8_t{127});
        std::fill_n(product.weight.begin(), shape.cols, int8_t{-127});
      }
      const Epilogue epilogue{.bias = product.bias.data()};
      EXPECT_EQ(first_difference(run(product, scalar_table(), epilogue), run(product, *table_, epilogue)), "")
          << shape_name(shape);
    }
  }
}

/// Cuts [0, end) at random multiples of `unit`.
std::vector<int64_t> draw_cuts(int64_t end, int64_t unit, Rng& rng) {
  std::vector<int64_t> cuts = {0};
  for (int64_t at = unit; at < end; at += unit)
    if (rng.below(3) == 0) cuts.push_back(at);
  cuts.push_back(end);
  return cuts;
}

TEST_P(EncoderIntTable, SplitsChangeNothing) {
  Rng rng(4);
  for (int i = 0; i < 60; ++i) {
    const IntProduct product(draw_shape(rng), Codes::kAny, rng);
    const Epilogue epilogue = draw_epilogue(product, rng);
    const auto panels = product.pack(*table_);
    std::vector<float> out = blank_output(product.shape);
    const auto rows = draw_cuts(product.shape.rows, kPanelRows, rng);
    const auto tokens = draw_cuts(product.shape.tokens, 1, rng);
    for (size_t r = 0; r + 1 < rows.size(); ++r)
      for (size_t t = 0; t + 1 < tokens.size(); ++t)
        product.multiply(*table_, panels, {tokens[t], tokens[t + 1], rows[r], rows[r + 1]}, epilogue,
                         out.data(), product.shape.rows + kGap);
    ASSERT_EQ(first_difference(run(product, scalar_table(), epilogue), out), "") << shape_name(product.shape);
  }
}

TEST_P(EncoderIntTable, RowsMayEndWithinAPanel) {
  Rng rng(5);
  for (const int64_t group_size : {0, 64}) {
    const IntProduct product({.rows = 96, .cols = 128, .tokens = 20, .group_size = group_size}, Codes::kAny,
                             rng);
    const auto panels = product.pack(*table_), scalar_panels = product.pack(scalar_table());
    for (int64_t end = 33; end <= 96; ++end) {
      std::vector<float> expected = blank_output(product.shape), found = expected;
      const ProductRange range{.token_begin = 1, .token_end = 19, .row_begin = 32, .row_end = end};
      product.multiply(scalar_table(), scalar_panels, range, {}, expected.data(), 96 + kGap);
      product.multiply(*table_, panels, range, {}, found.data(), 96 + kGap);
      ASSERT_EQ(first_difference(expected, found), "") << end;
    }
  }
}

TEST_P(EncoderIntTable, TheResidualMayBeTheOutput) {
  Rng rng(6);
  for (const int64_t group_size : {0, 32}) {
    const IntProduct product({.rows = 70, .cols = 96, .tokens = 37, .group_size = group_size}, Codes::kAny,
                             rng);
    Epilogue epilogue{.bias = product.bias.data(),
                      .activation = Activation::kGeluErf,
                      .residual = product.residual.data(),
                      .residual_stride = 70};
    std::vector<float> expected(product.residual.size()), in_place = product.residual;
    product.multiply(*table_, product.pack(*table_), whole_range(product.shape), epilogue, expected.data(),
                     70);
    epilogue.residual = in_place.data();
    product.multiply(*table_, product.pack(*table_), whole_range(product.shape), epilogue, in_place.data(),
                     70);
    EXPECT_EQ(first_difference(expected, in_place), "");
  }
}

TEST_P(EncoderIntTable, ATokenOfNanGivesNanAndSparesTheOthers) {
  Rng rng(7);
  for (const int64_t group_size : {0, 64}) {
    IntProduct product({.rows = 35, .cols = 128, .tokens = 18, .group_size = group_size}, Codes::kAny, rng);
    product.token_scales[5] = product.token_offsets[5] = std::numeric_limits<float>::quiet_NaN();
    product.token_scales[6] = product.token_offsets[6] = 0.0f;
    const std::vector<float> out = run(product, *table_, {.bias = product.bias.data()});
    for (size_t r = 0; r < 35; ++r) {
      EXPECT_TRUE(std::isnan(out[5 * (35 + kGap) + r]));
      EXPECT_EQ(out[6 * (35 + kGap) + r], product.bias[r]);
      EXPECT_TRUE(std::isfinite(out[7 * (35 + kGap) + r]));
    }
  }
}

/// gelu (erf) of x behind a product that is the bias alone.
std::vector<float> coarse_activation(const EncoderKernels& table, Activation activation,
                                     const std::vector<float>& x) {
  const auto rows = static_cast<int64_t>(x.size());
  const std::vector<int8_t> weight(x.size()), codes(64);
  const std::vector<float> zeros(x.size());
  std::vector<std::byte> panels(table.int8_panel_bytes(rows, 1));
  table.pack_int8(weight.data(), rows, 1, panels.data());
  std::vector<float> out(x.size());
  table.multiply_int8(panels.data(), zeros.data(), zeros.data(), rows, 1,
                      {codes.data(), zeros.data(), zeros.data(), 64}, {0, 1, 0, rows},
                      {.bias = x.data(), .activation = activation}, out.data(), rows);
  return out;
}

TEST_P(EncoderIntTable, GeluIsAsCoarseAsItSays) {
  std::vector<float> x = {1e6f, -1e6f, 0.0f, -0.0f, 4.25f, -4.25f, 1e-30f};
  for (int i = -12000; i <= 12000; ++i) x.push_back(static_cast<float>(i) * 1e-3f);
  const auto worst = [&](Activation activation) {
    const std::vector<float> out = coarse_activation(*table_, activation, x);
    double most = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = x[i] / 2.0 * std::erfc(-x[i] / std::sqrt(2.0));
      most = std::max(most, std::abs(out[i] - exact));
    }
    return most;
  };
  EXPECT_LE(worst(Activation::kGeluErf), 6e-5);
  // The tanh form in its place, which differs by 5e-4, is seen.
  EXPECT_GT(worst(Activation::kGeluTanh), 6e-5);
}

/// One code changed by one must show in exactly its row, or the comparisons above prove nothing.
TEST_P(EncoderIntTable, AWrongCodeIsFound) {
  Rng rng(8);
  for (const int64_t group_size : {0, 64}) {
    const IntProduct product({.rows = 34, .cols = 192, .tokens = 17, .group_size = group_size}, Codes::kAny,
                             rng);
    for (const int64_t column : {0, 63, 64, 191}) {
      IntProduct damaged = product;
      int8_t& code = damaged.weight[static_cast<size_t>(33 * 192 + column)];
      code = static_cast<int8_t>(code > 0 ? code - 1 : code + 1);
      damaged.tokens[static_cast<size_t>(16 * damaged.stride + column)] = 100;
      IntProduct sound = product;
      sound.tokens = damaged.tokens;
      EXPECT_NE(first_difference(run(sound, scalar_table(), {}), run(damaged, *table_, {})), "") << column;
    }
  }
}

/// The same of a row's sum and a token's offset.
TEST_P(EncoderIntTable, AWrongStartIsFound) {
  Rng rng(12);
  for (const int64_t group_size : {0, 64}) {
    const IntProduct product({.rows = 34, .cols = 64, .tokens = 17, .group_size = group_size}, Codes::kAny,
                             rng);
    const std::vector<float> sound = run(product, scalar_table(), {});
    IntProduct of_row = product, of_token = product;
    of_row.row_sums[33] += 0.01f;
    of_token.token_offsets[16] += 0.01f;
    EXPECT_NE(first_difference(sound, run(of_row, *table_, {})), "");
    EXPECT_NE(first_difference(sound, run(of_token, *table_, {})), "");
  }
}

/// Tokens that try every branch of the quantization.
std::vector<float> draw_tokens(int64_t tokens, int64_t cols, int64_t stride, Rng& rng) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kSpecial[] = {
      0.0f,    -0.0f,  1e-42f, -1e-30f,   0x1p-100f,  0x1.fffffep-101f,
      3.4e38f, -3e38f, 127.0f, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> x(static_cast<size_t>(tokens * stride), 7777.0f);
  for (int64_t t = 0; t < tokens; ++t) {
    const uint64_t kind = rng.below(5);
    const float fill = kSpecial[rng.below(std::size(kSpecial))];
    for (int64_t c = 0; c < cols; ++c) {
      float& value = x[static_cast<size_t>(t * stride + c)];
      // Halves of a code where the span is 255: ties.
      value = kind == 0   ? fill
              : kind == 1 ? static_cast<float>(rng.below(511)) * 0.5f - 127.0f
                          : static_cast<float>(rng.normal());
    }
    if (kind == 1 && cols > 1) {
      x[static_cast<size_t>(t * stride)] = -127.0f;
      x[static_cast<size_t>(t * stride + 1)] = 128.0f;
    }
    if (kind == 2)
      x[static_cast<size_t>(t * stride + static_cast<int64_t>(rng.below(static_cast<uint64_t>(cols))))] =
          fill;
  }
  return x;
}

struct Quantized {
  std::vector<int8_t> codes;
  std::vector<float> scales, offsets;
};

Quantized quantize(const EncoderKernels& kernels, const std::vector<float>& x, int64_t tokens, int64_t cols,
                   int64_t x_stride, int64_t stride) {
  Quantized result{std::vector<int8_t>(static_cast<size_t>(tokens * stride), int8_t{99}),
                   std::vector<float>(static_cast<size_t>(tokens)),
                   std::vector<float>(static_cast<size_t>(tokens))};
  kernels.quantize_tokens(x.data(), x_stride, tokens, cols, result.codes.data(), stride, result.scales.data(),
                          result.offsets.data());
  return result;
}

TEST_P(EncoderIntTable, QuantizedTokensAreThoseOfScalar) {
  Rng rng(9);
  for (int64_t cols = 1; cols < 200; ++cols) {
    constexpr int64_t kTokens = 12;
    const int64_t x_stride = cols + 3, stride = (cols + 63) / 64 * 64 + (cols % 2 ? 64 : 0);
    const std::vector<float> x = draw_tokens(kTokens, cols, x_stride, rng);
    const Quantized expected = quantize(scalar_table(), x, kTokens, cols, x_stride, stride);
    const Quantized found = quantize(*table_, x, kTokens, cols, x_stride, stride);
    ASSERT_EQ(expected.codes, found.codes) << cols;
    ASSERT_EQ(first_difference(expected.scales, found.scales), "") << cols;
    ASSERT_EQ(first_difference(expected.offsets, found.offsets), "") << cols;
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, EncoderIntTable, testing::Values("scalar", "avx2", "avx512vnni", "amx"),
                         [](const auto& table) { return std::string(table.param); });

/// A token's values must lie within half a step of what its codes say, besides the roundings on the way, of
/// 2^-24 each: the fma's of at most 128; the difference's, the two quotients' and the span's of at most 255
/// steps; the offset's. Empty where they do.
std::string first_bad_code(const std::vector<float>& x, const Quantized& result, int64_t cols, int64_t stride,
                           int64_t token) {
  constexpr double kHalfStep = 0.5 + (128 + 4 * 255) * 0x1p-24;
  const double scale = result.scales[static_cast<size_t>(token)];
  const double offset = result.offsets[static_cast<size_t>(token)];
  int lowest = 127, highest = -128;
  for (int64_t c = 0; c < cols; ++c) {
    const int code = result.codes[static_cast<size_t>(token * stride + c)];
    lowest = std::min(lowest, code);
    highest = std::max(highest, code);
    const double error = x[static_cast<size_t>(token * cols + c)] - (scale * code + offset);
    if (std::abs(error) > scale * kHalfStep + std::abs(offset) * 0x1p-24)
      return "column " + std::to_string(c) + " errs by " + std::to_string(error / scale) + " steps";
  }
  return lowest == -128 && highest == 127 ? "" : "codes do not reach the ends";
}

TEST(EncoderInt, QuantizationErrsByHalfAStep) {
  Rng rng(10);
  constexpr int64_t kTokens = 40, kCols = 77, kStride = 128;
  std::vector<float> x(kTokens * kCols);
  for (int64_t t = 0; t < kTokens; ++t) {
    const double size = std::exp2(static_cast<double>(rng.below(60)) - 30.0), shift = rng.normal() * 3.0;
    for (int64_t c = 0; c < kCols; ++c)
      x[static_cast<size_t>(t * kCols + c)] = static_cast<float>((rng.normal() + shift) * size);
  }
  const Quantized result = quantize(scalar_table(), x, kTokens, kCols, kCols, kStride);
  for (int64_t t = 0; t < kTokens; ++t) {
    EXPECT_EQ(first_bad_code(x, result, kCols, kStride, t), "") << t;
    for (int64_t c = kCols; c < kStride; ++c)
      ASSERT_EQ(result.codes[static_cast<size_t>(t * kStride + c)], 0);
  }
  Quantized damaged = result;
  damaged.offsets[3] = static_cast<float>(damaged.offsets[3] - damaged.scales[3]);  // lo + 127 * scale
  EXPECT_NE(first_bad_code(x, damaged, kCols, kStride, 3), "");
}

/// What a token that cannot span 255 steps becomes: `value` in every column, then `last` in the last.
void expect_without_codes(float value, float last, float scale, float offset) {
  for (const EncoderKernels* table : available_encoder_kernels())
    for (const int64_t cols : {1, 2, 16, 31, 64, 77}) {
      std::vector<float> x(static_cast<size_t>(cols), value);
      if (cols > 1) x.back() = last;
      if (cols == 1 && last != value) continue;
      const Quantized result = quantize(*table, x, 1, cols, cols, 128);
      EXPECT_EQ(first_difference({scale, offset}, {result.scales[0], result.offsets[0]}), "")
          << table->isa << " " << cols << " columns of " << value << " and " << last;
      EXPECT_EQ(result.codes, std::vector<int8_t>(128, int8_t{0}));
    }
}

TEST(EncoderInt, ConstantTokensAreExact) {
  for (const float value : {0.0f, 1e-42f, -1e-30f, 1.0f, -0.3f, 3.4e38f, -3e38f})
    expect_without_codes(value, value, 0.0f, value);
  expect_without_codes(-0.0f, -0.0f, 0.0f, 0.0f);
  expect_without_codes(0.0f, -0.0f, 0.0f, 0.0f);
  expect_without_codes(-0.0f, 0.0f, 0.0f, 0.0f);
  expect_without_codes(0.0f, 0x1.fffffep-101f, 0.0f, 0.0f);
}

TEST(EncoderInt, TokensWithoutARangeAreNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float value : {kInfinity, -kInfinity, kNan}) {
    expect_without_codes(value, value, kNan, kNan);
    expect_without_codes(1.0f, value, kNan, kNan);
    expect_without_codes(value, 1.0f, kNan, kNan);
  }
  expect_without_codes(kInfinity, -kInfinity, kNan, kNan);
  expect_without_codes(3e38f, -3e38f, kNan, kNan);  // the span overflows
}

/// From values to a product: what the codes err by is all that it errs by.
TEST(EncoderInt, ProductsOfShiftedTokensAreNear) {
  Rng rng(11);
  constexpr int64_t kRows = 33, kCols = 192, kTokens = 9;
  IntProduct product({.rows = kRows, .cols = kCols, .tokens = kTokens}, Codes::kAny, rng);
  std::vector<float> x(kTokens * kCols);
  for (float& value : x) value = static_cast<float>(rng.normal() + 2.0);
  scalar_table().quantize_tokens(x.data(), kCols, kTokens, kCols, product.tokens.data(), product.stride,
                                 product.token_scales.data(), product.token_offsets.data());
  const auto weight = [&](int64_t r, int64_t c) {
    return double{product.scales[static_cast<size_t>(r)]} *
           product.weight[static_cast<size_t>(r * kCols + c)];
  };
  for (int64_t r = 0; r < kRows; ++r) {
    double sum = 0.0;
    for (int64_t c = 0; c < kCols; ++c) sum += weight(r, c);
    product.row_sums[static_cast<size_t>(r)] = static_cast<float>(sum);
  }
  const std::vector<float> out = run(product, scalar_table(), {});
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t r = 0; r < kRows; ++r) {
      const double scale = product.token_scales[static_cast<size_t>(t)];
      double exact = 0.0, magnitude = 0.0;
      for (int64_t c = 0; c < kCols; ++c) {
        exact += weight(r, c) * x[static_cast<size_t>(t * kCols + c)];
        magnitude += std::abs(weight(r, c));
      }
      // Half a step of every column, and of f32's roundings fewer than eight, each of at most what 255 steps
      // and the offset amount to.
      const double offset = std::abs(product.token_offsets[static_cast<size_t>(t)]);
      const double bound = magnitude * (0.5001 * scale + 8 * 0x1p-24 * (255 * scale + offset));
      ASSERT_LE(std::abs(out[static_cast<size_t>(t * (kRows + kGap) + r)] - exact), bound) << t << " " << r;
    }
}

TEST(EncoderInt, PanelsTakeNoMoreThanTheirCodes) {
  for (const EncoderKernels* table : available_encoder_kernels()) {
    EXPECT_EQ(table->int8_panel_bytes(768, 3072), size_t{768 * 3072}) << table->isa;
    EXPECT_EQ(table->int4_panel_bytes(768, 3072), size_t{768 * 3072 / 2}) << table->isa;
  }
}

}  // namespace
}  // namespace assay::test
