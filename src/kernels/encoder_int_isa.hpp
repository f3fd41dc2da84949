#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/encoder_kernels.hpp"

// The integer part of EncoderKernels, as an instruction set's files see it: plain structs, and functions of
// internal linkage, so that no shared inline function is compiled for instructions other processors lack.

namespace assay {

/// What one instruction set provides; the members are those of EncoderKernels.
struct EncoderIntIsa {
  size_t (*int8_panel_bytes)(int64_t rows, int64_t cols);
  size_t (*int4_panel_bytes)(int64_t rows, int64_t cols);
  void (*pack_int8)(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels);
  void (*pack_int4)(const uint8_t* codes, int64_t rows, int64_t cols, std::byte* panels);
  void (*quantize_tokens)(const float* x, int64_t x_stride, int64_t tokens, int64_t cols, int8_t* codes,
                          int64_t codes_stride, float* scales, float* offsets);
  void (*multiply_int8)(const std::byte* panels, const float* scales, const float* row_sums, int64_t rows,
                        int64_t cols, const Int8Tokens& x, ProductRange range, const Epilogue& epilogue,
                        float* out, int64_t out_stride);
  void (*multiply_int4)(const std::byte* panels, const float* scales, const float* row_sums,
                        int64_t group_size, int64_t rows, int64_t cols, const Int8Tokens& x,
                        ProductRange range, const Epilogue& epilogue, float* out, int64_t out_stride);
};

extern const EncoderIntIsa kScalarEncoderInt;
extern const EncoderIntIsa kAvx2EncoderInt;
extern const EncoderIntIsa kAvx512EncoderInt;
extern const EncoderIntIsa kAmxEncoderInt;

// The panels of every table but the scalar one, whose panels are the rows as they came. A panel holds 32 rows
// in steps of 64 columns, absent rows and columns as zeros:
//
//     int8, a step (2048 bytes):  half 0: rows 0..15, half 1: rows 16..31, of each half (1024 bytes) 16 lines
//         line j (64 bytes):      for every row r of the half its columns 4j .. 4j + 3
//     int4, a step (1024 bytes):  the same halves, of each (512 bytes) 8 lines
//         line j (64 bytes):      low nibbles as line 2j of int8, high nibbles as its line 2j + 1
//
// A half of a step is one tile of AMX's TDPBSSD and 16 operands of VPDPBUSD. int4 codes stay stored as
// code + 8; int8 codes are stored as code + 128 where the multiplication takes unsigned weights (AVX-512).
inline constexpr int64_t kStepCols = 64;
inline constexpr int64_t kStepLines = 16;  ///< of one half
inline constexpr int64_t kHalfRows = 16;
inline constexpr int64_t kLineBytes = 64;
inline constexpr int64_t kHalfBytes = kStepLines * kLineBytes;  ///< int8; of int4 half as many
inline constexpr int64_t kStepBytes = 2 * kHalfBytes;
static_assert(kPanelRows == 2 * kHalfRows);

size_t interleaved_int8_bytes(int64_t rows, int64_t cols);
size_t interleaved_int4_bytes(int64_t rows, int64_t cols);
void interleave_int8(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels);
/// As code + 128.
void interleave_int8_unsigned(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels);
void interleave_int4(const uint8_t* codes, int64_t rows, int64_t cols, std::byte* panels);

/// At least `bytes` bytes of this thread's own, 64-byte aligned, valid until the next call; uninitialized.
/// A thread keeps what its largest product needed.
std::byte* product_scratch(size_t bytes);

/// What quantize_tokens makes of a token's extremes (Int8Tokens).
inline constexpr float kTinySpan = 0x1p-100f;  ///< below it a token is a constant; 255 / span stays finite
inline constexpr float kCodeSteps = 255.0f;    ///< from the lowest code to the highest
inline constexpr float kLowestCode = -128.0f;

}  // namespace assay
