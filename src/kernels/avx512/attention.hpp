#pragma once
#include "kernels/isa.hpp"

namespace assay::avx512 {

// See IsaTable.
void score(const Queries& queries, const float* keys, int64_t n_keys, float scale, float* scores,
           int64_t stride) noexcept;
void score_f16(const Queries& queries, const uint16_t* keys, int64_t n_keys, float scale, float* scores,
               int64_t stride) noexcept;
void mix(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
         int64_t dim, float* out, int64_t out_stride) noexcept;
void mix_f16(const float* weights, int64_t stride, int64_t queries, const uint16_t* values, int64_t n_keys,
             int64_t dim, float* out, int64_t out_stride) noexcept;

}  // namespace assay::avx512
