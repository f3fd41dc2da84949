#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tensor/dtype.hpp"

namespace assay {

/// How the numbers of a weight are laid out. The values of ggml's kinds are ggml's type ids (ggml.h), so a
/// GGUF file's type field converts by a cast after find_weight_kind() has vouched for it.
enum class WeightKind : uint8_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kMlxAffine = 200,  ///< MLX: codes in a bitstream, scale and bias per group in tensors of their own
  kInt8 = 201,       ///< encoders: i8 codes in [-127, 127], one f32 scale a row
  kInt4 = 202,  ///< encoders: two codes a byte (code + 8, the first in the low nibble), f16 scales a group
};

/// The layout of one packed weight. bits, group_size and scale_type belong to kMlxAffine and kInt4
/// (group_size 32 or 64) alone.
struct WeightFormat {
  WeightKind kind = WeightKind::kF32;
  uint8_t bits = 0;                ///< 2, 3, 4, 5, 6 or 8
  uint16_t group_size = 0;         ///< 32, 64 or 128
  DType scale_type = DType::kF32;  ///< of scales and biases: F16, BF16 or F32

  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

/// Plain facts of a ggml kind. Source: ggml-common.h (block structs), ggml.c (type_traits).
struct WeightKindFacts {
  WeightKind kind;
  std::string_view name;  ///< "Q4_K"
  int block_len;          ///< values per block
  int block_bytes;        ///< bytes per block
};

/// Every ggml kind that may stand in a GGUF file, whether assay can decode it or not.
std::span<const WeightKindFacts> weight_kinds() noexcept;
const WeightKindFacts* find_weight_kind(uint32_t ggml_type) noexcept;
const WeightKindFacts* find_weight_kind(std::string_view name) noexcept;

/// The plain format of an element type: F32, F16 or BF16. Throws Error for any other.
WeightFormat plain_format(DType dtype);
WeightFormat ggml_format(WeightKind kind) noexcept;
WeightFormat mlx_format(int bits, int group_size, DType scale_type) noexcept;

WeightFormat int8_format() noexcept;
WeightFormat int4_format(int group_size) noexcept;

/// "Q4_K", "BF16", "mlx-4bit-g64", "int8", "int4-g64".
std::string format_name(const WeightFormat& format);
/// True where values are codes with scales, false for F32, F16, BF16 and the other plain numbers.
bool is_quantized(const WeightFormat& format) noexcept;
/// Values that share one block (ggml) or group (MLX, int4); a row's length must be a multiple of it. 1 for
/// plain formats and for int8, whose scale belongs to a row of any length.
int block_length(const WeightFormat& format) noexcept;
/// Mean bits per value with scales and biases, e.g. 4.5 for Q4_K. The one scale a row of int8 is not counted:
/// its share depends on the row's length.
double bits_per_weight(const WeightFormat& format) noexcept;

/// Bytes of one row of `cols` values, by part. ggml and plain kinds use `codes` alone.
struct RowBytes {
  size_t codes = 0, scales = 0, biases = 0;
  size_t total() const noexcept { return codes + scales + biases; }
};
/// cols must be a multiple of block_length(format).
RowBytes row_bytes(const WeightFormat& format, int64_t cols) noexcept;

/// A packed weight of rows × cols, cols contiguous and reduced by a product. ggml's blocks and plain numbers
/// lie in `codes`; MLX has codes, scales and biases apart. Each part is rows * row_bytes().part long.
/// Pointers may be unaligned.
struct WeightView {
  WeightFormat format;
  int64_t rows = 0, cols = 0;
  std::span<const std::byte> codes, scales, biases;

  size_t bytes() const noexcept { return codes.size() + scales.size() + biases.size(); }
};

/// One row of a WeightView, and its writable twin.
struct PackedRow {
  const std::byte *codes = nullptr, *scales = nullptr, *biases = nullptr;
};
struct PackedRowOut {
  std::byte *codes = nullptr, *scales = nullptr, *biases = nullptr;
};
PackedRow packed_row(const WeightView& weight, int64_t row) noexcept;

}  // namespace assay
