#include "convert/weight_check.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "base/rng.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

constexpr int64_t kRows = 16, kCols = 512;

/// A random source, its packing by assay, and ways to ruin that: the scale is multiplied, and every code is
/// chosen nearest to its source again, so that each value errs by no more than half of the (stored) step.
class Packed {
 public:
  explicit Packed(const WeightFormat& format, const float* importance = nullptr)
      : format_(format), bytes_(row_bytes(format, kCols)) {
    Rng rng(11);
    source_.resize(kRows * kCols);
    for (float& value : source_) value = static_cast<float>(0.03 * rng.normal());
    // The pipeline casts an MLX source to the type of its scales first.
    if (format.kind == WeightKind::kMlxAffine && format.scale_type == DType::kBF16)
      for (float& value : source_) value = float_from_bf16(bf16_from_float(value));
    codes_.resize(bytes_.codes * kRows), scales_.resize(bytes_.scales * kRows);
    biases_.resize(bytes_.biases * kRows);
    for (int64_t row = 0; row < kRows; ++row)
      format_ops(format).quantize_row(format, source_.data() + row * kCols, kCols, importance, out(row));
  }

  WeightCheck check() {
    ThreadPool pool(2);
    ModelTensor tensor;
    tensor.weight = {plain_format(DType::kF32), kRows, kCols, std::as_bytes(std::span(source_)), {}, {}};
    const SourceWeight source(tensor, 0, std::nullopt);
    return check_weight({format_, kRows, kCols, codes_, scales_, biases_}, source, pool);
  }

  /// Blocks of 32: an F16 scale, then codes.
  void ruin_q8_0(float times) {
    for (size_t block = 0; block < source_.size() / 32; ++block) {
      std::byte* bytes = codes_.data() + block * 34;
      const float scale = multiply_half(bytes, times);
      for (size_t i = 0; i < 32; ++i)
        bytes[2 + i] =
            static_cast<std::byte>(static_cast<int8_t>(nearest(block * 32 + i, 0.0f, scale, -127, 127)));
    }
  }

  void ruin_q4_0(float times) {
    for (size_t block = 0; block < source_.size() / 32; ++block) {
      std::byte* bytes = codes_.data() + block * 18;
      const float scale = multiply_half(bytes, times);
      for (size_t i = 0; i < 16; ++i) {
        const int low = nearest(block * 32 + i, 0.0f, scale, -8, 7) + 8;
        const int high = nearest(block * 32 + 16 + i, 0.0f, scale, -8, 7) + 8;
        bytes[2 + i] = static_cast<std::byte>(low | high << 4);
      }
    }
  }

  /// Super-blocks of 256: 128 bytes of low nibbles, 64 of high pairs, 16 scales of 8 bits, an F16 scale.
  void ruin_q6_k(float times) {
    for (size_t block = 0; block < source_.size() / 256; ++block) {
      std::byte* bytes = codes_.data() + block * 210;
      const float scale = multiply_half(bytes + 208, times);
      int codes[256];
      for (size_t i = 0; i < 256; ++i) {
        const int sub = std::to_integer<int8_t>(bytes[192 + i / 16]);
        codes[i] = nearest(block * 256 + i, 0.0f, scale * static_cast<float>(sub), -32, 31) + 32;
      }
      for (size_t half = 0; half < 2; ++half)
        for (size_t l = 0; l < 32; ++l) {
          const int* c = codes + half * 128 + l;
          bytes[half * 64 + l] = static_cast<std::byte>((c[0] & 15) | (c[64] & 15) << 4);
          bytes[half * 64 + 32 + l] = static_cast<std::byte>((c[32] & 15) | (c[96] & 15) << 4);
          bytes[128 + half * 32 + l] =
              static_cast<std::byte>(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
        }
    }
  }

  /// Codes of 4 or 8 bits, lowest bits first; scales and biases in BF16.
  void ruin_mlx(float times) {
    const size_t group = format_.group_size, per_byte = 8u / format_.bits;
    std::fill(codes_.begin(), codes_.end(), std::byte{0});
    for (size_t i = 0; i < source_.size(); ++i) {
      uint16_t scale_bits = 0, bias_bits = 0;
      std::memcpy(&scale_bits, scales_.data() + i / group * 2, 2);
      std::memcpy(&bias_bits, biases_.data() + i / group * 2, 2);
      const float scale = float_from_bf16(bf16_from_float(float_from_bf16(scale_bits) * times));
      const int code = nearest(i, float_from_bf16(bias_bits), scale, 0, (1 << format_.bits) - 1);
      codes_[i / per_byte] |= static_cast<std::byte>(code << (i % per_byte * format_.bits));
    }
    for (size_t at = 0; at < scales_.size(); at += 2) {
      uint16_t bits = 0;
      std::memcpy(&bits, scales_.data() + at, 2);
      bits = bf16_from_float(float_from_bf16(bits) * times);
      std::memcpy(scales_.data() + at, &bits, 2);
    }
  }

 private:
  PackedRowOut out(int64_t row) {
    const size_t at = static_cast<size_t>(row);
    return {codes_.data() + at * bytes_.codes, scales_.data() + at * bytes_.scales,
            biases_.data() + at * bytes_.biases};
  }

  static float multiply_half(std::byte* bytes, float times) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes, 2);
    bits = f16_from_float(float_from_f16(bits) * times);
    std::memcpy(bytes, &bits, 2);
    return float_from_f16(bits);
  }

  int nearest(size_t element, float bias, float scale, int least, int most) const {
    if (scale == 0.0f) return 0;
    return std::clamp(static_cast<int>(std::nearbyint((source_[element] - bias) / scale)), least, most);
  }

  WeightFormat format_;
  RowBytes bytes_;
  std::vector<float> source_;
  std::vector<std::byte> codes_, scales_, biases_;
};

struct Case {
  WeightFormat format;
  void (Packed::*ruin)(float);
};
const Case kCases[] = {{ggml_format(WeightKind::kQ8_0), &Packed::ruin_q8_0},
                       {ggml_format(WeightKind::kQ4_0), &Packed::ruin_q4_0},
                       {ggml_format(WeightKind::kQ6_K), &Packed::ruin_q6_k},
                       {mlx_format(8, 64, DType::kBF16), &Packed::ruin_mlx},
                       {mlx_format(4, 64, DType::kBF16), &Packed::ruin_mlx}};

TEST(WeightCheck, ScalesFarTooLargePassTheErrorBoundButNotThePacking) {
  for (const Case& planted : kCases)
    for (const float times : {2.0f, 100.0f}) {
      Packed packed(planted.format);
      (packed.*planted.ruin)(times);
      const WeightCheck found = packed.check();
      EXPECT_EQ(found.beyond, 0u) << "the bound believes the scale of " << format_name(planted.format);
      EXPECT_TRUE(found.is_badly_packed())
          << format_name(planted.format) << " x " << times << ": " << found.packing_ratio();
    }
}

// The ruin itself is right: times 1 changes nothing that counts.
TEST(WeightCheck, NearestCodesUnderTheGenuineScaleAreWellPacked) {
  for (const Case& planted : kCases) {
    Packed packed(planted.format);
    (packed.*planted.ruin)(1.0f);
    EXPECT_FALSE(packed.check().is_badly_packed()) << format_name(planted.format);
    EXPECT_LE(packed.check().packing_ratio(), 1.05) << format_name(planted.format);
  }
}

TEST(WeightCheck, SearchesByImportanceAreWellPacked) {
  // Spread as activations' mean squares are: a factor of ten between columns is common.
  Rng rng(5);
  std::vector<float> importance(kCols);
  for (float& weight : importance) weight = static_cast<float>(std::exp(1.2 * rng.normal()));
  double worst = 0.0;
  for (const FormatOps& ops : format_registry()) {
    // ggml's kinds alone: the others need a group, and take no importance.
    if (ops.quantize_row == nullptr || ops.kind >= WeightKind::kMlxAffine) continue;
    const WeightCheck found = Packed(ggml_format(ops.kind), importance.data()).check();
    worst = std::max(worst, found.packing_ratio());
    EXPECT_LT(found.packing_ratio(), 1.2) << format_name(ggml_format(ops.kind));
  }
  EXPECT_GT(worst, 1.01) << "the search took no notice of importance";
}

TEST(WeightCheck, EveryFormatsOwnPackingHasTheRatioOne) {
  for (const FormatOps& ops : format_registry()) {
    if (ops.quantize_row == nullptr || ops.kind >= WeightKind::kMlxAffine) continue;
    const WeightCheck found = Packed(ggml_format(ops.kind)).check();
    EXPECT_FALSE(found.is_badly_packed());
    EXPECT_EQ(found.has_packing, is_quantized(ggml_format(ops.kind)));
    EXPECT_EQ(found.packing_ratio(), found.stored_squares > 0.0 && found.has_packing ? 1.0 : 0.0)
        << format_name(ggml_format(ops.kind));
  }
}

}  // namespace
}  // namespace assay
