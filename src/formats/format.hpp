#pragma once
#include <cstdint>
#include <span>

#include "tensor/weight_format.hpp"

namespace assay {

/// What one weight format can do, row by row. One file in formats/ implements each; registry.cpp lists them.
/// `format.kind` is always the kind the functions were registered for; `cols` is a multiple of
/// block_length(format). Buffers have row_bytes(format, cols) bytes and may be unaligned. All functions are
/// pure: the same input gives the same bytes on every machine.
struct FormatOps {
  WeightKind kind;

  /// Packs `cols` floats. `importance` is null or holds one non-negative weight per column, which searches
  /// use to weigh errors. Null where the format can be read but not written. There is no error to return:
  /// callers check that the source is finite. For NaN, infinity and values whose scale overflows its type the
  /// bytes are defined; infinity and overflow show in is_finite().
  void (*quantize_row)(const WeightFormat& format, const float* source, int64_t cols, const float* importance,
                       PackedRowOut out);

  /// Unpacks to the exact float values that the format defines (the same roundings as ggml / MLX in f32).
  void (*dequantize_row)(const WeightFormat& format, PackedRow row, int64_t cols, float* out);

  /// bound[i] >= |dequantized - source| for every correct packing of `source` into this row's scales: half
  /// a step, plus clamping, plus the rounding of stored scales. Derived in the comment at each definition
  /// and told in docs/formats.md. Holds for everything quantize_row writes and for ggml's and MLX's own
  /// packings; not for codes that llama.cpp left as its search by importance found them (Q4_0 to Q5_1), nor
  /// for blocks of which such a search gave up more than half the range. `verify` fails when a code lies
  /// beyond it.
  void (*error_bound)(const WeightFormat& format, const float* source, PackedRow row, int64_t cols,
                      float* bound);

  /// False when a stored scale (or plain value) of the row is NaN or infinite.
  bool (*is_finite)(const WeightFormat& format, PackedRow row, int64_t cols);
};

/// Every format assay can decode, in the order of WeightKind.
std::span<const FormatOps> format_registry() noexcept;
/// Null when assay knows the layout's size but cannot decode it.
const FormatOps* find_format_ops(const WeightFormat& format) noexcept;
/// Throws Error naming the format when it cannot be decoded.
const FormatOps& format_ops(const WeightFormat& format);

}  // namespace assay
