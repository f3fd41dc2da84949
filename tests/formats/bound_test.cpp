// The error bounds: no correct packing breaks them, whatever the values; planted errors do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/half.hpp"
#include "formats/blocks.hpp"
#include "formats/cases.hpp"

namespace assay::test {
namespace {

constexpr int64_t kCols = 768;

using Row = std::vector<float>;

struct NamedRow {
  const char* name;
  Row values;
};

Row row_of(const std::function<double(int)>& value) {
  Row row(kCols);
  for (int i = 0; i < kCols; ++i) row[static_cast<size_t>(i)] = static_cast<float>(value(i));
  return row;
}

/// Finite rows that have broken quantizers before. `limit` is the largest magnitude the format's scales
/// can carry.
std::vector<NamedRow> adversarial_rows(double limit) {
  Rng rng(7);
  std::vector<NamedRow> rows = {
      {"zeros", row_of([](int) { return 0.0; })},
      {"negative zeros", row_of([](int) { return -0.0; })},
      {"one spike", row_of([](int i) { return i == 300 ? 3.0 : 0.0; })},
      {"one negative spike", row_of([](int i) { return i == 17 ? -3.0 : 0.0; })},
      {"constant", row_of([](int) { return 0.37; })},
      {"negative constant", row_of([](int) { return -0.37; })},
      {"alternating", row_of([](int i) { return i % 2 ? 1.0 : -1.0; })},
      {"ramp", row_of([](int i) { return i / 100.0 - 3.3; })},
      {"small beside large", row_of([](int i) { return i % 256 < 128 ? 1e-6 * i : 1e3 + i; })},
      {"offset", row_of([](int i) { return 1000 + 0.001 * (i % 7); })},
      {"negative offset", row_of([](int i) { return -1000 + 0.001 * (i % 7); })},
      {"float subnormals", row_of([](int i) { return (i % 5 - 2) * 1e-44; })},
      {"below f16", row_of([](int i) { return (i % 9 - 4) * 1e-9; })},
      {"f16 subnormals", row_of([](int i) { return (i % 9 - 4) * 3e-6; })},
      {"near the limit", row_of([&](int i) { return i % 3 == 0 ? limit : -limit / (1 + i % 11); })},
      {"two levels", row_of([](int i) { return i % 5 ? 0.02 : 0.06; })},
  };
  rows.push_back({"normal", row_of([&](int) { return rng.normal() * 0.02; })});
  rows.push_back({"heavy tails", row_of([&](int) { return rng.normal() * std::exp(2 * rng.normal()); })});
  rows.push_back({"ties", row_of([&](int) { return std::round(rng.normal() * 8) / 16; })});
  rows.push_back({"mixed sizes", row_of([&](int i) { return rng.normal() * std::pow(10, i / 32 % 9 - 6); })});
  for (NamedRow& row : rows) {
    for (float& value : row.values) {
      value = std::clamp(value, static_cast<float>(-limit), static_cast<float>(limit));
    }
  }
  return rows;
}

/// Largest magnitude whose scales stay finite as f16 with room for a search to refit them.
double largest_packable(const WeightFormat& format) {
  switch (format.kind) {
    case WeightKind::kF32:
    case WeightKind::kBF16:
    case WeightKind::kInt8:
      return 1e38;
    case WeightKind::kF16:
      return 65504.0;
    case WeightKind::kMlxAffine:
      return format.scale_type == DType::kF16 ? 3e4 : 1e30;
    case WeightKind::kQ8_0:
      return 65000.0 * 127;
    case WeightKind::kQ4_0:
    case WeightKind::kInt4:
      return 3e4 * 8;
    case WeightKind::kQ5_0:
      return 3e4 * 16;
    case WeightKind::kQ4_1:
    case WeightKind::kQ5_1:
      return 3e4;  // the smallest value is stored as f16
    case WeightKind::kQ4_K:
    case WeightKind::kQ5_K:
      return 3e4 * 63;  // in 63 steps of an f16
    case WeightKind::kQ6_K:
      return 3e4 * 32 * 128;
    case WeightKind::kQ2_K:
      return 3e4 * 15;
    case WeightKind::kQ3_K:
      return 3e4 * 32 * 4;
    case WeightKind::kTQ1_0:
    case WeightKind::kTQ2_0:
      return 65504.0;
    case WeightKind::kMXFP4:
      return 1e38;
    case WeightKind::kNVFP4:
      return 448.0 * 6;
    case WeightKind::kIQ4_NL:
      return 3e4 * 113;
    case WeightKind::kIQ4_XS:
      return 3e4 * 113 * 32;
    default:
      throw std::logic_error("no limit for " + format_name(format));
  }
}

class BoundTest : public testing::TestWithParam<WeightFormat> {};
class CodesTest : public testing::TestWithParam<WeightFormat> {};

TEST_P(BoundTest, HoldsForEveryPacking) {
  const WeightFormat format = GetParam();
  Rng rng(11);
  Row flat(kCols, 1.0f), skewed(kCols), absent(kCols, 0.0f), partial(kCols, 0.0f);
  for (float& weight : skewed) weight = static_cast<float>(std::exp(1.5 * rng.normal()));
  for (size_t i = 0; i < partial.size(); ++i) partial[i] = i / 64 % 2 ? skewed[i] : 0.0f;
  const Row* importances[] = {nullptr, &flat, &skewed, &absent, &partial};
  for (const auto& [name, values] : adversarial_rows(largest_packable(format))) {
    for (const Row* importance : importances) {
      const Packed packed = pack(format, values, importance ? importance->data() : nullptr);
      EXPECT_TRUE(format_ops(format).is_finite(format, packed.row(), kCols)) << name;
      EXPECT_EQ(count_violations(format, values, packed), 0) << name << (importance ? " by importance" : "");
    }
  }
}

// A bound that is never nearly reached would excuse errors.
TEST_P(CodesTest, IsTight) {
  const WeightFormat format = GetParam();
  const Row source = normal_values(3, kCols, 0.02);
  const Packed packed = pack(format, source);
  const Row values = unpack(format, packed, kCols);
  const Row bound = bound_of(format, source, packed);
  double worst = 0;
  for (size_t i = 0; i < source.size(); ++i) {
    worst = std::max(worst, std::abs(double{values[i]} - source[i]) / bound[i]);
  }
  EXPECT_GT(worst, 0.85) << "no error comes near its bound";
}

/// Adds `delta` to code i of a row, in place; false when the code would leave its range.
bool move_code(const WeightFormat& format, Packed& packed, int64_t i, int delta);

TEST_P(CodesTest, CatchesCodesThatAreOff) {
  const WeightFormat format = GetParam();
  const Row source = normal_values(5, kCols, 0.02);
  const Packed correct = pack(format, source);
  ASSERT_EQ(count_violations(format, source, correct), 0);
  int moved[3] = {}, caught[3] = {};
  for (int64_t i = 0; i < kCols; i += 3) {
    for (const int delta : {-2, -1, 1, 2}) {
      Packed wrong = correct;
      if (!move_code(format, wrong, i, delta)) continue;
      ++moved[std::abs(delta)];
      caught[std::abs(delta)] += count_violations(format, source, wrong) > 0;
    }
  }
  ASSERT_GT(moved[1], kCols / 3);
  // A code one step off errs between half a step and one and a half; the bound is half a step plus the
  // rounding of the scales. A bf16 scale is rounded by up to 2^-8 of itself, at code 255 a whole step, so
  // some steps of the widest codes cannot be told from rounding.
  const bool bf16 = format.kind == WeightKind::kMlxAffine && format.scale_type == DType::kBF16;
  const double share = bf16 && format.bits == 8 ? 0.55 : bf16 && format.bits == 6 ? 0.85 : 0.93;
  EXPECT_GT(caught[1], moved[1] * share);
  EXPECT_GT(caught[2], moved[2] * (share < 0.6 ? 0.97 : 0.995));
}

TEST_P(BoundTest, CatchesRowsOfOthers) {
  const WeightFormat format = GetParam();
  const Row source = normal_values(8, kCols, 0.02), other = normal_values(9, kCols, 0.02);
  EXPECT_GT(count_violations(format, source, pack(format, other)),
            is_ternary(format) ? kCols / 8 : kCols / 4);
}

TEST_P(CodesTest, CatchesDamagedScales) {
  const WeightFormat format = GetParam();
  const Row source = normal_values(12, kCols, 0.02);
  Packed zeroed = pack(format, source);
  if (format.kind == WeightKind::kMlxAffine) {
    std::fill(zeroed.scales.begin(), zeroed.scales.end(), std::byte{0});
    EXPECT_GT(count_violations(format, source, zeroed), kCols / 4) << "scales of zero";
    Packed swapped = pack(format, source);
    std::swap(swapped.scales, swapped.biases);
    EXPECT_GT(count_violations(format, source, swapped), kCols / 4) << "scales and biases swapped";
    return;
  }
  if (!zeroed.scales.empty()) {
    std::fill(zeroed.scales.begin(), zeroed.scales.end(), std::byte{0});
    EXPECT_GT(count_violations(format, source, zeroed), kCols / 4) << "scales of zero";
    Packed foreign = pack(format, source);
    const Row larger = normal_values(15, kCols, 0.03);
    foreign.scales = pack(format, larger).scales;
    EXPECT_GT(count_violations(format, source, foreign), kCols / 4) << "scales of another row";
    return;
  }
  std::fill(zeroed.codes.begin(), zeroed.codes.end(), std::byte{0});
  EXPECT_GT(count_violations(format, source, zeroed), 0) << "a row of zero bytes";
  // The first block in place of the last: scales that fit other values.
  Packed shuffled = pack(format, source);
  const size_t block = row_bytes(format, block_length(format)).codes;
  std::copy_n(shuffled.codes.begin(), block, shuffled.codes.end() - static_cast<ptrdiff_t>(block));
  EXPECT_GT(count_violations(format, source, shuffled), block_length(format) / (is_ternary(format) ? 6 : 3))
      << "blocks exchanged";
}

TEST_P(CodesTest, CatchesReversedNibbles) {
  const WeightFormat format = GetParam();
  const Row source = normal_values(13, kCols, 0.02);
  Packed wrong = pack(format, source);
  for (size_t i = wrong.codes.size() / 4; i < wrong.codes.size() / 2; ++i) {
    wrong.codes[i] = wrong.codes[i] << 4 | wrong.codes[i] >> 4;
  }
  EXPECT_GT(count_violations(format, source, wrong), 0);
}

TEST_P(BoundTest, NonFiniteInputIsReportedAndDefined) {
  const WeightFormat format = GetParam();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::nanf("")}) {
    Row source = normal_values(14, kCols, 0.02);
    source[400] = bad;
    const Packed packed = pack(format, source);
    // NaN may vanish in a block format, which is why callers check the source; infinity may not.
    const bool finite = format_ops(format).is_finite(format, packed.row(), kCols);
    EXPECT_FALSE(std::isinf(bad) && finite);
    unpack(format, packed, kCols);
    bound_of(format, source, packed);
  }
  if (format.kind == WeightKind::kF32 || format.kind == WeightKind::kBF16) return;
  if (format.kind == WeightKind::kMXFP4) return;  // has f32's exponents
  if (format.kind == WeightKind::kInt8) return;   // its scales are f32
  if (format.kind == WeightKind::kMlxAffine && format.scale_type != DType::kF16) return;
  const Packed overflow = pack(format, Row(kCols, 3e38f));
  EXPECT_FALSE(format_ops(format).is_finite(format, overflow.row(), kCols)) << "scales beyond f16";
}

INSTANTIATE_TEST_SUITE_P(Formats, CodesTest, testing::ValuesIn(quantized_formats()),
                         [](const auto& tested) { return case_name(tested.param); });
INSTANTIATE_TEST_SUITE_P(Formats, BoundTest, testing::ValuesIn(writable_formats()),
                         [](const auto& tested) { return case_name(tested.param); });

/// Where the bits of a code lie: up to three pieces of `width` bits at bit `at` of the row.
struct CodePiece {
  size_t at;
  int width;
};

/// Low piece first. An independent reading of the layouts, written bit by bit.
std::vector<CodePiece> code_pieces(const WeightFormat& format, int64_t index) {
  const auto i = static_cast<size_t>(index);
  const size_t block = i / 32, j = i % 32, super = i / 256, k = i % 256;
  const size_t nibble = (j % 16) * 8 + (j / 16) * 4;
  const size_t k_nibble = (k / 64 * 32 + k % 32) * 8 + (k / 32 % 2) * 4;
  switch (format.kind) {
    case WeightKind::kMlxAffine:
    case WeightKind::kInt8:
    case WeightKind::kInt4:
      return {{i * format.bits, format.bits}};
    case WeightKind::kQ8_0:
      return {{(block * 34 + 2 + j) * 8, 8}};
    case WeightKind::kQ4_0:
      return {{(block * 18 + 2) * 8 + nibble, 4}};
    case WeightKind::kQ4_1:
      return {{(block * 20 + 4) * 8 + nibble, 4}};
    case WeightKind::kQ5_0:
      return {{(block * 22 + 6) * 8 + nibble, 4}, {(block * 22 + 2) * 8 + j, 1}};
    case WeightKind::kQ5_1:
      return {{(block * 24 + 8) * 8 + nibble, 4}, {(block * 24 + 4) * 8 + j, 1}};
    case WeightKind::kQ4_K:
      return {{(super * 144 + 16) * 8 + k_nibble, 4}};
    case WeightKind::kQ5_K:
      return {{(super * 176 + 48) * 8 + k_nibble, 4}, {(super * 176 + 16 + j) * 8 + k / 32, 1}};
    case WeightKind::kQ6_K: {
      const size_t half = k / 128, run = k % 128 / 32;
      return {{(super * 210 + half * 64 + run % 2 * 32 + j) * 8 + run / 2 * 4, 4},
              {(super * 210 + 128 + half * 32 + j) * 8 + run * 2, 2}};
    }
    case WeightKind::kQ2_K:
      return {{(super * 84 + 16 + k / 128 * 32 + j) * 8 + k % 128 / 32 * 2, 2}};
    case WeightKind::kQ3_K:
      return {{(super * 110 + 32 + k / 128 * 32 + j) * 8 + k % 128 / 32 * 2, 2},
              {(super * 110 + j) * 8 + k / 32, 1}};
    case WeightKind::kTQ2_0:
      return {{(super * 66 + k / 128 * 32 + j) * 8 + k % 128 / 32 * 2, 2}};
    case WeightKind::kMXFP4:
      return {{(block * 17 + 1) * 8 + nibble, 4}};
    case WeightKind::kNVFP4:
      return {{(i / 64 * 36 + 4 + i % 64 / 16 * 8 + i % 8) * 8 + i % 16 / 8 * 4, 4}};
    case WeightKind::kIQ4_NL:
      return {{(block * 18 + 2) * 8 + nibble, 4}};
    case WeightKind::kIQ4_XS:
      return {{(super * 136 + 8 + k / 32 * 16) * 8 + nibble, 4}};
    default:
      throw std::logic_error("no layout for " + format_name(format));
  }
}

bool move_code(const WeightFormat& format, Packed& packed, int64_t i, int delta) {
  const std::vector<CodePiece> pieces = code_pieces(format, i);
  const auto bit = [&](size_t at) { return std::to_integer<int>(packed.codes[at / 8]) >> (at % 8) & 1; };
  int code = 0, width = 0;
  for (const CodePiece& piece : pieces) {
    for (int b = 0; b < piece.width; ++b) code |= bit(piece.at + static_cast<size_t>(b)) << width++;
  }
  const bool is_signed = format.kind == WeightKind::kQ8_0 || format.kind == WeightKind::kInt8;
  if (is_signed && code > 127) code -= 256;
  const int moved = code + delta;
  if (is_signed ? std::abs(moved) > 127 : moved < 0 || moved >= 1 << width) return false;
  int next = 0;
  for (const CodePiece& piece : pieces) {
    for (int b = 0; b < piece.width; ++b, ++next) {
      const size_t at = piece.at + static_cast<size_t>(b);
      const auto mask = static_cast<std::byte>(1 << (at % 8));
      packed.codes[at / 8] = moved >> next & 1 ? packed.codes[at / 8] | mask : packed.codes[at / 8] & ~mask;
    }
  }
  return true;
}

}  // namespace
}  // namespace assay::test
