#include "tensor/weight_format.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "tensor/tensor_view.hpp"

namespace assay {
namespace {

TEST(WeightFormat, BitsPerWeightAreThePublishedOnes) {
  // ggml: docs of llama-quantize; MLX affine: bits + 32 / group_size with 16-bit scales.
  EXPECT_EQ(4.5, bits_per_weight(ggml_format(WeightKind::kQ4_K)));
  EXPECT_EQ(6.5625, bits_per_weight(ggml_format(WeightKind::kQ6_K)));
  EXPECT_EQ(8.5, bits_per_weight(ggml_format(WeightKind::kQ8_0)));
  EXPECT_EQ(3.4375, bits_per_weight(ggml_format(WeightKind::kQ3_K)));
  EXPECT_EQ(4.25, bits_per_weight(ggml_format(WeightKind::kMXFP4)));
  EXPECT_EQ(16, bits_per_weight(ggml_format(WeightKind::kBF16)));
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int group : {32, 64, 128}) {
      EXPECT_EQ(bits + 32.0 / group, bits_per_weight(mlx_format(bits, group, DType::kBF16)));
      EXPECT_EQ(bits + 64.0 / group, bits_per_weight(mlx_format(bits, group, DType::kF32)));
    }
  }
}

TEST(WeightFormat, TableHasEachIdAndNameOnce) {
  for (const WeightKindFacts& facts : weight_kinds()) {
    EXPECT_EQ(&facts, find_weight_kind(facts.name));
    EXPECT_EQ(&facts, find_weight_kind(static_cast<uint32_t>(facts.kind)));
  }
  for (const uint32_t removed : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 200u, 999u})
    EXPECT_EQ(nullptr, find_weight_kind(removed));
}

TEST(WeightFormat, PackedRowStepsThroughEveryPart) {
  std::vector<std::byte> codes(2 * 64), scales(2 * 4), biases(2 * 4);
  const WeightView view{mlx_format(8, 32, DType::kF16), 2, 64, codes, scales, biases};
  const PackedRow row = packed_row(view, 1);
  EXPECT_EQ(codes.data() + 64, row.codes);
  EXPECT_EQ(scales.data() + 4, row.scales);
  EXPECT_EQ(biases.data() + 4, row.biases);
}

TEST(WeightFormat, NamesAreTheFieldsOwn) {
  EXPECT_EQ("mlx-4bit-g64", format_name(mlx_format(4, 64, DType::kBF16)));
  EXPECT_EQ("Q5_1", format_name(ggml_format(WeightKind::kQ5_1)));
  EXPECT_THROW(plain_format(DType::kI8), Error);
}

TEST(CountElements, RefusesOverflowAndNegativeDimensions) {
  EXPECT_EQ(24, count_elements({2, 3, 4}));
  EXPECT_EQ(1, count_elements({}));
  EXPECT_EQ(0, count_elements({0, 5}));
  EXPECT_THROW(count_elements({int64_t{1} << 40, int64_t{1} << 40}), Error);
  EXPECT_THROW(count_elements({-1}), Error);
}

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i <= static_cast<int>(DType::kU64); ++i) {
    const auto type = static_cast<DType>(i);
    EXPECT_EQ(type, dtype_from_name(dtype_name(type)));
  }
  EXPECT_FALSE(dtype_from_name("F4"));
}

}  // namespace
}  // namespace assay
