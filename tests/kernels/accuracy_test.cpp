#include <gtest/gtest.h>

#include "formats/format.hpp"
#include "kernels/cases.hpp"

// The specification against sums in double over the weights that formats/ decodes. The bounds are those of
// f32 rounding: a sum of k rounded terms is off by at most gamma(k) times the sum of the magnitudes (Higham,
// Accuracy and Stability of Numerical Algorithms, 3.1).

namespace assay::test {
namespace {

constexpr double kUnit = 0x1p-24;  // half a unit in the last place, relative
/// A code is off by half a step, plus three roundings (1 / scale, the product, the scale) of a number up to
/// 127 steps.
constexpr double kStepError = 0.5 + 127 * 3 * kUnit;

double gamma(double roundings) {
  return roundings * kUnit / (1 - roundings * kUnit);
}

const KernelTable& specification() {
  return *available_kernels().front();
}

/// Result and bound for one row and one token.
struct Expected {
  double value, bound;
  bool holds(float actual) const { return std::abs(static_cast<double>(actual) - value) <= bound; }
};

std::vector<float> decode_row(const WeightView& weight, int64_t row) {
  std::vector<float> w(static_cast<size_t>(weight.cols));
  format_ops(weight.format).dequantize_row(weight.format, packed_row(weight, row), weight.cols, w.data());
  return w;
}

/// The row with every code zero: the minima alone, where the format has them, else zeros.
std::vector<float> decode_minima(const WeightView& weight, int64_t row) {
  std::vector<float> minima(static_cast<size_t>(weight.cols));
  const WeightKind kind = weight.format.kind;
  const bool in_block = kind == WeightKind::kQ4_1 || kind == WeightKind::kQ5_1 || kind == WeightKind::kQ4_K ||
                        kind == WeightKind::kQ5_K;
  if (!in_block && kind != WeightKind::kMlxAffine) return minima;
  const PackedRow from = packed_row(weight, row);
  const size_t count = row_bytes(weight.format, weight.cols).codes;
  const size_t block = row_bytes(weight.format, block_length(weight.format)).codes;
  // What a block holds before its codes (blocks.hpp): scales and minima.
  const size_t head = !in_block ? 0 : kind == WeightKind::kQ4_1 || kind == WeightKind::kQ5_1 ? 4 : 16;
  std::vector<std::byte> codes(from.codes, from.codes + count);
  for (size_t i = 0; i < count; ++i)
    if (i % block >= head) codes[i] = std::byte{0};
  format_ops(weight.format)
      .dequantize_row(weight.format, {codes.data(), from.scales, from.biases}, weight.cols, minima.data());
  return minima;
}

Expected expect_exact(const WeightView& weight, int64_t row, const float* x) {
  const std::vector<float> w = decode_row(weight, row);
  Expected expected{0, 0};
  for (int64_t i = 0; i < weight.cols; ++i) {
    const double product = static_cast<double>(w[static_cast<size_t>(i)]) * x[i];
    expected.value += product;
    expected.bound += std::abs(product);
  }
  // A lane takes one rounding per 16 columns, the reduction four.
  expected.bound *= gamma(std::ceil(static_cast<double>(weight.cols) / 16) + 4);
  return expected;
}

/// Against the activations that the codes stand for: only rounding is left.
Expected expect_fast(const WeightView& weight, int64_t row, const QuantizedTokens& x, int64_t token) {
  const std::vector<float> w = decode_row(weight, row), minima = decode_minima(weight, row);
  Expected expected{0, 0};
  for (int64_t i = 0; i < weight.cols; ++i) {
    const double value = x.value(token, i), weight_i = w[static_cast<size_t>(i)];
    const double min = minima[static_cast<size_t>(i)];
    expected.value += weight_i * value;
    expected.bound += (std::abs(weight_i - min) + std::abs(min)) * std::abs(value);
  }
  // Two roundings per quad (codes and minima, or the halves of Q6_K), two for the product of the scales, one
  // in the decoded weight itself, two in the reduction.
  expected.bound *= gamma(2 * std::ceil(static_cast<double>(weight.cols) / 128) + 5);
  return expected;
}

TEST(KernelAccuracy, ExactProductsStayWithinRounding) {
  Rng rng(21);
  for (const WeightFormat& format : kernel_formats()) {
    const int64_t rows = 3, cols = 768;
    const RandomWeight weight(format, rows, cols, Draw::kOrdinary, rng);
    const std::vector<float> x = random_activations(cols, Draw::kOrdinary, rng);
    const std::vector<float> out = run_exact(specification(), weight.view(), x, 1, rows);
    for (int64_t row = 0; row < rows; ++row)
      EXPECT_TRUE(expect_exact(weight.view(), row, x.data()).holds(out[static_cast<size_t>(row)]))
          << case_name(format, rows, cols);
  }
}

TEST(KernelAccuracy, FastProductsStayWithinRounding) {
  Rng rng(22);
  for (const WeightFormat& format : integer_formats())
    for (const int64_t cols : {768, 2048}) {
      const int64_t rows = 3, tokens = 2;
      const RandomWeight weight(format, rows, cols, Draw::kOrdinary, rng);
      const QuantizedTokens x(specification(), random_activations(tokens * cols, Draw::kOrdinary, rng),
                              tokens, cols);
      const std::vector<float> out = run_fast(specification(), weight.view(), x, tokens, rows);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t t = 0; t < tokens; ++t)
          EXPECT_TRUE(expect_fast(weight.view(), row, x, t).holds(out[static_cast<size_t>(t * rows + row)]))
              << case_name(format, rows, cols);
    }
}

/// Against the activations themselves: rounding plus half a step of every activation.
TEST(KernelAccuracy, FastProductsStayWithinTheActivationStep) {
  Rng rng(23);
  for (const WeightFormat& format : integer_formats()) {
    const int64_t cols = 768;
    const RandomWeight weight(format, 1, cols, Draw::kOrdinary, rng);
    const std::vector<float> x = random_activations(cols, Draw::kOrdinary, rng);
    const QuantizedTokens codes(specification(), x, 1, cols);
    const std::vector<float> w = decode_row(weight.view(), 0);
    Expected expected = expect_fast(weight.view(), 0, codes, 0);
    expected.value = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      expected.value += static_cast<double>(w[i]) * x[i];
      expected.bound += std::abs(w[i]) * static_cast<double>(codes.scales()[i / 32]) * kStepError;
    }
    EXPECT_TRUE(expected.holds(run_fast(specification(), weight.view(), codes, 1, 1)[0]))
        << case_name(format, 1, cols);
  }
}

/// One damaged code or scale must leave the bounds: the checks above can fail.
TEST(KernelAccuracy, DamagedWeightsLeaveTheBounds) {
  for (const WeightFormat& format : integer_formats()) {
    const int64_t cols = 768;
    Rng rng(24);
    const RandomWeight weight(format, 1, cols, Draw::kOrdinary, rng);
    // None near zero, which would hide the damage.
    std::vector<float> x(static_cast<size_t>(cols));
    for (float& value : x) value = static_cast<float>((rng.below(2) == 0 ? 1 : -1) * (0.5 + rng.uniform()));
    const QuantizedTokens codes(specification(), x, 1, cols);
    const Expected exact = expect_exact(weight.view(), 0, x.data());
    const Expected fast = expect_fast(weight.view(), 0, codes, 0);
    const auto leaves_bounds = [&](const RandomWeight& damaged) {
      return !exact.holds(run_exact(specification(), damaged.view(), x, 1, 1)[0]) &&
             !fast.holds(run_fast(specification(), damaged.view(), codes, 1, 1)[0]);
    };
    Rng again(24);
    RandomWeight wrong_code(format, 1, cols, Draw::kOrdinary, again);
    // Past the heads of all blocks, and before Q6_K's scales: bytes of codes. Both nibbles change, so that
    // no width finds all its bits unchanged.
    wrong_code.codes()[100] ^= std::byte{0x42};
    EXPECT_TRUE(leaves_bounds(wrong_code)) << case_name(format, 1, cols);

    Rng once_more(24);
    RandomWeight wrong_scale(format, 1, cols, Draw::kOrdinary, once_more);
    const bool mlx = format.kind == WeightKind::kMlxAffine;
    const size_t field = mlx ? 0 : f16_fields(format.kind).front();
    // The top bit of the significand: at least a quarter more or less. Little-endian f16, bf16 or f32.
    const DType type = mlx ? format.scale_type : DType::kF16;
    const size_t byte = type == DType::kF16 ? 1 : type == DType::kBF16 ? 0 : 2;
    std::byte* part = mlx ? wrong_scale.scales() : wrong_scale.codes();
    part[field + byte] ^= type == DType::kF16 ? std::byte{0x02} : std::byte{0x40};
    EXPECT_TRUE(leaves_bounds(wrong_scale)) << case_name(format, 1, cols);
  }
}

TEST(KernelAccuracy, ActivationCodesAreTheNearest) {
  Rng rng(25);
  for (const KernelTable* table : available_kernels()) {
    const std::vector<float> x = random_activations(4096, Draw::kExtreme, rng);
    const QuantizedTokens codes(*table, x, 1, 4096);
    for (int64_t i = 0; i < 4096; ++i) {
      const auto at = static_cast<size_t>(i);
      const double scale = codes.scales()[at / 32];
      // Groups below 2^-100 count as zero.
      ASSERT_LE(std::abs(x[at] - codes.value(0, i)), scale == 0 ? 0x1p-100 : scale * kStepError) << i;
      ASSERT_LE(std::abs(codes.code(0, i)), 127);
    }
  }
}

TEST(KernelAccuracy, ActivationsThatAreNotNumbersGiveNaN) {
  Rng rng(26);
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF})
    for (const KernelTable* table : available_kernels())
      for (const WeightFormat& format : integer_formats()) {
        const RandomWeight weight(format, 1, 512, Draw::kOrdinary, rng);
        std::vector<float> x = random_activations(512, Draw::kOrdinary, rng);
        x[301] = bad;
        const QuantizedTokens codes(*table, x, 1, 512);
        EXPECT_TRUE(std::isnan(run_fast(*table, weight.view(), codes, 1, 1)[0])) << format_name(format);
      }
}

}  // namespace
}  // namespace assay::test
