// What holds for rows of every format: packing again changes nothing, powers of two pass through, neither
// alignment, row length nor instruction set matters.
#include <gtest/gtest.h>

#include <cmath>

#include "formats/cases.hpp"
#include "formats/search.hpp"

namespace assay::test {
namespace {

class RowTest : public testing::TestWithParam<WeightFormat> {};
class BlockTest : public testing::TestWithParam<WeightFormat> {};
class RepeatTest : public testing::TestWithParam<WeightFormat> {};
class ImportanceTest : public testing::TestWithParam<WeightFormat> {};

// Plain numbers and the formats whose largest value lies on the grid reproduce what they have packed before.
// Mins stored beside scales, and searches, move a little.
TEST_P(RepeatTest, PackingAgainChangesNothing) {
  const WeightFormat format = GetParam();
  const int64_t cols = 1024;
  const std::vector<float> source = normal_values(21, cols, 0.02);
  const std::vector<float> once = unpack(format, pack(format, source), cols);
  const std::vector<float> twice = unpack(format, pack(format, once), cols);
  const bool exact = !is_quantized(format) || format.kind == WeightKind::kQ8_0 ||
                     format.kind == WeightKind::kQ4_0 || format.kind == WeightKind::kQ5_0 ||
                     format.kind == WeightKind::kInt4 || format.kind == WeightKind::kMXFP4 ||
                     is_ternary(format);
  if (exact) {
    EXPECT_EQ(once, twice);
  } else {
    const double first = std::sqrt(squared_error(once, source));
    const double second = std::sqrt(squared_error(twice, once));
    // Q3_K's search moves codes one by one, and a code of eight is a larger step.
    EXPECT_LT(second, first * (format.kind == WeightKind::kQ3_K ? 0.35 : 0.25));
  }
}

// Away from subnormal scales a power of two changes exponents alone, so every code must stay.
TEST_P(RowTest, PowersOfTwoScaleThrough) {
  const WeightFormat format = GetParam();
  const int64_t cols = 768;
  const std::vector<float> source = normal_values(22, cols, 8.0);
  const std::vector<float> values = unpack(format, pack(format, source), cols);
  for (const float factor : {0.25f, 4.0f, 64.0f}) {
    std::vector<float> scaled = source, expected = values;
    for (float& value : scaled) value *= factor;
    for (float& value : expected) value *= factor;
    EXPECT_EQ(unpack(format, pack(format, scaled), cols), expected) << "times " << factor;
  }
}

TEST_P(RowTest, UnalignedBuffersGiveTheSameBytes) {
  const WeightFormat format = GetParam();
  const int64_t cols = 512;
  const std::vector<float> source = normal_values(23, cols, 0.02);
  const Packed aligned = pack(format, source);
  Packed odd = empty_row(format, cols);
  for (auto* part : {&odd.codes, &odd.scales, &odd.biases}) part->insert(part->begin(), std::byte{0xa5});
  format_ops(format).quantize_row(format, source.data(), cols, nullptr,
                                  {odd.codes.data() + 1, odd.scales.data() + 1, odd.biases.data() + 1});
  std::vector<float> values(static_cast<size_t>(cols));
  format_ops(format).dequantize_row(
      format, {odd.codes.data() + 1, odd.scales.data() + 1, odd.biases.data() + 1}, cols, values.data());
  EXPECT_EQ(values, unpack(format, aligned, cols));
  EXPECT_EQ(odd.codes[0], std::byte{0xa5}) << "wrote before the row";
  for (auto* part : {&odd.codes, &odd.scales, &odd.biases}) part->erase(part->begin());
  EXPECT_EQ(odd, aligned);
}

// Searches take several blocks at once; a row's length must not show.
TEST_P(BlockTest, BlocksDoNotDependOnTheirNeighbours) {
  const WeightFormat format = GetParam();
  const int64_t block = block_length(format), cols = block * 37;
  const std::vector<float> source = normal_values(24, cols, 0.02);
  const Packed whole = pack(format, source);
  Packed joined;
  for (int64_t at = 0; at < cols; at += block) {
    const Packed one = pack(format, {source.begin() + at, source.begin() + at + block});
    joined.codes.insert(joined.codes.end(), one.codes.begin(), one.codes.end());
    joined.scales.insert(joined.scales.end(), one.scales.begin(), one.scales.end());
    joined.biases.insert(joined.biases.end(), one.biases.begin(), one.biases.end());
  }
  EXPECT_EQ(whole, joined);
}

TEST_P(ImportanceTest, LowersTheWeightedError) {
  const WeightFormat format = GetParam();
  const int64_t cols = 2048;
  const std::vector<float> source = normal_values(25, cols, 0.02);
  Rng rng(26);
  std::vector<float> importance(source.size());
  for (float& weight : importance) weight = static_cast<float>(std::exp(1.5 * rng.normal()));
  const auto weighted_error = [&](const float* weights) {
    const std::vector<float> values = unpack(format, pack(format, source, weights), cols);
    double sum = 0;
    for (size_t i = 0; i < source.size(); ++i) {
      sum += double{importance[i]} * (values[i] - source[i]) * (values[i] - source[i]);
    }
    return sum;
  };
  EXPECT_LT(weighted_error(importance.data()), weighted_error(nullptr) * 0.99);
}

INSTANTIATE_TEST_SUITE_P(Formats, RepeatTest, testing::ValuesIn(repeatable_formats()),
                         [](const auto& tested) { return case_name(tested.param); });
INSTANTIATE_TEST_SUITE_P(Formats, ImportanceTest, testing::ValuesIn(searched_formats()),
                         [](const auto& tested) { return case_name(tested.param); });
INSTANTIATE_TEST_SUITE_P(Formats, BlockTest, testing::ValuesIn(block_formats()),
                         [](const auto& tested) { return case_name(tested.param); });
INSTANTIATE_TEST_SUITE_P(Formats, RowTest, testing::ValuesIn(writable_formats()),
                         [](const auto& tested) { return case_name(tested.param); });

std::vector<const SearchTable*> runnable_searches() {
  std::vector<const SearchTable*> tables = {&kScalarSearch};
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  if (can_run_avx2()) tables.push_back(&kAvx2Search);
  if (can_run_avx512()) tables.push_back(&kAvx512Search);
#endif
  return tables;
}

bool same_bits(const void* a, const void* b, size_t bytes) {
  return std::memcmp(a, b, bytes) == 0;
}

TEST(Search, EveryInstructionSetGivesTheSameBits) {
  Rng rng(31);
  for (int round = 0; round < 200; ++round) {
    const int n_blocks = 1 + static_cast<int>(rng.below(kMaxSearchBlocks));
    std::vector<float> x(kMaxSearchBlocks * 32), weights(x.size());
    for (float& value : x) {
      value = static_cast<float>(rng.normal() * std::exp(2 * rng.normal()));
      if (round % 3 == 0) value = std::round(value * 4) / 8;  // ties and repeated values
    }
    for (float& weight : weights) weight = static_cast<float>(std::exp(rng.normal()));
    if (round % 5 == 0) std::fill_n(x.begin(), 32, 0.25f);
    const float* w = round % 2 ? weights.data() : nullptr;
    const LineSearch search = {.max_code = 15, .first = -1.0f, .delta = 0.1f, .last_trial = 20};
    LineFit lines[kMaxSearchBlocks];
    ScaleFit scales[2][kMaxSearchBlocks];
    kScalarSearch.fit_lines(search, x.data(), w, n_blocks, lines);
    kScalarSearch.fit_scales(32, x.data(), w, 16, n_blocks, scales[0]);
    kScalarSearch.fit_scales(8, x.data(), w, 32, n_blocks, scales[1]);
    for (const SearchTable* table : runnable_searches()) {
      LineFit other_lines[kMaxSearchBlocks];
      ScaleFit other[kMaxSearchBlocks];
      table->fit_lines(search, x.data(), w, n_blocks, other_lines);
      EXPECT_TRUE(same_bits(lines, other_lines, sizeof(LineFit) * static_cast<size_t>(n_blocks)))
          << table->isa;
      table->fit_scales(32, x.data(), w, 16, n_blocks, other);
      EXPECT_TRUE(same_bits(scales[0], other, sizeof(ScaleFit) * static_cast<size_t>(n_blocks)))
          << table->isa;
      table->fit_scales(8, x.data(), w, 32, n_blocks, other);
      EXPECT_TRUE(same_bits(scales[1], other, sizeof(ScaleFit) * static_cast<size_t>(n_blocks)))
          << table->isa;
    }
  }
}

// The weighted error of a fit, summed in double: what every search must lower against the plain fit.
double line_error(const float* x, const LineFit& fit, float max_code) {
  double sum = 0;
  for (int i = 0; i < 32; ++i) {
    const float code =
        std::min(std::max(std::nearbyint(fit.code_scale * (x[i] - fit.code_base)), 0.0f), max_code);
    sum += std::pow(double{fit.scale} * code + fit.min - x[i], 2);
  }
  return sum;
}

TEST(Search, BeatsThePlainFit) {
  const std::vector<float> x = normal_values(33, 16 * 32, 1.0), flat(16 * 32, 1.0f);
  const LineSearch none = {.max_code = 15, .first = 0, .delta = 0, .last_trial = -1};
  const LineSearch full = {.max_code = 15, .first = -1.0f, .delta = 0.1f, .last_trial = 20};
  LineFit before[16], after[16];
  search_table().fit_lines(none, x.data(), flat.data(), 16, before);
  search_table().fit_lines(full, x.data(), flat.data(), 16, after);
  double plain = 0, searched = 0;
  for (int b = 0; b < 16; ++b) {
    plain += line_error(x.data() + b * 32, before[b], 15);
    searched += line_error(x.data() + b * 32, after[b], 15);
    EXPECT_LE(line_error(x.data() + b * 32, after[b], 15),
              line_error(x.data() + b * 32, before[b], 15) * 1.0001);
  }
  EXPECT_LT(searched, plain * 0.9);
}

}  // namespace
}  // namespace assay::test
