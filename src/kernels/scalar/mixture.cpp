#include "kernels/mixture.hpp"

#include <cmath>

namespace assay::scalar {

void mix_onto(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
              int64_t dim, float* out, int64_t out_stride) noexcept {
  for (int64_t q = 0; q < queries; ++q)
    for (int64_t k = 0; k < n_keys; ++k)
      for (int64_t d = 0; d < dim; ++d)
        out[q * out_stride + d] =
            std::fma(weights[q * stride + k], values[k * dim + d], out[q * out_stride + d]);
}

}  // namespace assay::scalar
