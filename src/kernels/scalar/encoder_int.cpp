#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/encoder_int_isa.hpp"
#include "kernels/scalar/activation.hpp"

// The specification of the integer products. Panels are the rows as they came.

namespace assay::scalar {
namespace {

size_t int8_panel_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>(rows * cols);
}

size_t int4_panel_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>(rows * cols / 2);
}

void pack_int8(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels) {
  std::memcpy(panels, codes, int8_panel_bytes(rows, cols));
}

void pack_int4(const uint8_t* codes, int64_t rows, int64_t cols, std::byte* panels) {
  std::memcpy(panels, codes, int4_panel_bytes(rows, cols));
}

/// A token's scale and offset.
struct Affine {
  float scale, offset;
};

Affine quantize_token(const float* x, int64_t cols, int8_t* codes, int64_t codes_stride) {
  float lo = x[0], hi = x[0];
  bool has_nan = false;
  for (int64_t i = 0; i < cols; ++i) {
    has_nan = has_nan || std::isnan(x[i]);
    lo = x[i] < lo ? x[i] : lo;
    hi = x[i] > hi ? x[i] : hi;
  }
  const float span = hi - lo;
  std::memset(codes, 0, static_cast<size_t>(codes_stride));
  if (has_nan || !std::isfinite(span)) {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    return {kNan, kNan};
  }
  if (span < kTinySpan) return {0.0f, lo + 0.0f};  // of zeros with either sign, +0
  const float inverse = kCodeSteps / span, scale = span / kCodeSteps;
  for (int64_t i = 0; i < cols; ++i)
    codes[i] = static_cast<int8_t>(std::nearbyint(std::fma(x[i] - lo, inverse, kLowestCode)));
  return {scale, lo - kLowestCode * scale};
}

void quantize_tokens(const float* x, int64_t x_stride, int64_t tokens, int64_t cols, int8_t* codes,
                     int64_t codes_stride, float* scales, float* offsets) {
  for (int64_t t = 0; t < tokens; ++t) {
    const Affine affine = quantize_token(x + t * x_stride, cols, codes + t * codes_stride, codes_stride);
    scales[t] = affine.scale;
    offsets[t] = affine.offset;
  }
}

int32_t dot(const int8_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

float finish(const Epilogue& epilogue, float value, int64_t token, int64_t row) {
  value = activate_integer_sum(epilogue.activation, value);
  return epilogue.residual ? value + epilogue.residual[token * epilogue.residual_stride + row] : value;
}

void multiply_int8(const std::byte* panels, const float* scales, const float* row_sums, int64_t /*rows*/,
                   int64_t cols, const Int8Tokens& x, ProductRange range, const Epilogue& epilogue,
                   float* out, int64_t out_stride) {
  const auto* codes = reinterpret_cast<const int8_t*>(panels);
  for (int64_t r = range.row_begin; r < range.row_end; ++r) {
    const float bias = epilogue.bias ? epilogue.bias[r] : 0.0f;
    for (int64_t t = range.token_begin; t < range.token_end; ++t) {
      const int32_t sum = dot(codes + r * cols, x.codes + t * x.stride, cols);
      const float start = std::fma(x.offsets[t], row_sums[r], bias);
      const float value = std::fma(static_cast<float>(sum), x.scales[t] * scales[r], start);
      out[t * out_stride + r] = finish(epilogue, value, t, r);
    }
  }
}

int32_t dot_int4(const uint8_t* w, const int8_t* x, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n / 2; ++i)
    sum += ((w[i] & 0x0f) - 8) * x[2 * i] + ((w[i] >> 4) - 8) * x[2 * i + 1];
  return sum;
}

void multiply_int4(const std::byte* panels, const float* scales, const float* row_sums, int64_t group_size,
                   int64_t /*rows*/, int64_t cols, const Int8Tokens& x, ProductRange range,
                   const Epilogue& epilogue, float* out, int64_t out_stride) {
  const int64_t groups = cols / group_size;
  for (int64_t r = range.row_begin; r < range.row_end; ++r) {
    const auto* codes = reinterpret_cast<const uint8_t*>(panels) + r * cols / 2;
    const float bias = epilogue.bias ? epilogue.bias[r] : 0.0f;
    for (int64_t t = range.token_begin; t < range.token_end; ++t) {
      float sum = 0.0f;
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t at = g * group_size;
        const int32_t group = dot_int4(codes + at / 2, x.codes + t * x.stride + at, group_size);
        sum = std::fma(static_cast<float>(group), scales[r * groups + g], sum);
      }
      const float start = std::fma(x.offsets[t], row_sums[r], bias);
      out[t * out_stride + r] = finish(epilogue, std::fma(sum, x.scales[t], start), t, r);
    }
  }
}

}  // namespace
}  // namespace assay::scalar

namespace assay {

const EncoderIntIsa kScalarEncoderInt = {
    .int8_panel_bytes = scalar::int8_panel_bytes,
    .int4_panel_bytes = scalar::int4_panel_bytes,
    .pack_int8 = scalar::pack_int8,
    .pack_int4 = scalar::pack_int4,
    .quantize_tokens = scalar::quantize_tokens,
    .multiply_int8 = scalar::multiply_int8,
    .multiply_int4 = scalar::multiply_int4,
};

}  // namespace assay
