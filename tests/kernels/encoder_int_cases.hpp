#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "kernels/encoder_kernels.hpp"

// Random integer products for the tests and the measurements of the encoders' kernels.

namespace assay::test {

/// Memory that starts a cache line, as the kernels are fastest with.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  bool operator==(const LineAllocator&) const = default;
};
template <class T>
using Lines = std::vector<T, LineAllocator<T>>;

struct ProductShape {
  int64_t rows, cols, tokens;
  int64_t group_size = 0;  ///< 0: int8
};

inline std::string shape_name(const ProductShape& shape) {
  return std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + ", " + std::to_string(shape.tokens) +
         " tokens" + (shape.group_size ? ", groups of " + std::to_string(shape.group_size) : "");
}

enum class Codes {
  kAny,        ///< every code the format allows, equally likely
  kSaturated,  ///< the largest and the smallest alone
};

/// A weight, tokens and what the epilogue needs; the memory of codes ends where the interface says it may.
struct IntProduct {
  ProductShape shape;
  std::vector<int8_t> weight;         ///< [rows, cols], unpacked
  std::vector<float> scales;          ///< [rows] or [rows, cols / group_size]
  Lines<int8_t> tokens;               ///< [tokens, stride]
  std::vector<float> row_sums;        ///< [rows]; not the weight's own, which no product can tell
  std::vector<float> token_scales;    ///< [tokens]
  std::vector<float> token_offsets;   ///< [tokens]
  std::vector<float> bias, residual;  ///< [rows], [tokens, rows]
  int64_t stride;

  IntProduct(const ProductShape& wanted, Codes codes, Rng& rng)
      : shape(wanted),
        weight(static_cast<size_t>(wanted.rows * wanted.cols)),
        scales(static_cast<size_t>(wanted.rows * (wanted.group_size ? wanted.cols / wanted.group_size : 1))),
        stride((wanted.cols + 63) / 64 * 64) {
    tokens.resize(static_cast<size_t>(wanted.tokens * stride));
    row_sums.resize(static_cast<size_t>(wanted.rows));
    token_scales.resize(static_cast<size_t>(wanted.tokens));
    token_offsets.resize(static_cast<size_t>(wanted.tokens));
    bias.resize(static_cast<size_t>(wanted.rows));
    residual.resize(static_cast<size_t>(wanted.tokens * wanted.rows));
    const bool four_bits = wanted.group_size != 0;
    for (int8_t& code : weight) code = four_bits ? draw(codes, -8, 7, rng) : draw(codes, -127, 127, rng);
    for (int64_t t = 0; t < wanted.tokens; ++t)
      for (int64_t c = 0; c < wanted.cols; ++c)
        tokens[static_cast<size_t>(t * stride + c)] = draw(codes, -128, 127, rng);
    for (float& value : scales) value = static_cast<float>(rng.normal() * 0.01);
    for (float& value : token_scales) value = static_cast<float>(rng.uniform() * 0.05);
    for (std::vector<float>* floats : {&bias, &residual, &row_sums, &token_offsets})
      for (float& value : *floats) value = static_cast<float>(rng.normal());
  }

  Int8Tokens x() const { return {tokens.data(), token_scales.data(), token_offsets.data(), stride}; }

  Lines<std::byte> pack(const EncoderKernels& kernels) const {
    const auto [rows, cols, unused, group_size] = shape;
    if (group_size == 0) {
      Lines<std::byte> panels(kernels.int8_panel_bytes(rows, cols));
      kernels.pack_int8(weight.data(), rows, cols, panels.data());
      return panels;
    }
    std::vector<uint8_t> packed(weight.size() / 2);
    for (size_t i = 0; i < packed.size(); ++i)
      packed[i] = static_cast<uint8_t>((weight[2 * i] + 8) | (weight[2 * i + 1] + 8) << 4);
    Lines<std::byte> panels(kernels.int4_panel_bytes(rows, cols));
    kernels.pack_int4(packed.data(), rows, cols, panels.data());
    return panels;
  }

  void multiply(const EncoderKernels& kernels, const Lines<std::byte>& panels, ProductRange range,
                const Epilogue& epilogue, float* out, int64_t out_stride) const {
    if (shape.group_size == 0)
      return kernels.multiply_int8(panels.data(), scales.data(), row_sums.data(), shape.rows, shape.cols, x(),
                                   range, epilogue, out, out_stride);
    kernels.multiply_int4(panels.data(), scales.data(), row_sums.data(), shape.group_size, shape.rows,
                          shape.cols, x(), range, epilogue, out, out_stride);
  }

 private:
  static int8_t draw(Codes codes, int low, int high, Rng& rng) {
    if (codes == Codes::kSaturated) return static_cast<int8_t>(rng.below(2) == 0 ? low : high);
    return static_cast<int8_t>(low + static_cast<int>(rng.below(static_cast<uint64_t>(high - low + 1))));
  }
};

/// Where two arrays differ in their bits, two NaN being alike; empty where they agree.
inline std::string first_difference(const std::vector<float>& expected, const std::vector<float>& found) {
  if (expected.size() != found.size()) return "lengths differ";
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(found[i])) continue;
    if (std::memcmp(&expected[i], &found[i], sizeof(float)) != 0)
      return "value " + std::to_string(i) + ": expected " + std::to_string(expected[i]) + ", found " +
             std::to_string(found[i]);
  }
  return {};
}

}  // namespace assay::test
