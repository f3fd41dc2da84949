#include <gtest/gtest.h>

#include <limits>

#include "formats/format.hpp"
#include "kernels/cases.hpp"

// Every table gives the bits of the scalar one, and no result depends on how the work is split.

namespace assay::test {
namespace {

const KernelTable& scalar() {
  return *available_kernels().front();
}

std::vector<float> decode(const KernelTable& table, const WeightView& weight, int64_t row) {
  std::vector<float> out(static_cast<size_t>(weight.cols));
  table.dequantize_row(weight.format, packed_row(weight, row), weight.cols, out.data());
  return out;
}

/// Row lengths that leave every kind of rest behind: one block, three, 7 quads, odd numbers for plain rows.
std::vector<int64_t> row_lengths(const WeightFormat& format) {
  const int64_t block = block_length(format);
  if (block == 1) return {1, 15, 16, 33, 100, 576};
  if (block == 256) return {256, 768, 2048};
  return {block, 3 * block, 5 * block, 896, 1152};
}

class Differential : public testing::TestWithParam<Draw> {};
INSTANTIATE_TEST_SUITE_P(Draws, Differential, testing::Values(Draw::kOrdinary, Draw::kExtreme),
                         [](const auto& draw) {
                           return draw.param == Draw::kOrdinary ? "Ordinary" : "Extreme";
                         });

TEST_P(Differential, DecodedRowsAreTheFormatsOwn) {
  Rng rng(11);
  for (const WeightFormat& format : kernel_formats())
    for (const int64_t cols : row_lengths(format)) {
      const RandomWeight weight(format, 2, cols, GetParam(), rng, 1);
      for (int64_t row = 0; row < 2; ++row) {
        std::vector<float> expected(static_cast<size_t>(cols));
        format_ops(format).dequantize_row(format, packed_row(weight.view(), row), cols, expected.data());
        for (const KernelTable* table : available_kernels())
          ASSERT_EQ(first_difference(expected, decode(*table, weight.view(), row)), "")
              << table->isa << " " << case_name(format, row, cols);
      }
    }
}

TEST_P(Differential, QuantizedActivationsAreEqual) {
  Rng rng(12);
  for (const int64_t cols : {32, 64, 96, 128, 160, 896, 11008}) {
    std::vector<float> x = random_activations(cols, GetParam(), rng);
    if (cols == 896) {
      x[5] = std::numeric_limits<float>::quiet_NaN();
      x[70] = -std::numeric_limits<float>::infinity();
    }
    const QuantizedTokens expected(scalar(), x, 1, cols);
    for (const KernelTable* table : available_kernels()) {
      const QuantizedTokens actual(*table, x, 1, cols);
      EXPECT_EQ(expected.codes(), actual.codes()) << table->isa;
      EXPECT_EQ(expected.sums(), actual.sums()) << table->isa;
      EXPECT_EQ(first_difference(expected.scales(), actual.scales()), "") << table->isa;
    }
  }
}

TEST_P(Differential, FastProductsAreEqual) {
  Rng rng(13);
  for (const WeightFormat& format : integer_formats())
    for (const int64_t cols : row_lengths(format)) {
      const int64_t rows = 1 + static_cast<int64_t>(rng.below(7)), tokens = 1 + rng.below(9);
      const RandomWeight weight(format, rows, cols, GetParam(), rng, rng.below(2));
      const QuantizedTokens x(scalar(), random_activations(tokens * cols, GetParam(), rng), tokens, cols);
      const std::vector<float> expected = run_fast(scalar(), weight.view(), x, tokens, rows + 3);
      for (const KernelTable* table : available_kernels())
        ASSERT_EQ(first_difference(expected, run_fast(*table, weight.view(), x, tokens, rows + 3)), "")
            << table->isa << " " << case_name(format, rows, cols) << " tokens " << tokens;
    }
}

/// Enough tokens for panels, in blocks that are full and not; rows that fill strips and do not.
TEST_P(Differential, FastProductsOfManyTokensAreEqual) {
  Rng rng(18);
  for (const WeightFormat& format : integer_formats())
    for (const int64_t cols : row_lengths(format)) {
      const int64_t rows = 1 + rng.below(40), tokens = 16 + rng.below(25);
      const RandomWeight weight(format, rows, cols, GetParam(), rng, rng.below(2));
      const QuantizedTokens x(scalar(), random_activations(tokens * cols, GetParam(), rng), tokens, cols);
      const std::vector<float> expected = run_fast(scalar(), weight.view(), x, tokens, rows + 3);
      for (const KernelTable* table : available_kernels())
        ASSERT_EQ(first_difference(expected, run_fast(*table, weight.view(), x, tokens, rows + 3)), "")
            << table->isa << " " << case_name(format, rows, cols) << " tokens " << tokens;
    }
}

TEST_P(Differential, ExactProductsAreEqual) {
  Rng rng(14);
  for (const WeightFormat& format : kernel_formats())
    for (const int64_t cols : row_lengths(format)) {
      const int64_t rows = 1 + static_cast<int64_t>(rng.below(7)), tokens = 1 + rng.below(9);
      const RandomWeight weight(format, rows, cols, GetParam(), rng, rng.below(2));
      const std::vector<float> x = random_activations(tokens * cols, GetParam(), rng);
      const std::vector<float> expected = run_exact(scalar(), weight.view(), x, tokens, rows + 3);
      for (const KernelTable* table : available_kernels())
        ASSERT_EQ(first_difference(expected, run_exact(*table, weight.view(), x, tokens, rows + 3)), "")
            << table->isa << " " << case_name(format, rows, cols) << " tokens " << tokens;
    }
}

/// Enough tokens for float panels, in tiles that are full and not; rows that fill them and do not.
TEST_P(Differential, ExactProductsOfManyTokensAreEqual) {
  Rng rng(22);
  for (const WeightFormat& format : kernel_formats())
    for (const int64_t cols : row_lengths(format)) {
      const int64_t rows = 1 + rng.below(20), tokens = 16 + rng.below(12);
      const RandomWeight weight(format, rows, cols, GetParam(), rng, rng.below(2));
      const std::vector<float> x = random_activations(tokens * cols, GetParam(), rng);
      const std::vector<float> expected = run_exact(scalar(), weight.view(), x, tokens, rows + 3);
      for (const KernelTable* table : available_kernels())
        ASSERT_EQ(first_difference(expected, run_exact(*table, weight.view(), x, tokens, rows + 3)), "")
            << table->isa << " " << case_name(format, rows, cols) << " tokens " << tokens;
    }
}

/// Scores and mixtures are those of one dot or add_scaled after the other.
TEST(Kernels, AttentionOfSharedKeysIsThatOfEachQuery) {
  Rng rng(20);
  for (const int64_t dim : {8, 16, 40, 64, 80, 128})
    for (const int64_t queries : {1, 2, 3, 4, 7, 8})
      for (const int64_t keys : {1, 3, 4, 15, 33}) {
        const std::vector<float> q = random_activations(queries * (dim + 5), Draw::kOrdinary, rng);
        const std::vector<float> k = random_activations(keys * dim, Draw::kOrdinary, rng);
        std::vector<uint16_t> k16(k.size());
        scalar().f16_from_f32(k.data(), keys * dim, k16.data());
        const auto stride = keys + 2, out_stride = dim + 3;
        const Queries shared{q.data(), dim + 5, queries, dim};
        std::vector<float> scores(static_cast<size_t>(queries * stride), -1.0f), scores16 = scores;
        std::vector<float> mixed(static_cast<size_t>(queries * out_stride), -1.0f), mixed16 = mixed;
        scalar().score(shared, k.data(), keys, 0.3f, scores.data(), stride);
        scalar().score_f16(shared, k16.data(), keys, 0.3f, scores16.data(), stride);
        scalar().mix(scores.data(), stride, queries, k.data(), keys, dim, mixed.data(), out_stride);
        scalar().mix_f16(scores.data(), stride, queries, k16.data(), keys, dim, mixed16.data(), out_stride);
        EXPECT_EQ(scores[0], scalar().dot(q.data(), k.data(), dim) * 0.3f);
        for (const KernelTable* table : available_kernels()) {
          std::vector<float> s(scores.size(), -1.0f), s16 = s, m(mixed.size(), -1.0f), m16 = m;
          table->score(shared, k.data(), keys, 0.3f, s.data(), stride);
          table->score_f16(shared, k16.data(), keys, 0.3f, s16.data(), stride);
          table->mix(scores.data(), stride, queries, k.data(), keys, dim, m.data(), out_stride);
          table->mix_f16(scores.data(), stride, queries, k16.data(), keys, dim, m16.data(), out_stride);
          ASSERT_EQ(first_difference(scores, s), "")
              << table->isa << " " << dim << " " << queries << " " << keys;
          ASSERT_EQ(first_difference(scores16, s16), "") << table->isa << " " << dim << " " << queries;
          ASSERT_EQ(first_difference(mixed, m), "") << table->isa << " " << dim << " " << queries;
          ASSERT_EQ(first_difference(mixed16, m16), "") << table->isa << " " << dim << " " << queries;
        }
      }
}

/// More rows than one panel holds.
TEST(Kernels, SeveralPanelsAreEqual) {
  Rng rng(19);
  for (const WeightKind kind : {WeightKind::kQ4_K, WeightKind::kQ6_K, WeightKind::kQ8_0}) {
    const int64_t rows = 75, cols = 11008, tokens = 18;
    const RandomWeight weight(ggml_format(kind), rows, cols, Draw::kOrdinary, rng);
    const QuantizedTokens x(scalar(), random_activations(tokens * cols, Draw::kOrdinary, rng), tokens, cols);
    const std::vector<float> expected = run_fast(scalar(), weight.view(), x, tokens, rows);
    for (const KernelTable* table : available_kernels())
      EXPECT_EQ(first_difference(expected, run_fast(*table, weight.view(), x, tokens, rows)), "")
          << table->isa << " " << case_name(ggml_format(kind), rows, cols);
  }
}

TEST(Kernels, SeveralFloatPanelsAreEqual) {
  Rng rng(23);
  for (const WeightKind kind : {WeightKind::kBF16, WeightKind::kQ4_K, WeightKind::kQ3_K}) {
    const int64_t rows = 27, cols = 11008, tokens = 17;
    const RandomWeight weight(ggml_format(kind), rows, cols, Draw::kOrdinary, rng);
    const std::vector<float> x = random_activations(tokens * cols, Draw::kOrdinary, rng);
    const std::vector<float> expected = run_exact(scalar(), weight.view(), x, tokens, rows);
    for (const KernelTable* table : available_kernels())
      EXPECT_EQ(first_difference(expected, run_exact(*table, weight.view(), x, tokens, rows)), "")
          << table->isa << " " << case_name(ggml_format(kind), rows, cols);
  }
}

TEST(Kernels, LongRowsAndManyTokensAreEqual) {
  Rng rng(15);
  for (const WeightFormat& format :
       {ggml_format(WeightKind::kQ4_0), ggml_format(WeightKind::kQ4_K), ggml_format(WeightKind::kQ6_K),
        mlx_format(4, 64, DType::kBF16), ggml_format(WeightKind::kBF16)}) {
    const int64_t rows = 37, cols = 11008, tokens = 6;
    const RandomWeight weight(format, rows, cols, Draw::kOrdinary, rng);
    const std::vector<float> x = random_activations(tokens * cols, Draw::kOrdinary, rng);
    const QuantizedTokens codes(scalar(), x, tokens, cols);
    const std::vector<float> fast = run_fast(scalar(), weight.view(), codes, tokens, rows);
    const std::vector<float> exact = run_exact(scalar(), weight.view(), x, tokens, rows);
    for (const KernelTable* table : available_kernels()) {
      EXPECT_EQ(first_difference(fast, run_fast(*table, weight.view(), codes, tokens, rows)), "")
          << table->isa << " " << case_name(format, rows, cols);
      EXPECT_EQ(first_difference(exact, run_exact(*table, weight.view(), x, tokens, rows)), "")
          << table->isa << " " << case_name(format, rows, cols);
    }
  }
}

/// A token's row range and its company must not change its result.
TEST(Kernels, ResultsDoNotDependOnTheSplit) {
  Rng rng(16);
  std::vector<WeightFormat> formats = kernel_formats();
  formats.push_back(ggml_format(WeightKind::kQ3_K));
  for (const KernelTable* table : available_kernels())
    for (const WeightFormat& format : formats) {
      const int64_t rows = 11, cols = 768, tokens = 37;
      const RandomWeight weight(format, rows, cols, Draw::kOrdinary, rng);
      const std::vector<float> x = random_activations(tokens * cols, Draw::kOrdinary, rng);
      const QuantizedTokens codes(*table, x, tokens, cols);
      const std::vector<float> fast = run_fast(*table, weight.view(), codes, tokens, rows);
      const std::vector<float> exact = run_exact(*table, weight.view(), x, tokens, rows);
      std::vector<float> fast_split(fast.size()), exact_split(exact.size());
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t row = 0; row < rows; row += 3) {
          const int64_t end = std::min(rows, row + 3);
          float* fast_out = fast_split.data() + t * rows;
          float* exact_out = exact_split.data() + t * rows;
          table->matmul_fast(weight.view(), row, end, codes.rows() + t, 1, fast_out, rows);
          table->matmul_exact(weight.view(), row, end, x.data() + t * cols, 1, exact_out, rows);
        }
      ASSERT_EQ(first_difference(fast, fast_split), "") << table->isa << " " << format_name(format);
      ASSERT_EQ(first_difference(exact, exact_split), "") << table->isa << " " << format_name(format);
    }
}

/// Formats without loops of their own go through formats/ in both modes, equally in every table.
TEST(Kernels, OtherFormatsAreEqual) {
  Rng rng(17);
  for (const WeightKind kind :
       {WeightKind::kQ2_K, WeightKind::kQ3_K, WeightKind::kIQ4_NL, WeightKind::kIQ4_XS}) {
    for (const int64_t tokens : {2, 18}) {
      const int64_t rows = 3, cols = 512;
      const RandomWeight weight(ggml_format(kind), rows, cols, Draw::kOrdinary, rng);
      const std::vector<float> x = random_activations(tokens * cols, Draw::kOrdinary, rng);
      const QuantizedTokens codes(scalar(), x, tokens, cols);
      const std::vector<float> fast = run_fast(scalar(), weight.view(), codes, tokens, rows);
      const std::vector<float> exact = run_exact(scalar(), weight.view(), x, tokens, rows);
      for (const KernelTable* table : available_kernels()) {
        EXPECT_EQ(first_difference(fast, run_fast(*table, weight.view(), codes, tokens, rows)), "");
        EXPECT_EQ(first_difference(exact, run_exact(*table, weight.view(), x, tokens, rows)), "");
      }
    }
  }
}

/// The comparison itself sees one wrong bit.
TEST(Kernels, OneWrongBitIsADifference) {
  std::vector<float> a = {1, 2, 3}, b = a;
  EXPECT_EQ(first_difference(a, b), "");
  b[1] = std::bit_cast<float>(std::bit_cast<uint32_t>(b[1]) ^ 1u);
  EXPECT_NE(first_difference(a, b), "");
  a[0] = 0.0f;
  b = a;
  b[0] = -0.0f;
  EXPECT_NE(first_difference(a, b), "");
}

}  // namespace
}  // namespace assay::test
