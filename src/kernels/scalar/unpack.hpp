#pragma once
#include <cstdint>

#include "kernels/isa.hpp"

namespace assay::scalar {

/// Four groups of 32 values of one row: value = scale[g] * sub_scale[2g + (i >= 16)] * code + min[g].
/// Groups past the end of the row are zeros.
struct Quad {
  int16_t codes[128];
  int16_t sub_scales[8];  ///< all 1 but for Q6_K
  float scales[4];
  float mins[4];  ///< 0 where the layout has none
};

/// Q4_1, Q5_1, Q4_K, Q5_K and MLX.
bool has_min(Layout layout) noexcept;

/// Unpacks quad `quad` (values 128 * quad …) of a row of any layout between kQ4_0 and kMlx.
void unpack_quad(const PackedMatrix& matrix, int64_t row, int64_t quad, Quad& out) noexcept;

}  // namespace assay::scalar
