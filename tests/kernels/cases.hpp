#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "base/rng.hpp"
#include "kernels/kernels.hpp"
#include "tensor/weight_format.hpp"

// Random weights and activations for the kernels' tests. Blocks are filled with random bytes and then given
// finite scales, so that the tests need no quantizer.

namespace assay::test {

/// How the random numbers of a case are drawn.
enum class Draw {
  kOrdinary,  ///< weights near 0.02, activations near 1
  kExtreme,   ///< any finite scale, saturated codes, activations from subnormal to 1e30 and all-zero groups
};

/// Every format with inner loops of its own: the plain ones, ggml's blocks, and MLX in all widths, groups and
/// scale types.
inline std::vector<WeightFormat> kernel_formats() {
  std::vector<WeightFormat> formats;
  for (const WeightKind kind : {WeightKind::kF32, WeightKind::kF16, WeightKind::kBF16, WeightKind::kQ4_0,
                                WeightKind::kQ4_1, WeightKind::kQ5_0, WeightKind::kQ5_1, WeightKind::kQ8_0,
                                WeightKind::kQ4_K, WeightKind::kQ5_K, WeightKind::kQ6_K})
    formats.push_back(ggml_format(kind));
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group_size : {32, 64, 128})
      for (const DType type : {DType::kF16, DType::kBF16, DType::kF32})
        formats.push_back(mlx_format(bits, group_size, type));
  return formats;
}

/// Those of them whose matmul_fast multiplies integers.
inline std::vector<WeightFormat> integer_formats() {
  std::vector<WeightFormat> formats = kernel_formats();
  std::erase_if(formats, [](const WeightFormat& format) { return !has_integer_products(format); });
  return formats;
}

inline std::string case_name(const WeightFormat& format, int64_t rows, int64_t cols) {
  const std::string scale_type(is_quantized(format) ? dtype_name(format.scale_type) : "");
  return format_name(format) + " " + scale_type + " " + std::to_string(rows) + "x" + std::to_string(cols);
}

/// Where the f16 numbers of a ggml block stand (blocks.hpp).
inline std::vector<size_t> f16_fields(WeightKind kind) {
  switch (kind) {
    case WeightKind::kQ4_0:
    case WeightKind::kQ5_0:
    case WeightKind::kQ8_0:
    case WeightKind::kIQ4_NL:
    case WeightKind::kIQ4_XS:
      return {0};
    case WeightKind::kQ4_1:
    case WeightKind::kQ5_1:
    case WeightKind::kQ4_K:
    case WeightKind::kQ5_K:
      return {0, 2};
    case WeightKind::kQ2_K:
      return {80, 82};
    case WeightKind::kQ3_K:
      return {108};
    case WeightKind::kQ6_K:
      return {208};
    default:
      return {};
  }
}

/// A random packed weight whose three parts start `misalignment` bytes past an aligned address.
class RandomWeight {
 public:
  RandomWeight(const WeightFormat& format, int64_t rows, int64_t cols, Draw draw, Rng& rng,
               size_t misalignment = 0)
      : misalignment_(misalignment) {
    const RowBytes bytes = row_bytes(format, cols);
    const auto count = static_cast<size_t>(rows);
    view_.format = format;
    view_.rows = rows;
    view_.cols = cols;
    view_.codes = fill(codes_, count * bytes.codes, draw, rng);
    view_.scales = fill(scales_, count * bytes.scales, draw, rng);
    view_.biases = fill(biases_, count * bytes.biases, draw, rng);
    fix_scales(draw, rng);
  }
  RandomWeight(const RandomWeight&) = delete;
  RandomWeight& operator=(const RandomWeight&) = delete;

  const WeightView& view() const { return view_; }
  /// Bytes that a test may damage.
  std::byte* codes() { return codes_.data() + misalignment_; }
  std::byte* scales() { return scales_.data() + misalignment_; }

 private:
  std::span<const std::byte> fill(std::vector<std::byte>& bytes, size_t count, Draw draw, Rng& rng) {
    bytes.resize(count + misalignment_);
    const bool saturated = draw == Draw::kExtreme && rng.below(3) == 0;
    for (std::byte& byte : bytes)
      byte = static_cast<std::byte>(!saturated ? rng.below(256) : rng.below(2) == 0 ? 255u : 0u);
    return std::span<const std::byte>(bytes).subspan(misalignment_);
  }

  static void put(std::byte* at, DType type, float value) {
    if (type == DType::kF32) {
      std::memcpy(at, &value, sizeof value);
      return;
    }
    const uint16_t bits = type == DType::kF16 ? f16_from_float(value) : bf16_from_float(value);
    std::memcpy(at, &bits, sizeof bits);
  }

  static float draw_scale(Draw draw, Rng& rng) {
    if (draw == Draw::kOrdinary)
      return static_cast<float>((rng.below(2) == 0 ? 0.02 : -0.02) * (0.5 + rng.uniform()));
    return float_from_f16(static_cast<uint16_t>(rng.below(0x7c00) | rng.below(2) << 15));
  }

  /// Puts finite numbers where the format has floats.
  void fix_scales(Draw draw, Rng& rng) {
    const WeightFormat& format = view_.format;
    if (format.kind == WeightKind::kMlxAffine || !is_quantized(format)) {
      const bool mlx = format.kind == WeightKind::kMlxAffine;
      const DType type = mlx                               ? format.scale_type
                         : format.kind == WeightKind::kF32 ? DType::kF32
                         : format.kind == WeightKind::kF16 ? DType::kF16
                                                           : DType::kBF16;
      for (std::vector<std::byte>* part : {mlx ? &scales_ : &codes_, &biases_})
        for (size_t at = misalignment_; at < part->size(); at += dtype_bytes(type))
          put(part->data() + at, type, draw_scale(draw, rng));
      return;
    }
    const auto block = row_bytes(format, block_length(format)).codes;
    for (size_t at = misalignment_; at < codes_.size(); at += block)
      for (const size_t field : f16_fields(format.kind))
        put(codes_.data() + at + field, DType::kF16, draw_scale(draw, rng));
  }

  size_t misalignment_;
  std::vector<std::byte> codes_, scales_, biases_;
  WeightView view_;
};

inline std::vector<float> random_activations(int64_t count, Draw draw, Rng& rng) {
  std::vector<float> x(static_cast<size_t>(count));
  double magnitude = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    if (draw == Draw::kExtreme && i % 32 == 0)
      magnitude = rng.below(6) == 0 ? 0 : std::pow(10.0, -40 + 70 * rng.uniform());
    // One pattern in four saturates: every code of the group becomes 127 or -127.
    const bool saturated = draw == Draw::kExtreme && i / 32 % 4 == 3;
    x[i] = static_cast<float>(magnitude * (saturated ? (rng.below(2) == 0 ? 1 : -1) : rng.normal()));
  }
  return x;
}

/// `tokens` rows of activations quantized by one table, with the arrays that QuantizedRow points into.
class QuantizedTokens {
 public:
  QuantizedTokens(const KernelTable& table, const std::vector<float>& x, int64_t tokens, int64_t cols)
      : codes_(x.size()), scales_(x.size() / 32), sums_(x.size() / 32) {
    for (int64_t t = 0; t < tokens; ++t) {
      int8_t* codes = codes_.data() + t * cols;
      float* scales = scales_.data() + t * cols / 32;
      int32_t* sums = sums_.data() + t * cols / 32;
      table.quantize_activations(x.data() + t * cols, cols, codes, scales, sums);
      rows_.push_back({codes, scales, sums});
    }
  }
  QuantizedTokens(const QuantizedTokens&) = delete;
  QuantizedTokens& operator=(const QuantizedTokens&) = delete;

  const QuantizedRow* rows() const { return rows_.data(); }
  const std::vector<int8_t>& codes() const { return codes_; }
  const std::vector<float>& scales() const { return scales_; }
  const std::vector<int32_t>& sums() const { return sums_; }
  int code(int64_t token, int64_t col) const { return rows_[static_cast<size_t>(token)].codes[col]; }
  /// The value that it stands for.
  double value(int64_t token, int64_t col) const {
    return static_cast<double>(rows_[static_cast<size_t>(token)].scales[col / 32]) * code(token, col);
  }

 private:
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
  std::vector<QuantizedRow> rows_;
};

/// Same bits, or both NaN.
inline bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

/// Where two vectors first differ in a bit; "" when nowhere.
inline std::string first_difference(const std::vector<float>& expected, const std::vector<float>& actual) {
  if (expected.size() != actual.size()) return "sizes differ";
  for (size_t i = 0; i < expected.size(); ++i)
    if (!same_bits(expected[i], actual[i]))
      return "[" + std::to_string(i) + "] " + std::to_string(expected[i]) +
             " != " + std::to_string(actual[i]);
  return {};
}

inline std::vector<float> run_exact(const KernelTable& table, const WeightView& weight,
                                    const std::vector<float>& x, int64_t tokens, int64_t out_stride) {
  std::vector<float> out(static_cast<size_t>(tokens * out_stride), -1.0f);
  table.matmul_exact(weight, 0, weight.rows, x.data(), tokens, out.data(), out_stride);
  return out;
}

inline std::vector<float> run_fast(const KernelTable& table, const WeightView& weight,
                                   const QuantizedTokens& x, int64_t tokens, int64_t out_stride) {
  std::vector<float> out(static_cast<size_t>(tokens * out_stride), -1.0f);
  table.matmul_fast(weight, 0, weight.rows, x.rows(), tokens, out.data(), out_stride);
  return out;
}

}  // namespace assay::test
