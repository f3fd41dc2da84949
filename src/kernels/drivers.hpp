#pragma once
#include "kernels/isa.hpp"
#include "kernels/kernels.hpp"

namespace assay {

/// The layout of the inner loops for a format; kOther where it has none.
Layout layout_of(const WeightFormat& format) noexcept;

// The functions of KernelTable over one instruction set's inner loops.
void drive_dequantize(const IsaTable& isa, const WeightFormat& format, PackedRow row, int64_t cols,
                      float* out);
void drive_exact(const IsaTable& isa, const WeightView& weight, int64_t row_begin, int64_t row_end,
                 const float* x, int64_t tokens, float* out, int64_t out_stride);
void drive_fast(const IsaTable& isa, const WeightView& weight, int64_t row_begin, int64_t row_end,
                const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride);

}  // namespace assay
