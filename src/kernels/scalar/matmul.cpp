#include "kernels/scalar/matmul.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "kernels/scalar/lanes.hpp"
#include "kernels/scalar/unpack.hpp"

namespace assay::scalar {
namespace {

/// The exact sum of `count` products.
int32_t multiply_codes(const int16_t* w, const int8_t* x, int count) noexcept {
  int32_t sum = 0;
  for (int i = 0; i < count; ++i) sum += w[i] * x[i];
  return sum;
}

float dot_row(const PackedMatrix& matrix, int64_t row, const QuantizedRow& x) noexcept {
  const int run = matrix.layout == Layout::kQ6_K ? 16 : 32;  // values that share a scale
  const bool min = has_min(matrix.layout);
  float lanes[4] = {};
  Quad quad;
  for (int64_t group = 0; group < matrix.cols / 32; ++group) {
    const int64_t g = group % 4;
    if (g == 0) unpack_quad(matrix, row, group / 4, quad);
    for (int64_t i = 0; i < 32; i += run) {
      const float scale = quad.scales[g] * static_cast<float>(quad.sub_scales[(32 * g + i) / 16]);
      const int32_t sum = multiply_codes(quad.codes + 32 * g + i, x.codes + 32 * group + i, run);
      lanes[g] = std::fma(static_cast<float>(sum), scale * x.scales[group], lanes[g]);
    }
    if (min) lanes[g] = std::fma(quad.mins[g], x.scales[group] * static_cast<float>(x.sums[group]), lanes[g]);
  }
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
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
