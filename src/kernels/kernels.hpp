#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/weight_format.hpp"

namespace assay {

/// Activations quantized for the integer dot products: blocks of 32 values, code = round(value / scale) in
/// [-127, 127] with scale = max|value| / 127 per block.
struct QuantizedRow {
  const int8_t* codes;  ///< [cols]
  const float* scales;  ///< [cols / 32]
  const int32_t* sums;  ///< [cols / 32], sum of the block's codes
};

/// The functions one instruction set provides. Every pointer is set; scalar code is the specification and
/// every other table gives the same bits. noexcept, no validation: callers check shapes first.
///
/// Accumulation order, the same everywhere: 16 f32 lanes; element e of a row belongs to lane (e % 64) / 4
/// for integer products (each lane adds 4 neighbouring products exactly in i32) and lane e % 16 for float
/// products; lanes grow by fused multiply-add in order of e; at the end lane l adds lane l + 8, then + 4,
/// + 2, + 1.
struct KernelTable {
  std::string_view isa;  ///< "scalar", "avx2", "avx512", "avx512vnni"

  void (*dequantize_row)(const WeightFormat& format, PackedRow row, int64_t cols, float* out);

  /// out[t * out_stride + r] = dot(row r of `weight`, x[t * cols …]) for r in [row_begin, row_end), t in
  /// [0, tokens): weights decoded exactly, products and sums in f32.
  void (*matmul_exact)(const WeightView& weight, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t tokens, float* out, int64_t out_stride);
  /// The same with quantized activations; rows[t] holds token t. Plain formats (F32, F16, BF16) use
  /// matmul_exact instead.
  void (*matmul_fast)(const WeightView& weight, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                      int64_t tokens, float* out, int64_t out_stride);
  void (*quantize_activations)(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums);

  float (*dot)(const float* a, const float* b, int64_t n);
  float (*dot_f16)(const float* a, const uint16_t* b, int64_t n);
  void (*add_scaled)(float scale, const float* x, float* y, int64_t n);  ///< y += scale * x (fma)
  void (*add_scaled_f16)(float scale, const uint16_t* x, float* y, int64_t n);
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  void (*softmax)(float* x, int64_t n);                                         ///< in place, max subtracted
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out);  ///< silu(gate) * up
  void (*f16_from_f32)(const float* x, int64_t n, uint16_t* out);
};

/// The best table this processor can run, or the one ASSAY_ISA names ("scalar", "avx2", "avx512vnni");
/// throws Error when the processor cannot run the named one. Chosen once.
const KernelTable& kernels();
/// Every table this processor can run, scalar first, for differential tests.
std::span<const KernelTable* const> available_kernels() noexcept;

}  // namespace assay
