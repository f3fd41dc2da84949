#pragma once
#include <cstdint>

#include "kernels/isa.hpp"

namespace assay::avx2 {

// See IsaTable.
void decode_plain(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept;
void accumulate(const float* w, const float* x, int64_t x_stride, int64_t tokens, int64_t n,
                float* lanes) noexcept;
void matmul_plain(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x,
                  int64_t tokens, float* out, int64_t out_stride) noexcept;
void multiply_float_panel(const FloatPanelJob& job) noexcept;

}  // namespace assay::avx2
