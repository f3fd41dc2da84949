#include "kernels/q8_rows.hpp"

#include <gtest/gtest.h>

#include "formats/format.hpp"
#include "kernels/cases.hpp"

namespace assay::test {
namespace {

TEST(Q8Rows, EveryTableUnpacksWhatTheFormatDefines) {
  Rng rng(51);
  const WeightFormat format = ggml_format(WeightKind::kQ8_0);
  for (const Draw draw : {Draw::kOrdinary, Draw::kExtreme})
    for (const int64_t blocks : {1, 2, 3, 64}) {
      const std::vector<float> source = random_activations(32 * blocks, draw, rng);
      std::vector<std::byte> rows(static_cast<size_t>(34 * blocks));
      format_ops(format).quantize_row(format, source.data(), 32 * blocks, nullptr,
                                      {rows.data(), nullptr, nullptr});
      std::vector<float> expected(source.size());
      format_ops(format).dequantize_row(format, {rows.data(), nullptr, nullptr}, 32 * blocks,
                                        expected.data());
      for (const KernelTable* table : available_kernels()) {
        std::vector<float> found(source.size());
        q8_unpacker(table->isa)(rows.data(), blocks, found.data());
        EXPECT_EQ(first_difference(expected, found), "") << table->isa << " blocks " << blocks;
        rows[5] ^= std::byte{1};  // planted: another code
        q8_unpacker(table->isa)(rows.data(), blocks, found.data());
        if (draw == Draw::kOrdinary) {
          EXPECT_NE(first_difference(expected, found), "") << table->isa;
        }
        rows[5] ^= std::byte{1};
      }
    }
}

}  // namespace
}  // namespace assay::test
