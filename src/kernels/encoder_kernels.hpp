#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/activation.hpp"

namespace assay {

/// What happens to a product before it is stored: out = activation(product + bias) + residual.
struct Epilogue {
  const float* bias = nullptr;  ///< [rows of the weight]; null counts as zeros
  Activation activation = Activation::kNone;
  const float* residual = nullptr;  ///< [tokens, rows] or null; may be the output itself
  int64_t residual_stride = 0;
};

/// The part of a product one call computes: tokens [token_begin, token_end) × weight rows [row_begin,
/// row_end). row_begin is a multiple of kPanelRows.
struct ProductRange {
  int64_t token_begin, token_end;
  int64_t row_begin, row_end;
};
inline constexpr int64_t kPanelRows = 32;

/// Activations as int8 that span each token's own range: x ≈ scale * code + offset. With lo and hi the least
/// and the greatest of its values and every operation rounded to f32,
///     span = hi - lo,  scale = span / 255,  offset = lo + 128 * scale,
///     code = round-to-nearest-even(fma(x - lo, 255 / span, -128)), which no clamp need keep in [-128, 127]:
/// x - lo is at most span, and 255 / span times that at most 255 (1 + 2^-23). A token whose span is below
/// 2^-100 has scale 0, codes 0 and offset lo: a constant is exact. One that holds a NaN or an infinity, or
/// whose span overflows, has scale and offset NaN and codes 0, and so NaN for every product. Rows are
/// `stride` bytes apart, a multiple of 64, with zeros behind the last column.
struct Int8Tokens {
  const int8_t* codes;
  const float* scales;   ///< [tokens]
  const float* offsets;  ///< [tokens]
  int64_t stride;
};

/// One text's share of an attention: q, k and v rows of one head lie `stride` floats apart.
struct AttentionJob {
  const float *q, *k, *v;  ///< [length, head_dim] each
  float* out;              ///< [length, head_dim], rows out_stride apart
  int64_t stride, out_stride;
  int64_t length;   ///< keys, and positions of the text
  int64_t queries;  ///< rows wanted, from position 0 on; length, or 1 where only the first row counts
  int64_t head_dim;
  float scale;     ///< 1 / sqrt(head_dim)
  int64_t window;  ///< as EncoderAttention::window
  const float*
      relative;  ///< null, or [2 * length - 1]: added to the scaled score of key - query + length - 1
};

/// Kernels of the encoders, one table per instruction set, chosen like kernels(). Every table gives the bits
/// of the scalar one, whatever the split into ranges. Weights are packed once, at load, into the order their
/// instruction set reads ("panels"; the packed bytes differ between tables, the results do not). No pointer
/// needs alignment, but panels, codes and outputs that start a cache line (64 bytes) are read and written
/// faster: a tile's rows are lines.
///
/// Integer products: acc[t][r] = Σ x[t][k] w[r][k] exactly in i32 (columns ≤ 2^17: 2^17 * 128 * 127 < 2^31),
/// start[t][r] = fma(x_offset[t], row_sum[r], bias[r]) where row_sum[r] is the sum of the weight's row as its
/// scales and codes give it, then
///     value = fma(f32(acc), x_scale[t] * w_scale[r], start)
/// for int8; for int4 the sum over groups g in order of fma(f32(acc_g), w_scale[r][g], sum), then
///     value = fma(sum, x_scale[t], start).
/// Float products: one chain of fma per value, in the order of k from 0, then + bias.
struct EncoderKernels {
  std::string_view isa;  ///< "scalar", "avx2", "avx512vnni", "amx"

  /// Bytes of the packed form. int4 keeps two codes a byte.
  size_t (*int8_panel_bytes)(int64_t rows, int64_t cols);
  size_t (*int4_panel_bytes)(int64_t rows, int64_t cols);
  size_t (*f32_panel_bytes)(int64_t rows, int64_t cols);
  /// codes: [rows, cols] in [-127, 127].
  void (*pack_int8)(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels);
  /// codes: [rows, cols / 2] bytes, element 2i in the low nibble, stored as code + 8, code in [-8, 7].
  void (*pack_int4)(const uint8_t* codes, int64_t rows, int64_t cols, std::byte* panels);
  void (*pack_f32)(const float* weight, int64_t rows, int64_t cols, std::byte* panels);

  /// x: [tokens, cols], rows x_stride floats apart; fills the arrays of an Int8Tokens.
  void (*quantize_tokens)(const float* x, int64_t x_stride, int64_t tokens, int64_t cols, int8_t* codes,
                          int64_t codes_stride, float* scales, float* offsets);

  /// out[t][r] for the tokens and rows of `range`; out is the address of token 0, row 0. scales and row_sums:
  /// [rows].
  void (*multiply_int8)(const std::byte* panels, const float* scales, const float* row_sums, int64_t rows,
                        int64_t cols, const Int8Tokens& x, ProductRange range, const Epilogue& epilogue,
                        float* out, int64_t out_stride);
  /// scales: [rows, cols / group_size] f32; group_size 32 or 64; cols a multiple of it. row_sums: [rows].
  void (*multiply_int4)(const std::byte* panels, const float* scales, const float* row_sums,
                        int64_t group_size, int64_t rows, int64_t cols, const Int8Tokens& x,
                        ProductRange range, const Epilogue& epilogue, float* out, int64_t out_stride);
  void (*multiply_f32)(const std::byte* panels, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
                       ProductRange range, const Epilogue& epilogue, float* out, int64_t out_stride);

  /// out = (x - mean) / sqrt(variance + eps) * weight + bias; bias may be null, out may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int64_t n,
                     float* out);
  /// In place.
  void (*activate)(Activation activation, float* x, int64_t n);
  /// softmax(q kᵀ scale + relative) v, keys outside the window left out. scratch: kAttentionScratch(length).
  void (*attend)(const AttentionJob& job, float* scratch);
};

/// Floats of scratch that attend() needs for a text of `length` tokens with heads of `head_dim`.
int64_t attention_scratch(int64_t length, int64_t head_dim) noexcept;

/// The best table this processor can run, or the one ASSAY_ISA names; throws Error when the processor cannot
/// run it. Chosen once.
const EncoderKernels& encoder_kernels();
/// Every table this processor can run, scalar first.
std::span<const EncoderKernels* const> available_encoder_kernels() noexcept;

}  // namespace assay
