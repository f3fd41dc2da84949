#include <gtest/gtest.h>

#include <string>

#include "kernels/cases.hpp"
#include "kernels/encoder_float_isa.hpp"

// The float kernels of the encoders: equal in every table and for every split, and right against double.

namespace assay::test {
namespace {

using Floats = std::vector<float>;
constexpr double kHalfUnit = 0x1p-24;

constexpr Activation kActivations[] = {Activation::kNone,      Activation::kGeluErf, Activation::kGeluTanh,
                                       Activation::kGeluQuick, Activation::kRelu,    Activation::kSilu,
                                       Activation::kTanh};

struct NamedTable {
  std::string isa;
  const EncoderFloatIsa* table;
};

/// The tables that this processor can run, scalar first.
std::vector<NamedTable> float_tables() {
  std::vector<NamedTable> tables = {{"scalar", &kScalarEncoderFloat}};
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  for (const KernelTable* known : available_kernels()) {
    if (known->isa == "avx2") tables.push_back({"avx2", &kAvx2EncoderFloat});
    if (known->isa == "avx512vnni") tables.push_back({"avx512", &kAvx512EncoderFloat});
  }
#endif
  return tables;
}

Floats random_floats(int64_t count, double magnitude, Rng& rng) {
  Floats x(static_cast<size_t>(count));
  for (float& value : x) value = static_cast<float>(magnitude * rng.normal());
  return x;
}

double exact_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::kGeluErf:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      // x/2 (1 + tanh u), written so that nothing cancels.
      return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluQuick:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kNone:
      break;
  }
  return x;
}

// ---- Products -------------------------------------------------------------------------------------------

struct Product {
  int64_t tokens, rows, cols;
  Floats weight, x, bias, residual;

  Product(int64_t token_count, int64_t row_count, int64_t col_count, Rng& rng)
      : tokens(token_count),
        rows(row_count),
        cols(col_count),
        weight(random_floats(rows * cols, 0.1, rng)),
        x(random_floats(tokens * x_stride(), 1, rng)),
        bias(random_floats(rows, 1, rng)),
        residual(random_floats(tokens * out_stride(), 1, rng)) {}

  int64_t x_stride() const { return cols + 3; }
  int64_t out_stride() const { return rows + 5; }

  std::vector<std::byte> pack(const EncoderFloatIsa& table) const {
    std::vector<std::byte> panels(table.f32_panel_bytes(rows, cols));
    table.pack_f32(weight.data(), rows, cols, panels.data());
    return panels;
  }
  /// In one call, or in calls of random ranges.
  Floats run(const EncoderFloatIsa& table, Epilogue epilogue, Rng* split = nullptr) const {
    const auto panels = pack(table);
    Floats out = residual;
    if (epilogue.residual != nullptr) epilogue.residual = out.data();  // in place
    const auto call = [&](ProductRange range) {
      table.multiply_f32(panels.data(), rows, cols, x.data(), x_stride(), range, epilogue, out.data(),
                         out_stride());
    };
    if (split == nullptr) {
      call({0, tokens, 0, rows});
      return out;
    }
    for (int64_t row = 0, next; row < rows; row = next) {
      next = row + kPanelRows * static_cast<int64_t>(1 + split->below(3));
      for (int64_t t = 0, end; t < tokens; t = end) {
        end = std::min(tokens, t + static_cast<int64_t>(1 + split->below(20)));
        call({t, end, row, std::min(next, rows)});
      }
    }
    return out;
  }
  Epilogue epilogue(Activation activation, bool biased, bool residual_too) const {
    return {.bias = biased ? bias.data() : nullptr,
            .activation = activation,
            .residual = residual_too ? residual.data() : nullptr,
            .residual_stride = out_stride()};
  }
};

TEST(EncoderFloatProduct, TablesAndSplitsAreEqual) {
  Rng rng(51);
  int turn = 0;
  for (const int64_t rows : {1, 31, 32, 33, 96, 130})
    for (const int64_t cols : {1, 5, 64, 129})
      for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 25, 61}) {
        const Product product(tokens, rows, cols, rng);
        ++turn;
        const Epilogue epilogue = product.epilogue(kActivations[turn % 7], turn % 2 == 0, turn % 3 == 0);
        const Floats expected = product.run(kScalarEncoderFloat, epilogue);
        for (const auto& [isa, table] : float_tables()) {
          EXPECT_EQ(first_difference(expected, product.run(*table, epilogue)), "")
              << isa << " " << tokens << " " << rows << "x" << cols;
          EXPECT_EQ(first_difference(expected, product.run(*table, epilogue, &rng)), "")
              << isa << " split " << tokens << " " << rows << "x" << cols;
        }
      }
}

/// More tokens than one block of them, which only wide weights with many tokens reach.
TEST(EncoderFloatProduct, BlocksOfTokensAreEqual) {
  Rng rng(52);
  const Product product(101, 33, 3000, rng);
  const Epilogue epilogue = product.epilogue(Activation::kNone, true, true);
  const Floats expected = product.run(kScalarEncoderFloat, epilogue);
  for (const auto& [isa, table] : float_tables())
    EXPECT_EQ(first_difference(expected, product.run(*table, epilogue)), "") << isa;
}

/// The largest excess of a product over its bound: cols roundings of a chain, and one for the bias.
double worst_product(const Product& product, const Floats& out) {
  double worst = 0;
  for (int64_t t = 0; t < product.tokens; ++t)
    for (int64_t r = 0; r < product.rows; ++r) {
      double sum = product.bias[static_cast<size_t>(r)], size = std::abs(sum);
      for (int64_t k = 0; k < product.cols; ++k) {
        const double term = static_cast<double>(product.weight[static_cast<size_t>(r * product.cols + k)]) *
                            product.x[static_cast<size_t>(t * product.x_stride() + k)];
        sum += term;
        size += std::abs(term);
      }
      const double bound = static_cast<double>(product.cols + 1) * kHalfUnit * size;
      worst = std::max(worst, std::abs(out[static_cast<size_t>(t * product.out_stride() + r)] - sum) / bound);
    }
  return worst;
}

TEST(EncoderFloatProduct, IsAccurate) {
  Rng rng(53);
  const Product product(14, 70, 300, rng);
  const Epilogue epilogue = product.epilogue(Activation::kNone, true, false);
  Floats out = product.run(kScalarEncoderFloat, epilogue);
  EXPECT_LE(worst_product(product, out), 1);
  // One weight of 300 left out of one value.
  out[static_cast<size_t>(3 * product.out_stride() + 40)] -=
      product.weight[40 * 300 + 7] * product.x[static_cast<size_t>(3 * product.x_stride() + 7)];
  EXPECT_GT(worst_product(product, out), 1);
}

TEST(EncoderFloatProduct, ADifferenceOfOneBitIsSeen) {
  Rng rng(54);
  const Product product(5, 40, 20, rng);
  const Floats expected = product.run(kScalarEncoderFloat, product.epilogue(Activation::kNone, true, false));
  Floats damaged = expected;
  damaged[17] = std::nextafter(damaged[17], 9.0f);
  EXPECT_NE(first_difference(expected, damaged), "");
}

// ---- Activations ----------------------------------------------------------------------------------------

/// [-20, 20] densely, every exponent, and what is no number.
Floats activation_inputs() {
  Floats x = {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, std::nanf(""), 0.625f, -0.625f, 8.0f, -8.0f};
  for (int i = -200000; i <= 200000; ++i) x.push_back(static_cast<float>(i) * 1e-4f);
  for (int e = -149; e < 128; ++e)
    for (const double m : {1.0, 1.3, -1.0, -1.9}) x.push_back(static_cast<float>(std::ldexp(m, e)));
  return x;
}

TEST(EncoderFloatActivation, TablesAreEqual) {
  const Floats inputs = activation_inputs();
  for (const Activation activation : kActivations) {
    Floats expected = inputs;
    kScalarEncoderFloat.activate(activation, expected.data(), static_cast<int64_t>(expected.size()));
    for (const auto& [isa, table] : float_tables())
      for (const size_t skip : {0u, 3u}) {  // every element in different lanes
        Floats out = inputs;
        table->activate(activation, out.data() + skip, static_cast<int64_t>(out.size() - skip));
        std::copy_n(expected.begin(), skip, out.begin());
        EXPECT_EQ(first_difference(expected, out), "")
            << isa << " activation " << static_cast<int>(activation);
      }
  }
}

/// Bounds by size: what the recipes of activation_constants.hpp promise times |x|, and roundings.
double activation_bound(Activation activation, double x, double exact) {
  const double units = std::abs(exact) * kHalfUnit, size = std::abs(x);
  switch (activation) {
    case Activation::kGeluErf:
      return 2.5e-7 * size / 2 + 2 * units;  // erf to 2.5e-7
    case Activation::kGeluTanh:
    case Activation::kGeluQuick:
    case Activation::kSilu: {
      // exp to two units, its power to three roundings, the sum, the quotient; where x / (1 + exp) leaves the
      // normal numbers, steps are absolute.
      const double power = std::min(104.0, activation == Activation::kGeluTanh
                                               ? 1.5957691216 * size * (1 + 0.044715 * size * size)
                                               : 1.702 * size);
      return units * (8 + 8 * power) + 0x1p-100;
    }
    case Activation::kTanh:
      return 6 * kHalfUnit * std::min(1.0, size);
    default:
      return 0;
  }
}

double worst_activation(Activation activation, const Floats& inputs, const Floats& outputs) {
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!std::isfinite(inputs[i]) || std::abs(inputs[i]) > 1e6f) continue;
    const double exact = exact_activation(activation, inputs[i]);
    const double bound = activation_bound(activation, inputs[i], exact) + 0x1p-149;
    worst = std::max(worst, std::abs(outputs[i] - exact) / bound);
  }
  return worst;
}

TEST(EncoderFloatActivation, IsAccurate) {
  const Floats inputs = activation_inputs();
  for (const Activation activation : kActivations) {
    Floats out = inputs;
    kScalarEncoderFloat.activate(activation, out.data(), static_cast<int64_t>(out.size()));
    EXPECT_LE(worst_activation(activation, inputs, out), 1) << static_cast<int>(activation);
  }
  // The tanh form in the place of the erf one is seen, though it differs by 5e-4 at most.
  Floats out = inputs;
  kScalarEncoderFloat.activate(Activation::kGeluTanh, out.data(), static_cast<int64_t>(out.size()));
  EXPECT_GT(worst_activation(Activation::kGeluErf, inputs, out), 1);
}

// ---- Layer norm -----------------------------------------------------------------------------------------

Floats normalize(const EncoderFloatIsa& table, const Floats& x, const Floats& weight, const Floats* bias,
                 float eps) {
  Floats out = x;  // in place
  table.layer_norm(out.data(), weight.data(), bias == nullptr ? nullptr : bias->data(), eps,
                   static_cast<int64_t>(x.size()), out.data());
  return out;
}

TEST(EncoderFloatLayerNorm, TablesAreEqual) {
  Rng rng(55);
  for (const int64_t n : {1, 2, 15, 16, 17, 31, 32, 100, 384, 1023})
    for (const double magnitude : {1.0, 1e-20, 1e15}) {
      const Floats x = random_floats(n, magnitude, rng), weight = random_floats(n, 1, rng),
                   bias = random_floats(n, 1, rng);
      for (const Floats* shift : {static_cast<const Floats*>(nullptr), &bias}) {
        const Floats expected = normalize(kScalarEncoderFloat, x, weight, shift, 1e-12f);
        for (const auto& [isa, table] : float_tables())
          EXPECT_EQ(first_difference(expected, normalize(*table, x, weight, shift, 1e-12f)), "")
              << isa << " n " << n;
      }
    }
}

/// The largest error of normalized values (weights 1, no biases), with the mean far from zero.
double worst_norm(const Floats& x, const Floats& out) {
  double mean = 0, variance = 0, worst = 0;
  for (const float value : x) mean += value / static_cast<double>(x.size());
  for (const float value : x) variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(out[i] - (x[i] - mean) / std::sqrt(variance + 1e-5)));
  return worst;
}

TEST(EncoderFloatLayerNorm, IsAccurate) {
  Rng rng(56);
  Floats x = random_floats(768, 1, rng);
  for (float& value : x) value += 3;
  const Floats ones(768, 1.0f);
  // The mean is off by 48 + 4 roundings of values near 3 at most (in practice by a few), and so is every
  // value; the root and the rest are relative.
  EXPECT_LE(worst_norm(x, normalize(kScalarEncoderFloat, x, ones, nullptr, 1e-5f)), 52 * 3 * kHalfUnit);
  EXPECT_LE(worst_norm(x, normalize(kScalarEncoderFloat, x, ones, nullptr, 1e-5f)), 1e-6);
  // The unbiased variance (n - 1) is seen.
  Floats wrong = normalize(kScalarEncoderFloat, x, ones, nullptr, 1e-5f);
  for (float& value : wrong) value *= std::sqrt(767.0f / 768.0f);
  EXPECT_GT(worst_norm(x, wrong), 52 * 3 * kHalfUnit);
}

// ---- Attention ------------------------------------------------------------------------------------------

struct Attention {
  int64_t length, head_dim, queries, window;
  bool has_relative;
  Floats q, k, v, relative;

  Attention(int64_t count, int64_t dim, int64_t wanted, int64_t reach, bool biased, Rng& rng)
      : length(count),
        head_dim(dim),
        queries(wanted),
        window(reach),
        has_relative(biased),
        q(random_floats(length * stride(), 2, rng)),
        k(random_floats(length * stride(), 2, rng)),
        v(random_floats(length * stride(), 1, rng)),
        relative(random_floats(2 * length - 1, 1, rng)) {}

  int64_t stride() const { return head_dim + 7; }
  int64_t out_stride() const { return head_dim + 2; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

  AttentionJob job(float* out) const {
    return {.q = q.data(),
            .k = k.data(),
            .v = v.data(),
            .out = out,
            .stride = stride(),
            .out_stride = out_stride(),
            .length = length,
            .queries = queries,
            .head_dim = head_dim,
            .scale = scale(),
            .window = window,
            .relative = has_relative ? relative.data() : nullptr};
  }
  /// `misaligned` scratch full of NaN, and a guard behind it.
  Floats run(const EncoderFloatIsa& table, size_t misaligned = 0) const {
    Floats out(static_cast<size_t>(length * out_stride()), -7.0f);
    const auto floats = static_cast<size_t>(attention_scratch(length, head_dim));
    Floats scratch(misaligned + floats + 1, std::nanf(""));
    scratch.back() = 12345.0f;
    table.attend(job(out.data()), scratch.data() + misaligned);
    EXPECT_EQ(scratch.back(), 12345.0f) << "attend wrote behind its scratch";
    return out;
  }
  std::string name() const {
    return "length " + std::to_string(length) + " head_dim " + std::to_string(head_dim) + " queries " +
           std::to_string(queries) + " window " + std::to_string(window) + " relative " +
           std::to_string(has_relative);
  }
};

TEST(EncoderFloatAttention, TablesAreEqual) {
  Rng rng(57);
  for (const int64_t length : {1, 2, 5, 11, 12, 13, 16, 17, 31, 32, 33, 64, 75, 130})
    for (const int64_t head_dim : {1, 8, 16, 24, 32, 40, 64, 80})
      for (const int64_t window : {0, 1, 2, 10, 64, 1000}) {
        const bool relative = rng.below(2) == 0;
        const int64_t queries = rng.below(4) == 0 ? 1 : length;
        const Attention attention(length, head_dim, queries, window, relative, rng);
        const Floats expected = attention.run(kScalarEncoderFloat);
        for (const auto& [isa, table] : float_tables())
          EXPECT_EQ(first_difference(expected, attention.run(*table, rng.below(16))), "")
              << isa << " " << attention.name();
      }
}

/// The first row is the same whether it is wanted alone or with the others.
TEST(EncoderFloatAttention, FirstQueryAloneIsEqual) {
  Rng rng(58);
  const Attention all(77, 32, 77, 16, true, rng);
  Attention first = all;
  first.queries = 1;
  for (const auto& [isa, table] : float_tables()) {
    Floats expected = all.run(*table), alone = first.run(*table);
    expected.resize(32);
    EXPECT_EQ(alone[static_cast<size_t>(all.out_stride())], -7.0f) << "wrote rows nobody wanted";
    alone.resize(32);
    EXPECT_EQ(first_difference(expected, alone), "") << isa;
  }
}

/// The largest excess over the bound: with d the largest error of a scaled score (head_dim roundings of its
/// products' sizes, and three more), a weight is off by 2d and some roundings of its size, the sum of values
/// by length roundings.
double worst_attention(const Attention& a, const Floats& out) {
  double worst = 0;
  const auto at = [](const Floats& x, int64_t i) { return static_cast<double>(x[static_cast<size_t>(i)]); };
  for (int64_t i = 0; i < a.queries; ++i) {
    std::vector<double> weights(static_cast<size_t>(a.length), 0);
    double sum = 0, score_error = 0;
    for (int64_t j = 0; j < a.length; ++j) {
      if (a.window > 0 && std::abs(i - j) > a.window / 2) continue;
      double score = 0, size = 0;
      for (int64_t d = 0; d < a.head_dim; ++d) {
        const double term = at(a.q, i * a.stride() + d) * at(a.k, j * a.stride() + d);
        score += term;
        size += std::abs(term);
      }
      const double bias = a.has_relative ? at(a.relative, j - i + a.length - 1) : 0;
      weights[static_cast<size_t>(j)] = std::exp(score * a.scale() + bias);
      sum += weights[static_cast<size_t>(j)];
      score_error =
          std::max(score_error,
                   (static_cast<double>(a.head_dim + 3) * size * a.scale() + 3 * std::abs(bias)) * kHalfUnit);
    }
    for (int64_t d = 0; d < a.head_dim; ++d) {
      double exact = 0, size = 0;
      for (int64_t j = 0; j < a.length; ++j) {
        const double term = weights[static_cast<size_t>(j)] / sum * at(a.v, j * a.stride() + d);
        exact += term;
        size += std::abs(term);
      }
      const double roundings = 4 + 4 + static_cast<double>(a.length) / 16 + 6 + static_cast<double>(a.length);
      const double bound = size * (2.1 * score_error + roundings * kHalfUnit);
      worst = std::max(worst, std::abs(at(out, i * a.out_stride() + d) - exact) / bound);
    }
  }
  return worst;
}

TEST(EncoderFloatAttention, IsAccurate) {
  Rng rng(59);
  for (const int64_t window : {0, 16})
    for (const bool relative : {false, true}) {
      const Attention attention(90, 32, 90, window, relative, rng);
      EXPECT_LE(worst_attention(attention, attention.run(kScalarEncoderFloat)), 1) << attention.name();
    }
}

TEST(EncoderFloatAttention, MistakesAreSeen) {
  Rng rng(60);
  const Attention right(90, 32, 90, 16, true, rng);
  Attention wider = right;
  wider.window = 18;  // one key more on either side
  EXPECT_GT(worst_attention(right, wider.run(kScalarEncoderFloat)), 1);
  Attention shifted = right;
  std::rotate(shifted.relative.begin(), shifted.relative.begin() + 1, shifted.relative.end());
  EXPECT_GT(worst_attention(right, shifted.run(kScalarEncoderFloat)), 1);
  Attention without = right;
  without.has_relative = false;
  EXPECT_GT(worst_attention(right, without.run(kScalarEncoderFloat)), 1);
}

}  // namespace
}  // namespace assay::test
