#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/encoder_kernels.hpp"

// The float half of EncoderKernels, and what its instruction sets share. Only plain structs and constants, as
// in isa.hpp.

namespace assay {

/// What one instruction set provides; every function as in EncoderKernels.
///
/// Where their sums have lanes (layer_norm, the softmax of attend) element e belongs to lane e % 16, lanes
/// grow in the order of the elements and are added as in kernels.hpp: l + 8, l + 4, l + 2, l + 1.
///
/// attend: s[j] = q · k[j] by one chain of fma over the head's columns, from 0. Without relative biases
///     p[j] = exp((s[j] - max s) * scale), with them
///     p[j] = exp(fma(s[j], scale, relative[j]) - max of these);
/// out = (Σ_j fma(p[j], v[j], …) in the order of j, from 0) * (1 / Σ p). scale is positive. Where v is not
/// finite, queries whose window ends close before that key may be NaN as well.
struct EncoderFloatIsa {
  size_t (*f32_panel_bytes)(int64_t rows, int64_t cols);
  void (*pack_f32)(const float* weight, int64_t rows, int64_t cols, std::byte* panels);
  void (*multiply_f32)(const std::byte* panels, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
                       ProductRange range, const Epilogue& epilogue, float* out, int64_t out_stride);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int64_t n,
                     float* out);
  void (*activate)(Activation activation, float* x, int64_t n);
  void (*attend)(const AttentionJob& job, float* scratch);
};

extern const EncoderFloatIsa kScalarEncoderFloat;
extern const EncoderFloatIsa kAvx2EncoderFloat;
extern const EncoderFloatIsa kAvx512EncoderFloat;

// One layout of f32 panels serves every instruction set: kPanelRows rows side by side, element k of row r at
// k * kPanelRows + r % kPanelRows; rows that the last panel lacks are zeros.
size_t f32_panel_bytes(int64_t rows, int64_t cols);
void pack_f32_panels(const float* weight, int64_t rows, int64_t cols, std::byte* panels);

/// Queries that attend() takes at a time, at most.
inline constexpr int64_t kQueryTile = 12;

/// Where attend() keeps what, in floats from the first address of its scratch that is a multiple of 64 bytes.
struct AttentionScratch {
  int64_t keys;           ///< panels of 32 keys, each [head_dim, 32]
  int64_t values;         ///< panels of 32 columns of v, each [length, 32]
  int64_t scores;         ///< [kQueryTile, scores_stride]
  int64_t scores_stride;  ///< covers whole panels of keys, and is no multiple of a page
  int64_t floats;         ///< all of it, the alignment included
};
constexpr AttentionScratch attention_layout(int64_t length, int64_t head_dim) noexcept {
  const int64_t keys = (length + 31) / 32 * 32;
  const int64_t values = (head_dim + 31) / 32 * 32 * length;
  const int64_t stride = keys + 16;
  return {.keys = 0,
          .values = keys * head_dim,
          .scores = keys * head_dim + values,
          .scores_stride = stride,
          .floats = keys * head_dim + values + kQueryTile * stride + 16};
}

/// The keys [begin, end) that a query sees.
struct VisibleKeys {
  int64_t begin, end;
};
constexpr VisibleKeys visible_keys(int64_t query, int64_t length, int64_t window) noexcept {
  if (window <= 0) return {0, length};
  const int64_t reach = window / 2;
  return {query > reach ? query - reach : 0, length - query > reach ? query + reach + 1 : length};
}

}  // namespace assay
