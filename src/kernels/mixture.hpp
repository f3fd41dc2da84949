#pragma once
#include <cstdint>
#include <string_view>

namespace assay {

/// Row i of out (out_stride floats apart, i < queries) grows by weights[i * stride + k] * values[k * dim …]
/// for k = 0 … n_keys - 1 in this order, one fused multiply-add an element: mixtures of values that arrive
/// block by block come out as KernelTable::mix makes them in one go. Every instruction set gives the same
/// bits.
using MixOnto = void (*)(const float* weights, int64_t stride, int64_t queries, const float* values,
                         int64_t n_keys, int64_t dim, float* out, int64_t out_stride) noexcept;

/// The function for a table's `isa` (KernelTable::isa); the scalar one where that has none of its own.
MixOnto mixture_kernel(std::string_view isa) noexcept;

namespace scalar {
void mix_onto(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept;
}
namespace avx2 {
void mix_onto(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept;
}
namespace avx512 {
void mix_onto(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept;
}

}  // namespace assay
