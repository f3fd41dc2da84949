// Bytes that the formats' own implementations wrote (tests/golden/formats/make_goldens.py).
#include <gtest/gtest.h>

#include <fstream>
#include <span>
#include <sstream>

#include "base/half.hpp"
#include "base/sha256.hpp"
#include "formats/cases.hpp"
#include "support/test_data.hpp"

namespace assay::test {
namespace {

constexpr int64_t kRows = 12, kCols = 512, kMlxRows = 4;

std::filesystem::path golden(const std::string& name) {
  return source_file("tests/golden/formats/" + name);
}

std::vector<float> source_row(int64_t row) {
  const auto all = read_numbers<float>(golden("source.f32"));
  return {all.begin() + row * kCols, all.begin() + (row + 1) * kCols};
}

/// Lines of a golden index, split at spaces.
std::vector<std::vector<std::string>> read_index(const std::string& name) {
  std::ifstream file(golden(name));
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<std::string>(words), std::istream_iterator<std::string>());
  }
  return lines;
}

std::string digest(const std::vector<float>& values) {
  return sha256_of(std::as_bytes(std::span(values)));
}

/// Formats whose search is assay's own: not ggml's bytes, but never more than its error.
bool has_own_search(const WeightFormat& format) {
  return format.kind == WeightKind::kIQ4_NL || format.kind == WeightKind::kIQ4_XS;
}

/// Sum of weight * error^2, where a weight is x^2, or by importance what the search minimizes.
double searched_error(const std::vector<float>& values, const std::vector<float>& source,
                      const float* importance, int64_t neighbourhood) {
  double sum = 0, energy = 0;
  for (size_t i = 0; i < source.size(); ++i) {
    const double x = source[i], rest = values[i] - x;
    if (i % static_cast<size_t>(neighbourhood) == 0) {
      energy = 0;
      for (int64_t j = 0; j < neighbourhood; ++j)
        energy += 2 * std::pow(source[i + static_cast<size_t>(j)], 2) / static_cast<double>(neighbourhood);
    }
    sum += (importance ? importance[i] * std::sqrt(energy + x * x) : x * x) * rest * rest;
  }
  return sum;
}

/// Errors over the rows of a tensor, each relative to what the row holds.
struct RelativeErrors {
  double plain = 0, searched = 0;

  void add(const WeightFormat& format, const std::vector<float>& source, const float* weights,
           const Packed& packed) {
    const std::vector<float> values = unpack(format, packed, kCols), zeros(source.size());
    const int64_t neighbourhood = block_length(format);
    plain += squared_error(values, source) / squared_error(zeros, source);
    searched += searched_error(values, source, weights, neighbourhood) /
                searched_error(zeros, source, weights, neighbourhood);
  }
};

TEST(Goldens, GgmlDecodesAndPacksToTheSameBytes) {
  const auto bytes = read_numbers<std::byte>(golden("ggml.bin"));
  const auto importance = read_numbers<float>(golden("importance.f32"));
  const auto lines = read_index("ggml.txt");
  ASSERT_EQ(lines.size(), 23u);
  for (const auto& line : lines) {
    SCOPED_TRACE(line[0] + " " + line[1]);
    const WeightFormat format = ggml_format(find_weight_kind(std::string_view(line[0]))->kind);
    const size_t row_size = row_bytes(format, kCols).codes;
    ASSERT_EQ(std::stoul(line[3]), row_size * kRows);
    std::vector<float> decoded;
    RelativeErrors ours, theirs;
    for (int64_t row = 0; row < kRows; ++row) {
      const std::byte* at = bytes.data() + std::stoul(line[2]) + row * row_size;
      const Packed golden_row{{at, at + row_size}, {}, {}};
      const std::vector<float> values = unpack(format, golden_row, kCols);
      decoded.insert(decoded.end(), values.begin(), values.end());
      EXPECT_EQ(count_violations(format, source_row(row), golden_row), 0) << "row " << row;
      if (!format_ops(format).quantize_row) continue;
      const float* weights = line[1] == "plain" ? nullptr : importance.data();
      if (has_own_search(format)) {
        theirs.add(format, source_row(row), weights, golden_row);
        ours.add(format, source_row(row), weights, pack(format, source_row(row), weights));
      } else {
        EXPECT_EQ(pack(format, source_row(row), weights), golden_row) << "row " << row;
      }
    }
    EXPECT_LE(ours.plain, theirs.plain);
    EXPECT_LE(ours.searched, theirs.searched);
    EXPECT_EQ(digest(decoded), line[4]) << "decoded values differ";
  }
}

// Random bytes, in which only the scales were kept finite: every code of every table occurs.
TEST(Goldens, RandomBlocksDecodeLikeGgufPy) {
  const auto bytes = read_numbers<std::byte>(golden("decode.bin"));
  const auto lines = read_index("decode.txt");
  ASSERT_EQ(lines.size(), 24u);
  for (const auto& line : lines) {
    SCOPED_TRACE(line[0]);
    const WeightFormat format = ggml_format(find_weight_kind(std::string_view(line[0]))->kind);
    const std::byte* at = bytes.data() + std::stoul(line[1]);
    const Packed packed{{at, at + std::stoul(line[2])}, {}, {}};
    const size_t block = row_bytes(format, block_length(format)).codes;
    const auto cols = static_cast<int64_t>(packed.codes.size() / block) * block_length(format);
    EXPECT_EQ(digest(unpack(format, packed, cols)), line[3]);
    Packed wrong = packed;
    wrong.codes[block / 2] ^= std::byte{0x55};
    EXPECT_NE(digest(unpack(format, wrong, cols)), line[3]) << "a changed byte went unseen";
  }
}

/// The source as MLX saw it: rounded to the type of the weights.
std::vector<float> rounded(std::vector<float> values, DType type) {
  for (float& value : values) {
    if (type == DType::kF16) value = float_from_f16(f16_from_float(value));
    if (type == DType::kBF16) value = float_from_bf16(bf16_from_float(value));
  }
  return values;
}

TEST(Goldens, MlxDecodesAndPacksToTheSameBytes) {
  const auto bytes = read_numbers<std::byte>(golden("mlx.bin"));
  const auto lines = read_index("mlx.txt");
  ASSERT_EQ(lines.size(), 54u);
  for (const auto& line : lines) {
    const DType type = *dtype_from_name(line[2]);
    const WeightFormat format = mlx_format(std::stoi(line[0]), std::stoi(line[1]), type);
    SCOPED_TRACE(case_name(format));
    const RowBytes sizes = row_bytes(format, kCols);
    ASSERT_EQ(std::stoul(line[4]), sizes.codes * kMlxRows);
    ASSERT_EQ(std::stoul(line[5]), sizes.scales * kMlxRows);
    const std::byte* codes = bytes.data() + std::stoul(line[3]);
    const std::byte* scales = codes + sizes.codes * kMlxRows;
    const std::byte* biases = scales + sizes.scales * kMlxRows;
    std::vector<float> decoded;
    for (int64_t row = 0; row < kMlxRows; ++row) {
      const std::byte *c = codes + row * sizes.codes, *s = scales + row * sizes.scales,
                      *b = biases + row * sizes.biases;
      const Packed golden_row{{c, c + sizes.codes}, {s, s + sizes.scales}, {b, b + sizes.biases}};
      const std::vector<float> values = unpack(format, golden_row, kCols);
      decoded.insert(decoded.end(), values.begin(), values.end());
      const std::vector<float> source = rounded(source_row(row), type);
      EXPECT_EQ(count_violations(format, source, golden_row), 0) << "row " << row;
      EXPECT_EQ(pack(format, source), golden_row) << "row " << row;
    }
    EXPECT_EQ(digest(decoded), line[7]) << "decoded values differ";
  }
}

// w_i = (i - 16) / 8: scale 1/4 and bias -2 by hand; ties go to even codes; 15.5 is clamped to 15.
TEST(Goldens, MlxByHand) {
  std::vector<float> source(32);
  for (int i = 0; i < 32; ++i) source[static_cast<size_t>(i)] = static_cast<float>(i - 16) / 8;
  const Packed packed = pack(mlx_format(4, 32, DType::kF32), source);
  uint32_t first;
  float scale, bias;
  std::memcpy(&first, packed.codes.data(), 4);
  std::memcpy(&scale, packed.scales.data(), 4);
  std::memcpy(&bias, packed.biases.data(), 4);
  EXPECT_EQ(first, 0x43222100u);
  EXPECT_EQ(scale, 0.25f);
  EXPECT_EQ(bias, -2.0f);
  EXPECT_EQ(std::to_integer<int>(packed.codes.back()) >> 4, 15);
}

TEST(Goldens, PlainNumbersByHand) {
  const std::vector<float> source = {1.0f, -2.5f, 65504.0f, 0.1f};
  const Packed half = pack(ggml_format(WeightKind::kF16), source);
  const Packed brain = pack(ggml_format(WeightKind::kBF16), source);
  const uint16_t half_bits[] = {0x3c00, 0xc100, 0x7bff, 0x2e66};
  const uint16_t brain_bits[] = {0x3f80, 0xc020, 0x4780, 0x3dcd};
  EXPECT_EQ(std::memcmp(half.codes.data(), half_bits, sizeof half_bits), 0);
  EXPECT_EQ(std::memcmp(brain.codes.data(), brain_bits, sizeof brain_bits), 0);
}

TEST(Registry, KnowsWhatItCanDecode) {
  for (const FormatOps& ops : format_registry()) {
    EXPECT_NE(ops.dequantize_row, nullptr);
    EXPECT_NE(ops.error_bound, nullptr);
    EXPECT_NE(ops.is_finite, nullptr);
  }
  EXPECT_EQ(find_format_ops(ggml_format(WeightKind::kQ8_K)), nullptr);
  EXPECT_THROW(format_ops(ggml_format(WeightKind::kQ8_K)), std::runtime_error);
}

}  // namespace
}  // namespace assay::test
