#include "kernels/scalar/matmul.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "kernels/scalar/lanes.hpp"
#include "kernels/scalar/unpack.hpp"

namespace assay::scalar {
namespace {

/// The quad's 16 exact integer sums of products, four per group.
void multiply_codes(const Quad& quad, const int8_t* activations, int64_t groups, int32_t* sums) noexcept {
  std::fill_n(sums, kLanes, 0);
  for (int64_t g = 0; g < groups; ++g) {
    for (int half = 0; half < 2; ++half) {
      const int8_t* a = activations + 16 * (half * groups + g);  // kernel order, see QuantizedRow
      const int16_t* w = quad.codes + 32 * g + 16 * half;
      for (int i = 0; i < 16; ++i) sums[4 * g + i / 4] += quad.sub_scales[2 * g + half] * w[i] * a[i];
    }
  }
}

float dot_row(const PackedMatrix& matrix, int64_t row, const QuantizedRow& x) noexcept {
  float acc[kLanes] = {}, low[4] = {};
  Quad quad;
  int32_t sums[kLanes];
  for (int64_t first = 0; first < matrix.cols / 32; first += 4) {
    const int64_t groups = std::min<int64_t>(4, matrix.cols / 32 - first);
    unpack_quad(matrix, row, first / 4, quad);
    multiply_codes(quad, x.codes + 32 * first, groups, sums);
    for (int64_t g = 0; g < 4; ++g) {
      const float x_scale = g < groups ? x.scales[first + g] : 0.0f;
      const float x_sum = x_scale * static_cast<float>(g < groups ? x.sums[first + g] : 0);
      const float scale = quad.scales[g] * x_scale;
      for (int64_t lane = 4 * g; lane < 4 * g + 4; ++lane)
        acc[lane] = std::fma(static_cast<float>(sums[lane]), scale, acc[lane]);
      low[g] = std::fma(quad.mins[g], x_sum, low[g]);
    }
  }
  const float result = reduce_lanes(acc);
  return has_min(matrix.layout) ? result + ((low[0] + low[2]) + (low[1] + low[3])) : result;
}

/// Up to 16 numbers of a plain row, zeros after `count`.
void load_plain(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept {
  const uint8_t* bytes = matrix.codes + row * matrix.codes_stride;
  for (int64_t i = 0; i < count; ++i) {
    if (matrix.layout == Layout::kF32) {
      std::memcpy(out + i, bytes + 4 * (begin + i), sizeof(float));
    } else {
      uint16_t bits;
      std::memcpy(&bits, bytes + 2 * (begin + i), sizeof bits);
      out[i] = matrix.layout == Layout::kF16 ? float_from_f16(bits) : float_from_bf16(bits);
    }
  }
}

float dot_plain(const PackedMatrix& matrix, int64_t row, const float* x) noexcept {
  float acc[kLanes] = {};
  for (int64_t e = 0; e < matrix.cols; e += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, matrix.cols - e);
    float w[kLanes] = {}, a[kLanes] = {};
    load_plain(matrix, row, e, count, w);
    std::copy_n(x + e, count, a);
    for (int lane = 0; lane < kLanes; ++lane) acc[lane] = std::fma(w[lane], a[lane], acc[lane]);
  }
  return reduce_lanes(acc);
}

}  // namespace

void decode(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept {
  if (matrix.layout <= Layout::kBF16) return load_plain(matrix, row, begin, count, out);
  Quad quad;
  for (int64_t e = 0; e < count; e += 128) {
    unpack_quad(matrix, row, (begin + e) / 128, quad);
    for (int64_t i = 0; i < std::min<int64_t>(128, count - e); ++i) {
      const float scale = quad.scales[i / 32] * static_cast<float>(quad.sub_scales[i / 16]);
      const float product = scale * static_cast<float>(quad.codes[i]);
      // Adding a zero minimum would turn -0 into +0.
      out[e + i] = has_min(matrix.layout) ? product + quad.mins[i / 32] : product;
    }
  }
}

void accumulate(const float* w, const float* x, int64_t x_stride, int64_t tokens, int64_t n,
                float* lanes) noexcept {
  for (int64_t r = 0; r < kDecodedRows; ++r)
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t e = 0; e < n; ++e) {
        float& lane = lanes[(kTokenTile * r + t) * kLanes + e % kLanes];
        lane = std::fma(w[kDecodedStride * r + e], x[t * x_stride + e], lane);
      }
}

void matmul_plain(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x,
                  int64_t tokens, float* out, int64_t out_stride) noexcept {
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t row = row_begin; row < row_end; ++row)
      out[t * out_stride + row] = dot_plain(matrix, row, x + t * matrix.cols);
}

void matmul_fast(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                 int64_t tokens, float* out, int64_t out_stride) noexcept {
  for (int64_t row = row_begin; row < row_end; ++row)
    for (int64_t t = 0; t < tokens; ++t) out[t * out_stride + row] = dot_row(matrix, row, rows[t]);
}

}  // namespace assay::scalar
