#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "formats/format.hpp"

namespace assay::test {

/// Every format of the registry, MLX in each width with every group size and scale type, int4 with every
/// group size.
inline std::vector<WeightFormat> all_formats() {
  std::vector<WeightFormat> formats;
  for (const FormatOps& ops : format_registry()) {
    if (ops.kind == WeightKind::kInt8) {
      formats.push_back(int8_format());
      continue;
    }
    if (ops.kind == WeightKind::kInt4) {
      for (const int group : {32, 64}) formats.push_back(int4_format(group));
      continue;
    }
    if (ops.kind != WeightKind::kMlxAffine) {
      formats.push_back(ggml_format(ops.kind));
      continue;
    }
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      for (const int group : {32, 64, 128}) {
        for (const DType type : {DType::kF16, DType::kBF16, DType::kF32}) {
          formats.push_back(mlx_format(bits, group, type));
        }
      }
    }
  }
  return formats;
}

/// Those that assay also writes.
inline std::vector<WeightFormat> writable_formats() {
  std::vector<WeightFormat> formats = all_formats();
  std::erase_if(formats, [](const WeightFormat& f) { return format_ops(f).quantize_row == nullptr; });
  return formats;
}

/// Those of them whose values are codes of whole bits; TQ1_0 has five codes in a byte.
inline std::vector<WeightFormat> quantized_formats() {
  std::vector<WeightFormat> formats = writable_formats();
  std::erase_if(formats,
                [](const WeightFormat& f) { return !is_quantized(f) || f.kind == WeightKind::kTQ1_0; });
  return formats;
}

/// Three levels of the largest magnitude: most values of a normal row become 0.
inline bool is_ternary(const WeightFormat& format) {
  return format.kind == WeightKind::kTQ1_0 || format.kind == WeightKind::kTQ2_0;
}

/// Those of which a row is a list of blocks, each packed for itself; all but int8.
inline std::vector<WeightFormat> block_formats() {
  std::vector<WeightFormat> formats = writable_formats();
  std::erase_if(formats, [](const WeightFormat& f) { return f.kind == WeightKind::kInt8; });
  return formats;
}

/// Those whose packing repeats itself; MLX derives its scale from extremes it may have clamped.
inline std::vector<WeightFormat> repeatable_formats() {
  std::vector<WeightFormat> formats = writable_formats();
  std::erase_if(formats, [](const WeightFormat& f) { return f.kind == WeightKind::kMlxAffine; });
  return formats;
}

/// Those that weigh errors by importance.
inline std::vector<WeightFormat> searched_formats() {
  std::vector<WeightFormat> formats = quantized_formats();
  std::erase_if(formats, [](const WeightFormat& f) {
    return f.kind == WeightKind::kMlxAffine || f.kind == WeightKind::kQ8_0 || f.kind == WeightKind::kInt8 ||
           f.kind == WeightKind::kMXFP4 || f.kind == WeightKind::kNVFP4 || is_ternary(f);
  });
  return formats;
}

/// A name that is unique and fits a test's.
inline std::string case_name(const WeightFormat& format) {
  std::string name = format_name(format);
  if (format.kind == WeightKind::kMlxAffine) name += "_" + std::string(dtype_name(format.scale_type));
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

/// One packed row with room of its own.
struct Packed {
  std::vector<std::byte> codes, scales, biases;
  PackedRow row() const { return {codes.data(), scales.data(), biases.data()}; }
  friend bool operator==(const Packed&, const Packed&) = default;
  friend void PrintTo(const Packed& packed, std::ostream* out) { *out << packed.codes.size() << " bytes"; }
};

inline Packed empty_row(const WeightFormat& format, int64_t cols) {
  const RowBytes bytes = row_bytes(format, cols);
  return {std::vector<std::byte>(bytes.codes), std::vector<std::byte>(bytes.scales),
          std::vector<std::byte>(bytes.biases)};
}

inline Packed pack(const WeightFormat& format, const std::vector<float>& source,
                   const float* importance = nullptr) {
  const auto cols = static_cast<int64_t>(source.size());
  Packed packed = empty_row(format, cols);
  format_ops(format).quantize_row(format, source.data(), cols, importance,
                                  {packed.codes.data(), packed.scales.data(), packed.biases.data()});
  return packed;
}

inline std::vector<float> unpack(const WeightFormat& format, const Packed& packed, int64_t cols) {
  std::vector<float> values(static_cast<size_t>(cols));
  format_ops(format).dequantize_row(format, packed.row(), cols, values.data());
  return values;
}

inline std::vector<float> bound_of(const WeightFormat& format, const std::vector<float>& source,
                                   const Packed& packed) {
  std::vector<float> bound(source.size());
  format_ops(format).error_bound(format, source.data(), packed.row(), static_cast<int64_t>(source.size()),
                                 bound.data());
  return bound;
}

/// How many values lie beyond the format's bound of the source: what `verify` counts.
inline int count_violations(const WeightFormat& format, const std::vector<float>& source,
                            const Packed& packed) {
  const std::vector<float> values = unpack(format, packed, static_cast<int64_t>(source.size()));
  const std::vector<float> bound = bound_of(format, source, packed);
  int beyond = 0;
  for (size_t i = 0; i < source.size(); ++i) beyond += !(std::abs(values[i] - source[i]) <= bound[i]);
  return beyond;
}

inline double squared_error(const std::vector<float>& values, const std::vector<float>& source) {
  double sum = 0;
  for (size_t i = 0; i < source.size(); ++i) {
    const double rest = static_cast<double>(values[i]) - source[i];
    sum += rest * rest;
  }
  return sum;
}

inline std::vector<float> normal_values(uint64_t seed, int64_t cols, double sigma) {
  Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(cols));
  for (float& value : values) value = static_cast<float>(rng.normal() * sigma);
  return values;
}

template <class T>
std::vector<T> read_numbers(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> numbers(bytes.size() / sizeof(T));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(T));
  return numbers;
}

}  // namespace assay::test
