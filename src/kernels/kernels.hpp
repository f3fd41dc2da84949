#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/quantized_row.hpp"
#include "tensor/weight_format.hpp"

namespace assay {

/// The functions one instruction set provides. Every pointer is set; scalar code is the specification and
/// every other table gives the same bits (a NaN may differ in its payload). No validation: callers check
/// shapes first. No result depends on how rows or tokens are split over calls. Pointers may be unaligned;
/// activations that start at a multiple of 64 bytes spare the loads that straddle cache lines.
///
/// Every sum of products grows in fixed lanes by fused multiply-add in the order of the elements; missing
/// elements at the end of a row count as zeros.
///
/// Float products (matmul_exact, dot, rms_norm): element e belongs to lane e % 16. At the end lane l adds
/// lane l + 8, then l + 4, l + 2, l + 1.
///
/// Integer products (matmul_fast): the products of a group of 32 codes (Q6_K: of each half of it) add up
/// exactly, in i32. Group G belongs to lane G % 4, which grows in the order of the groups (halves) by
///     lane = fma(f32(isum), weight_scale * activation_scale, lane)
/// with signed codes (Q4_0: q - 8, Q5_0: q - 16, Q8_0: q, Q6_K: q - 32, where a half's scale is the product
/// of the block's and its own) where the format has no minimum; where it has (Q4_1, Q5_1, Q4_K, Q5_K, MLX),
/// then by
///     lane = fma(weight_min, activation_scale * f32(activation_sum), lane).
/// The result is (lane0 + lane2) + (lane1 + lane3).
struct KernelTable {
  std::string_view isa;  ///< "scalar", "avx2", "avx512vnni", "amx"

  /// The exact values of one row, bit-equal to FormatOps::dequantize_row.
  void (*dequantize_row)(const WeightFormat& format, PackedRow row, int64_t cols, float* out);

  /// out[t * out_stride + r] = dot(row r of `weight`, x[t * cols …]) for r in [row_begin, row_end), t in
  /// [0, tokens): weights decoded exactly, products and sums in f32.
  void (*matmul_exact)(const WeightView& weight, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t tokens, float* out, int64_t out_stride);
  /// The same with quantized activations; rows[t] holds token t, and the arrays of one token follow those of
  /// the token before it without a gap. Formats without integer products (see has_integer_products) multiply
  /// the exact weights with the decoded activations, in f32.
  void (*matmul_fast)(const WeightView& weight, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                      int64_t tokens, float* out, int64_t out_stride);
  /// Fills the arrays of a QuantizedRow; cols is a multiple of 32.
  void (*quantize_activations)(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums);

  float (*dot)(const float* a, const float* b, int64_t n);
  float (*dot_f16)(const float* a, const uint16_t* b, int64_t n);
  void (*add_scaled)(float scale, const float* x, float* y, int64_t n);  ///< y += scale * x (fma)
  void (*add_scaled_f16)(float scale, const uint16_t* x, float* y, int64_t n);
  /// scores[i * stride + k] = dot(query i, keys + k * dim) * scale.
  void (*score)(const Queries& queries, const float* keys, int64_t n_keys, float scale, float* scores,
                int64_t stride);
  void (*score_f16)(const Queries& queries, const uint16_t* keys, int64_t n_keys, float scale, float* scores,
                    int64_t stride);
  /// Row i of out starts as zeros and grows by add_scaled(weights[i * stride + k], values + k * dim) in the
  /// order of k.
  void (*mix)(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride);
  void (*mix_f16)(const float* weights, int64_t stride, int64_t queries, const uint16_t* values,
                  int64_t n_keys, int64_t dim, float* out, int64_t out_stride);
  /// out = x / sqrt(mean(x^2) + eps) * weight; out may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  /// In place, the maximum subtracted; -inf gives 0, a row of nothing but -inf gives NaN.
  void (*softmax)(float* x, int64_t n);
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out);  ///< silu(gate) * up
  void (*f16_from_f32)(const float* x, int64_t n, uint16_t* out);
};

/// True where matmul_fast multiplies integers: the quantized formats that have inner loops of their own.
bool has_integer_products(const WeightFormat& format) noexcept;

/// The best table this processor can run, or the one ASSAY_ISA names; throws Error when the processor cannot
/// run the named one. Chosen once.
const KernelTable& kernels();
/// Every table this processor can run, scalar first, for differential tests.
std::span<const KernelTable* const> available_kernels() noexcept;

}  // namespace assay
