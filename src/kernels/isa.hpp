#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/quantized_row.hpp"

// What an instruction set's files see of the rest of the house: plain structs and nothing that could make
// the compiler emit a shared inline function with instructions other processors lack.

namespace assay {

/// The row layouts that have inner loops of their own. kOther is decoded by formats/.
enum class Layout : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMlx,
  kOther,
};

enum class ScaleType : uint8_t { kF16, kBF16, kF32 };

/// A WeightView reduced to pointers. bits, group_size and scale_type are set for kMlx alone.
struct PackedMatrix {
  Layout layout;
  ScaleType scale_type;
  int bits;
  int group_size;
  int64_t cols;
  const uint8_t *codes, *scales, *biases;
  int64_t codes_stride, scales_stride, biases_stride;  ///< bytes per row
};

/// matmul_exact of a quantized weight decodes this many columns of four rows at a time (a multiple of every
/// block length, small enough for the first-level cache) and multiplies them with so many tokens.
inline constexpr int64_t kDecodedStride = 256;
inline constexpr int64_t kDecodedRows = 4;
inline constexpr int64_t kTokenTile = 32;
/// From so many tokens on products unpack panels.
inline constexpr int64_t kPanelTokens = 16;

/// A float panel is multiplied in tiles of so many rows, by at most so many tokens.
inline constexpr int64_t kFloatTileRows = 4;
inline constexpr int64_t kFloatTileTokens = 6;

/// out[t * out_stride + r] = dot(row r of the panel, x[t * cols …]), as matmul_exact has it.
struct FloatPanelJob {
  const float* panel;  ///< [tiles, cols / 16, kFloatTileRows, 16]; rows that the last tile lacks are zeros
  int64_t rows, cols;  ///< cols is a multiple of 16
  const float* x;      ///< [tokens, cols]
  int64_t tokens;
  float* out;
  int64_t out_stride;
  float* lanes;  ///< scratch: 16 * kFloatTileTokens floats for every row of the tiles
};

/// What one instruction set provides to the drivers in kernels.cpp.
struct IsaTable {
  const char* name;

  /// Columns [begin, begin + count) of a row, decoded exactly; begin is a multiple of 256, and so is count
  /// unless the piece ends the row. Any layout but kOther.
  void (*decode)(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept;
  /// For four rows of kDecodedStride decoded weights and n columns (a multiple of 16) of some tokens:
  /// lanes[(kTokenTile * r + t) * 16 + e % 16] = fma(w[kDecodedStride * r + e], x[t * x_stride + e], …).
  void (*accumulate)(const float* w, const float* x, int64_t x_stride, int64_t tokens, int64_t n,
                     float* lanes) noexcept;
  /// matmul_exact for kF32, kF16, kBF16.
  void (*matmul_plain)(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t tokens, float* out, int64_t out_stride) noexcept;
  /// Null where accumulate does it.
  void (*multiply_float_panel)(const FloatPanelJob& job) noexcept;
  /// matmul_fast for every layout between kQ4_0 and kMlx.
  void (*matmul_fast)(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end,
                      const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride) noexcept;

  /// The same for many tokens (kPanelTokens at least): unpacks panels of rows once for all tokens, in
  /// panel_bytes(matrix) bytes of scratch aligned to 64. Both null where matmul_fast does it all.
  size_t (*panel_bytes)(const PackedMatrix& matrix) noexcept;
  void (*matmul_panels)(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end,
                        const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride,
                        uint8_t* scratch) noexcept;

  // As in KernelTable; all four null where dot and add_scaled do it.
  void (*score)(const Queries& queries, const float* keys, int64_t n_keys, float scale, float* scores,
                int64_t stride) noexcept;
  void (*score_f16)(const Queries& queries, const uint16_t* keys, int64_t n_keys, float scale, float* scores,
                    int64_t stride) noexcept;
  void (*mix)(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept;
  void (*mix_f16)(const float* weights, int64_t stride, int64_t queries, const uint16_t* values,
                  int64_t n_keys, int64_t dim, float* out, int64_t out_stride) noexcept;

  // As in KernelTable.
  void (*quantize_activations)(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums);
  float (*dot)(const float* a, const float* b, int64_t n);
  float (*dot_f16)(const float* a, const uint16_t* b, int64_t n);
  void (*add_scaled)(float scale, const float* x, float* y, int64_t n);
  void (*add_scaled_f16)(float scale, const uint16_t* x, float* y, int64_t n);
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  void (*softmax)(float* x, int64_t n);
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out);
  void (*f16_from_f32)(const float* x, int64_t n, uint16_t* out);
};

extern const IsaTable kScalarIsa;
extern const IsaTable kAvx2Isa;
extern const IsaTable kAvx512Isa;
extern const IsaTable kAmxIsa;

/// exp(x) as every table computes it: x = n ln2 + r, a polynomial in r, and 2^n applied in two halves so that
/// overflow and subnormal results round as they should. Coefficients: Cephes expf (S. Moshier), whose error
/// is below 2 units in the last place.
inline constexpr float kExpHighest = 89.0f;   ///< exp is infinite from here on
inline constexpr float kExpLowest = -104.0f;  ///< and zero down here
inline constexpr float kLog2E = 1.44269504088896341f;
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kExpCoefficients[6] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                              4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
/// Adding 1.5 * 2^23 leaves the nearest integer (ties to even) in the low bits of a float below 2^22.
inline constexpr float kRoundMagic = 12582912.0f;
inline constexpr uint32_t kRoundMagicBits = 0x4b400000u;

/// Groups whose largest magnitude (as bits) is below this count as zero in quantize_activations: 2^-100.
inline constexpr uint32_t kTinyActivationBits = 0x0d800000u;
inline constexpr uint32_t kInfinityBits = 0x7f800000u;

}  // namespace assay
