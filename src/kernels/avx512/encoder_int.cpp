#include "kernels/avx512/encoder_int.hpp"

// Integer products by VPDPBUSD, which multiplies unsigned with signed bytes. The weights are the unsigned
// side (code + 128, of int4 code + 8), so that a token's bytes need nothing but a broadcast; what the offset
// adds, offset * sum of the token's codes, is where the sums start from. Sums wrap around on the way; the
// result fits.

namespace assay::avx512 {
namespace {

constexpr int64_t kTokenBlock = 240;  ///< tokens whose offsets are at hand; their codes stay in the L2 cache
constexpr int32_t kInt8Offset = 128;
constexpr int32_t kInt4Offset = 8;

/// kTokens rows of codes. Three rows share a base, so that the addresses fit the registers.
template <int kTokens>
struct TokenRows {
  const int8_t* base[(kTokens + 2) / 3];
  int64_t stride;

  ASSAY_INLINE TokenRows(const int8_t* codes, int64_t row_stride) : stride(row_stride) {
#pragma GCC unroll 4
    for (int b = 0; b < (kTokens + 2) / 3; ++b) base[b] = codes + 3 * b * stride;
  }
  /// Four codes of token t in every lane.
  ASSAY_INLINE __m512i broadcast(int t, int64_t column) const {
    return _mm512_set1_epi32(load_i32(reinterpret_cast<Bytes>(base[t / 3] + t % 3 * stride + column)));
  }
};

/// The sums of kTokens tokens and a panel's 32 rows.
template <int kTokens>
struct Sums {
  __m512i of[kTokens][2];

  ASSAY_INLINE void add(const TokenRows<kTokens>& x, int64_t column, __m512i w0, __m512i w1) {
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      const __m512i codes = x.broadcast(t, column);
      of[t][0] = _mm512_dpbusd_epi32(of[t][0], w0, codes);
      of[t][1] = _mm512_dpbusd_epi32(of[t][1], w1, codes);
    }
  }
};

struct Int8Product {
  const Int8Tokens& x;
  Destination to;
  int64_t steps;    ///< of 64 columns
  int32_t* starts;  ///< [tokens of the block]: -128 * sum of codes

  /// `token` is absolute, `in_block` counts from the block's first.
  template <int kTokens>
  void run(Bytes panel, const HalfPanel (&halves)[2], int64_t token, int64_t in_block) const noexcept {
    const TokenRows<kTokens> rows(x.codes + token * x.stride, x.stride);
    Sums<kTokens> sums;
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) sums.of[t][0] = sums.of[t][1] = _mm512_set1_epi32(starts[in_block + t]);
    for (int64_t column = 0; column < steps * kStepCols; column += kStepCols, panel += kStepBytes)
#pragma GCC unroll 4
      for (int64_t line = 0; line < kStepLines; ++line)
        sums.add(rows, column + 4 * line, load512(panel + line * kLineBytes),
                 load512(panel + kHalfBytes + line * kLineBytes));
    alignas(64) int32_t copy[kTokens][kPanelRows];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      _mm512_store_si512(copy[t], sums.of[t][0]);
      _mm512_store_si512(copy[t] + kHalfRows, sums.of[t][1]);
    }
#pragma GCC unroll 1
    for (int i = 0; i < 2 * kTokens; ++i)
      finish_int8(to, halves[i % 2], token + i / 2, load512(copy[i / 2] + i % 2 * kHalfRows));
  }
};

struct Int4Product {
  const Int8Tokens& x;
  Destination to;
  int64_t groups, group_size;
  const int32_t* starts;  ///< [tokens of the block, groups]: -8 * sum of the group's codes
  const float* scales;    ///< [groups, 32] of the panel

  template <int kTokens>
  ASSAY_INLINE void add_group(Bytes lines, const TokenRows<kTokens>& rows, int64_t group, int64_t in_block,
                              __m512 (&totals)[kTokens][2]) const {
    const __m512i kNibble = _mm512_set1_epi8(0x0f);
    Sums<kTokens> sums;
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t)
      sums.of[t][0] = sums.of[t][1] = _mm512_set1_epi32(starts[(in_block + t) * groups + group]);
    for (int64_t c = 0; c < group_size; c += 8, lines += kLineBytes) {
      const __m512i w0 = load512(lines), w1 = load512(lines + kHalfBytes / 2);
      const int64_t column = group * group_size + c;
      sums.add(rows, column, _mm512_and_si512(w0, kNibble), _mm512_and_si512(w1, kNibble));
      sums.add(rows, column + 4, _mm512_and_si512(_mm512_srli_epi16(w0, 4), kNibble),
               _mm512_and_si512(_mm512_srli_epi16(w1, 4), kNibble));
    }
    const __m512 scale0 = _mm512_loadu_ps(scales + group * kPanelRows);
    const __m512 scale1 = _mm512_loadu_ps(scales + group * kPanelRows + kHalfRows);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      totals[t][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums.of[t][0]), scale0, totals[t][0]);
      totals[t][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums.of[t][1]), scale1, totals[t][1]);
    }
  }

  template <int kTokens>
  void run(Bytes panel, const HalfPanel (&halves)[2], int64_t token, int64_t in_block) const noexcept {
    const TokenRows<kTokens> rows(x.codes + token * x.stride, x.stride);
    __m512 totals[kTokens][2];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) totals[t][0] = totals[t][1] = _mm512_setzero_ps();
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t column = g * group_size;
      const int64_t line = column % kStepCols / 8;
      add_group(panel + column / kStepCols * (kStepBytes / 2) + line * kLineBytes, rows, g, in_block, totals);
    }
    alignas(64) float copy[kTokens][kPanelRows];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      _mm512_store_ps(copy[t], totals[t][0]);
      _mm512_store_ps(copy[t] + kHalfRows, totals[t][1]);
    }
#pragma GCC unroll 1
    for (int i = 0; i < 2 * kTokens; ++i)
      finish_int4(to, halves[i % 2], token + i / 2, _mm512_load_ps(copy[i / 2] + i % 2 * kHalfRows));
  }
};

/// Tokens [token, token + count) of one panel, kMost at a time and then the rest.
template <int kMost, class Product>
void run_panel(const Product& product, Bytes panel, const HalfPanel (&halves)[2], int64_t token,
               int64_t count) noexcept {
  int64_t t = 0;
  for (; t + kMost <= count; t += kMost) product.template run<kMost>(panel, halves, token + t, t);
  if constexpr (kMost > 8)
    for (; t + 8 <= count; t += 8) product.template run<8>(panel, halves, token + t, t);
  for (; t + 4 <= count; t += 4) product.template run<4>(panel, halves, token + t, t);
  for (; t + 2 <= count; t += 2) product.template run<2>(panel, halves, token + t, t);
  for (; t < count; ++t) product.template run<1>(panel, halves, token + t, t);
}

/// -offset * sum of `count` codes, a multiple of 32.
int32_t start_of(const int8_t* codes, int64_t count, int32_t offset) {
  const __m256i kOnes = _mm256_set1_epi8(1);
  __m256i sum = _mm256_setzero_si256();
  for (int64_t c = 0; c < count; c += 32) sum = _mm256_dpbusd_epi32(sum, kOnes, load256(codes + c));
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
  return static_cast<int32_t>(static_cast<uint32_t>(-offset) *
                              static_cast<uint32_t>(_mm_cvtsi128_si32(four)));
}

int64_t steps_of(int64_t cols) {
  return (cols + kStepCols - 1) / kStepCols;
}

void multiply_int8(const std::byte* panels, const float* scales, const float* row_sums, int64_t /*rows*/,
                   int64_t cols, const Int8Tokens& x, ProductRange range, const Epilogue& epilogue,
                   float* out, int64_t out_stride) {
  int32_t starts[kTokenBlock];
  const Int8Product product{x, {x, epilogue, out, out_stride}, steps_of(cols), starts};
  for (int64_t first = range.token_begin; first < range.token_end; first += kTokenBlock) {
    const int64_t rest = range.token_end - first, count = rest < kTokenBlock ? rest : kTokenBlock;
    for (int64_t t = 0; t < count; ++t)
      starts[t] = start_of(x.codes + (first + t) * x.stride, product.steps * kStepCols, kInt8Offset);
    for (int64_t row = range.row_begin; row < range.row_end; row += kPanelRows) {
      const HalfPanel halves[2] = {{scales, row_sums, epilogue, row, range.row_end},
                                   {scales, row_sums, epilogue, row + kHalfRows, range.row_end}};
      const Bytes panel = reinterpret_cast<Bytes>(panels) + row * product.steps * kStepCols;
      run_panel<12>(product, panel, halves, first, count);
    }
  }
}

void multiply_int4(const std::byte* panels, const float* scales, const float* row_sums, int64_t group_size,
                   int64_t /*rows*/, int64_t cols, const Int8Tokens& x, ProductRange range,
                   const Epilogue& epilogue, float* out, int64_t out_stride) {
  const int64_t groups = cols / group_size;
  auto* turned = reinterpret_cast<float*>(
      product_scratch(static_cast<size_t>(groups * (kPanelRows + kTokenBlock)) * sizeof(float)));
  auto* starts = reinterpret_cast<int32_t*>(turned + groups * kPanelRows);
  const Int4Product product{x, {x, epilogue, out, out_stride}, groups, group_size, starts, turned};
  for (int64_t first = range.token_begin; first < range.token_end; first += kTokenBlock) {
    const int64_t rest = range.token_end - first, count = rest < kTokenBlock ? rest : kTokenBlock;
    for (int64_t t = 0; t < count; ++t)
      for (int64_t g = 0; g < groups; ++g)
        starts[t * groups + g] =
            start_of(x.codes + (first + t) * x.stride + g * group_size, group_size, kInt4Offset);
    for (int64_t row = range.row_begin; row < range.row_end; row += kPanelRows) {
      turn_scales(scales, groups, row, range.row_end, turned);
      const HalfPanel halves[2] = {{nullptr, row_sums, epilogue, row, range.row_end},
                                   {nullptr, row_sums, epilogue, row + kHalfRows, range.row_end}};
      const Bytes panel = reinterpret_cast<Bytes>(panels) + row * steps_of(cols) * kStepCols / 2;
      run_panel<6>(product, panel, halves, first, count);
    }
  }
}

/// The extremes of a token; lo is NaN where it holds one.
struct Extremes {
  float lo, hi;
};

/// In four chains. Tokens lie one behind the other, so that the lines asked for are mostly the next ones'.
Extremes find_extremes(const float* x, int64_t n) {
  constexpr int64_t kAhead = 1024;  // floats
  __m512 lo[4], hi[4];
  for (int c = 0; c < 4; ++c) lo[c] = hi[c] = _mm512_set1_ps(x[0]);
  __mmask16 unordered = 0;
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m512 values[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) _mm_prefetch(x + i + kAhead + 16 * c, _MM_HINT_T0);
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      values[c] = _mm512_loadu_ps(x + i + 16 * c);
      lo[c] = _mm512_min_ps(values[c], lo[c]);
      hi[c] = _mm512_max_ps(values[c], hi[c]);
    }
    unordered |= _mm512_cmp_ps_mask(values[0], values[1], _CMP_UNORD_Q);
    unordered |= _mm512_cmp_ps_mask(values[2], values[3], _CMP_UNORD_Q);
  }
  for (; i < n; i += 16) {
    const __m512 a = _mm512_mask_loadu_ps(_mm512_set1_ps(x[0]), row_lanes(n - i), x + i);
    lo[0] = _mm512_min_ps(a, lo[0]);
    hi[0] = _mm512_max_ps(a, hi[0]);
    unordered |= _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  }
  if (unordered) return {__builtin_nanf(""), 0.0f};
  return {_mm512_reduce_min_ps(_mm512_min_ps(_mm512_min_ps(lo[0], lo[1]), _mm512_min_ps(lo[2], lo[3]))),
          _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(hi[0], hi[1]), _mm512_max_ps(hi[2], hi[3])))};
}

/// A token's scale and offset.
struct Affine {
  float scale, offset;
};

Affine quantize_token(const float* x, int64_t cols, int8_t* codes, int64_t codes_stride) {
  const Extremes extremes = find_extremes(x, cols);
  const float span = extremes.hi - extremes.lo;
  const bool finite = __builtin_isfinite(span);
  if (!finite || span < kTinySpan) {
    std::memset(codes, 0, static_cast<size_t>(codes_stride));
    constexpr float kNan = __builtin_nanf("");
    return finite ? Affine{0.0f, extremes.lo + 0.0f} : Affine{kNan, kNan};
  }
  const float scale = span / kCodeSteps;
  const __m512 lo = _mm512_set1_ps(extremes.lo), inverse = _mm512_set1_ps(kCodeSteps / span);
  const __m512 kLowest = _mm512_set1_ps(kLowestCode);
  const __m512i kQuarters = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  int64_t i = 0;
  for (; i + 64 <= cols; i += 64) {
    __m512i code[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m512 above = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16 * c), lo);
      code[c] = _mm512_cvtps_epi32(_mm512_fmadd_ps(above, inverse, kLowest));
    }
    const __m512i first = _mm512_packs_epi32(code[0], code[1]);
    const __m512i bytes = _mm512_packs_epi16(first, _mm512_packs_epi32(code[2], code[3]));
    _mm512_storeu_si512(codes + i, _mm512_permutexvar_epi32(kQuarters, bytes));
  }
  for (; i < cols; i += 16) {
    const __mmask16 lanes = row_lanes(cols - i);
    const __m512 above = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), lo);
    const __m512i code = _mm512_maskz_cvtps_epi32(lanes, _mm512_fmadd_ps(above, inverse, kLowest));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), _mm512_cvtepi32_epi8(code));
  }
  if (i < codes_stride) std::memset(codes + i, 0, static_cast<size_t>(codes_stride - i));
  return {scale, extremes.lo - kLowestCode * scale};
}

}  // namespace

void quantize_tokens(const float* x, int64_t x_stride, int64_t tokens, int64_t cols, int8_t* codes,
                     int64_t codes_stride, float* scales, float* offsets) {
  for (int64_t t = 0; t < tokens; ++t) {
    const Affine affine = quantize_token(x + t * x_stride, cols, codes + t * codes_stride, codes_stride);
    scales[t] = affine.scale;
    offsets[t] = affine.offset;
  }
}

}  // namespace assay::avx512

namespace assay {

const EncoderIntIsa kAvx512EncoderInt = {
    .int8_panel_bytes = interleaved_int8_bytes,
    .int4_panel_bytes = interleaved_int4_bytes,
    .pack_int8 = interleave_int8_unsigned,
    .pack_int4 = interleave_int4,
    .quantize_tokens = avx512::quantize_tokens,
    .multiply_int8 = avx512::multiply_int8,
    .multiply_int4 = avx512::multiply_int4,
};

}  // namespace assay
