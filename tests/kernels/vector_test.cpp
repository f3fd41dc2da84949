#include <gtest/gtest.h>

#include <functional>

#include "kernels/cases.hpp"

// The functions over plain vectors: equal in every table, and right against double.

namespace assay::test {
namespace {

using Run = std::function<std::vector<float>(const KernelTable&, const std::vector<float>& a,
                                             const std::vector<float>& b)>;

std::vector<uint16_t> to_f16(const KernelTable& table, const std::vector<float>& x) {
  std::vector<uint16_t> out(x.size());
  table.f16_from_f32(x.data(), static_cast<int64_t>(x.size()), out.data());
  return out;
}

int64_t length(const std::vector<float>& x) {
  return static_cast<int64_t>(x.size());
}

struct NamedRun {
  const char* name;
  Run run;
};

std::vector<NamedRun> vector_functions() {
  using Vector = std::vector<float>;
  return {
      {"dot", [](const KernelTable& k, const Vector& a,
                 const Vector& b) { return Vector{k.dot(a.data(), b.data(), length(a))}; }},
      {"dot_f16",
       [](const KernelTable& k, const Vector& a, const Vector& b) {
         return Vector{k.dot_f16(a.data(), to_f16(k, b).data(), length(a))};
       }},
      {"add_scaled",
       [](const KernelTable& k, const Vector& a, const Vector& b) {
         Vector y = b;
         k.add_scaled(0.37f, a.data(), y.data(), length(a));
         return y;
       }},
      {"add_scaled_f16",
       [](const KernelTable& k, const Vector& a, const Vector& b) {
         Vector y = b;
         k.add_scaled_f16(-1.7f, to_f16(k, a).data(), y.data(), length(a));
         return y;
       }},
      {"rms_norm",
       [](const KernelTable& k, const Vector& a, const Vector& b) {
         Vector out(a.size());
         k.rms_norm(a.data(), b.data(), 1e-6f, length(a), out.data());
         return out;
       }},
      {"softmax",
       [](const KernelTable& k, const Vector& a, const Vector&) {
         Vector x = a;
         k.softmax(x.data(), length(x));
         return x;
       }},
      {"silu_mul",
       [](const KernelTable& k, const Vector& a, const Vector& b) {
         Vector out(a.size());
         k.silu_mul(a.data(), b.data(), length(a), out.data());
         return out;
       }},
      {"f16_from_f32",
       [](const KernelTable& k, const Vector& a, const Vector&) {
         Vector out;
         for (const uint16_t bits : to_f16(k, a)) out.push_back(float_from_f16(bits));
         return out;
       }},
  };
}

TEST(KernelVectors, TablesAreEqual) {
  Rng rng(31);
  for (const Draw draw : {Draw::kOrdinary, Draw::kExtreme})
    for (const int64_t n : {1, 2, 7, 8, 15, 16, 17, 31, 64, 100, 1024, 4099}) {
      std::vector<float> a = random_activations(n, draw, rng);
      const std::vector<float> b = random_activations(n, draw, rng);
      if (n == 100) {
        a[3] = -HUGE_VALF;
        a[99] = -HUGE_VALF;
      }
      if (n == 64) a[40] = std::nanf("");
      for (const NamedRun& function : vector_functions()) {
        const std::vector<float> expected = function.run(*available_kernels().front(), a, b);
        for (const KernelTable* table : available_kernels())
          EXPECT_EQ(first_difference(expected, function.run(*table, a, b)), "")
              << function.name << " " << table->isa << " n " << n;
      }
    }
}

/// f16 rounding agrees with half.hpp for every class of number.
TEST(KernelVectors, HalvesRoundToNearestEven) {
  Rng rng(32);
  std::vector<float> x = {0.0f,  -0.0f,    65504.0f, 65519.9f,   65520.0f,
                          -1e9f, 0x1p-24f, 0x1p-25f, 0x1.8p-24f, HUGE_VALF};
  for (int i = 0; i < 20000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(rng.next()));
    x.push_back(std::isnan(value) ? 1.0f : value);
    x.push_back(static_cast<float>(std::ldexp(rng.normal(), static_cast<int>(rng.below(40)) - 25)));
  }
  for (const KernelTable* table : available_kernels()) {
    const std::vector<uint16_t> halves = to_f16(*table, x);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(halves[i], f16_from_float(x[i])) << x[i];
  }
}

/// Two units in the last place of exp, plus the roundings of the sum, the inverse and the product.
TEST(KernelVectors, SoftmaxIsAccurate) {
  Rng rng(33);
  for (const int64_t n : {1, 5, 333}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& value : x) value = static_cast<float>(20 * rng.normal());
    if (n > 1) x[1] = -HUGE_VALF;
    const float largest = *std::max_element(x.begin(), x.end());
    double sum = 0;
    // The subtraction rounds in f32; the reference takes the rounded difference.
    for (const float value : x) sum += std::exp(static_cast<double>(value - largest));
    std::vector<float> actual = x;
    available_kernels().front()->softmax(actual.data(), n);
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = std::exp(static_cast<double>(x[i] - largest)) / sum;
      const double roundings = 4 + 4 + static_cast<double>(n) / 16 + 7;  // half units: exp twice, sum, rest
      EXPECT_NEAR(actual[i], expected, expected * roundings * 0x1p-24 + 0x1p-126);
    }
    if (n > 1) {
      EXPECT_EQ(actual[1], 0.0f);
    }
  }
}

TEST(KernelVectors, SiluIsAccurateOverTheWholeRange) {
  std::vector<float> gate, up;
  for (int i = -12000; i <= 12000; ++i) {
    gate.push_back(static_cast<float>(i) / 100);
    up.push_back(1.0f);
  }
  std::vector<float> out(gate.size());
  available_kernels().front()->silu_mul(gate.data(), up.data(), length(gate), out.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i], expected = g / (1 + std::exp(-g));
    // exp to two units, the addition and the division; below 2^-126 steps are absolute, and below -89 the
    // result counts as zero.
    EXPECT_NEAR(out[i], expected, std::abs(expected) * 8 * 0x1p-24 + 0x1p-120) << g;
  }
}

TEST(KernelVectors, RmsNormIsAccurate) {
  Rng rng(34);
  const std::vector<float> x = random_activations(896, Draw::kOrdinary, rng);
  const std::vector<float> weight = random_activations(896, Draw::kOrdinary, rng);
  std::vector<float> out(x.size());
  available_kernels().front()->rms_norm(x.data(), weight.data(), 1e-6f, 896, out.data());
  double squares = 0;
  for (const float value : x) squares += static_cast<double>(value) * value;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = x[i] / std::sqrt(squares / 896 + 1e-6) * weight[i];
    // 56 + 4 roundings of the sum (halved by the root), six more after it.
    EXPECT_NEAR(out[i], expected, std::abs(expected) * 38 * 0x1p-24);
  }
}

}  // namespace
}  // namespace assay::test
