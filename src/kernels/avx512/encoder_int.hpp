#pragma once
#include "kernels/avx512/activation.hpp"
#include "kernels/avx512/intrinsics.hpp"
#include "kernels/encoder_int_isa.hpp"

// What the VNNI and the AMX products share: token quantization and everything after the sums.

namespace assay::avx512 {

/// EncoderKernels::quantize_tokens.
void quantize_tokens(const float* x, int64_t x_stride, int64_t tokens, int64_t cols, int8_t* codes,
                     int64_t codes_stride, float* scales, float* offsets);

namespace {

/// The first rows of 16, none or all included.
ASSAY_INLINE __mmask16 row_lanes(int64_t rows) {
  return rows >= kHalfRows ? __mmask16{0xffff} : rows <= 0 ? __mmask16{0} : first_lanes(rows);
}

/// Where the sums of one product go.
struct Destination {
  const Int8Tokens& x;
  const Epilogue& epilogue;
  float* out;
  int64_t out_stride;

  /// Residual and store of 16 rows of a token.
  ASSAY_INLINE void add_and_store(__m512 value, int64_t token, int64_t row, __mmask16 lanes) const {
    if (epilogue.residual) {
      const float* residual = epilogue.residual + token * epilogue.residual_stride + row;
      value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, residual));
    }
    _mm512_mask_storeu_ps(out + token * out_stride + row, lanes, value);
  }
  /// Activation before them.
  ASSAY_INLINE void store(__m512 value, int64_t token, int64_t row, __mmask16 lanes) const {
    if (epilogue.activation != Activation::kNone)
      value = activate_integer_sum<Ops>(epilogue.activation, value);
    add_and_store(value, token, row, lanes);
  }
};

/// One half of a panel: 16 rows, of which `lanes` are wanted. scale is unused for int4.
struct HalfPanel {
  int64_t row;
  __mmask16 lanes;
  __m512 scale, row_sum, bias;

  HalfPanel() = default;
  ASSAY_INLINE HalfPanel(const float* scales, const float* row_sums, const Epilogue& epilogue, int64_t first,
                         int64_t end)
      : row(first),
        lanes(row_lanes(end - first)),
        scale(scales ? _mm512_maskz_loadu_ps(lanes, scales + first) : _mm512_setzero_ps()),
        row_sum(_mm512_maskz_loadu_ps(lanes, row_sums + first)),
        bias(epilogue.bias ? _mm512_maskz_loadu_ps(lanes, epilogue.bias + first) : _mm512_setzero_ps()) {}

  /// What the rows start from in a token of this offset.
  ASSAY_INLINE __m512 start(float offset) const {
    return _mm512_fmadd_ps(_mm512_set1_ps(offset), row_sum, bias);
  }
};

/// int8: the sums of 16 rows of a token with scales and bias.
ASSAY_INLINE __m512 int8_value(const Destination& to, const HalfPanel& half, int64_t token, __m512i sums) {
  const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(to.x.scales[token]), half.scale);
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, half.start(to.x.offsets[token]));
}
/// Then to where they belong.
ASSAY_INLINE void finish_int8(const Destination& to, const HalfPanel& half, int64_t token, __m512i sums) {
  to.store(int8_value(to, half, token, sums), token, half.row, half.lanes);
}

/// int4: the same of sums that have the weight's scales in them already.
ASSAY_INLINE void finish_int4(const Destination& to, const HalfPanel& half, int64_t token, __m512 sums) {
  const __m512 start = half.start(to.x.offsets[token]);
  const __m512 value = _mm512_fmadd_ps(sums, _mm512_set1_ps(to.x.scales[token]), start);
  to.store(value, token, half.row, half.lanes);
}

/// turned[g * 32 + r] = scales[(row + r) * groups + g] of a panel's rows below `end`; zeros for the others.
inline void turn_scales(const float* scales, int64_t groups, int64_t row, int64_t end, float* turned) {
  const __m512i kLane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i index = _mm512_mullo_epi32(kLane, _mm512_set1_epi32(static_cast<int>(groups)));
  for (int64_t first = row; first < row + kPanelRows; first += kHalfRows, turned += kHalfRows) {
    const __mmask16 lanes = row_lanes(end - first);
    for (int64_t g = 0; g < groups; ++g) {
      const __m512 line =
          _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, index, scales + first * groups + g, 4);
      _mm512_storeu_ps(turned + g * kPanelRows, line);
    }
  }
}

}  // namespace
}  // namespace assay::avx512
