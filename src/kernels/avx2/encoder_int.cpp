#include "kernels/avx2/activation.hpp"
#include "kernels/avx2/intrinsics.hpp"
#include "kernels/encoder_int_isa.hpp"

// Integer products by VPMADDUBSW, which adds two products of an unsigned and a signed byte in i16. int8: the
// unsigned side is |x|, 128 included, the weights take the sign of x; theirs stay within ±127, so that a
// pair's sum does not saturate (2 * 128 * 127 = 32512). int4: the unsigned side is code + 8, a pair's sum
// stays within 2 * 15 * 128 = 3840 and eight of them within i16; what the offset adds, 8 * sum of the token's
// codes, is where the sums start from.

namespace assay::avx2 {
namespace {

constexpr int64_t kTokenBlock = 240;
constexpr int64_t kLanes = 8;     ///< rows of a register
constexpr int kQuarterLines = 8;  ///< lines of int8 whose int4 pairs i16 can hold

/// Where the sums of one product go.
struct Destination {
  const Int8Tokens& x;
  const Epilogue& epilogue;
  float* out;
  int64_t out_stride;

  /// The first `rows` of a token's 8 values. Not inline: unrolled tiles would hold a copy for each register.
  __attribute__((noinline)) void store(__m256 value, int64_t token, int64_t row, int64_t rows) const {
    if (epilogue.activation != Activation::kNone)
      value = activate_integer_sum<Ops>(epilogue.activation, value);
    const float* residual =
        epilogue.residual ? epilogue.residual + token * epilogue.residual_stride + row : nullptr;
    float* to = out + token * out_stride + row;
    if (rows >= kLanes) {
      if (residual) value = _mm256_add_ps(value, _mm256_loadu_ps(residual));
      _mm256_storeu_ps(to, value);
      return;
    }
    float copy[kLanes];
    _mm256_storeu_ps(copy, value);
    for (int64_t r = 0; r < rows; ++r) to[r] = residual ? copy[r] + residual[r] : copy[r];
  }
};

/// What the epilogue of a panel needs at hand, absent rows as zeros.
struct PanelEpilogue {
  int64_t row, rows;
  float scale[kPanelRows] = {}, row_sum[kPanelRows] = {}, bias[kPanelRows] = {};

  /// scales: null for int4.
  PanelEpilogue(const float* scales, const float* row_sums, const Epilogue& epilogue, int64_t first,
                int64_t end)
      : row(first), rows(end - first < kPanelRows ? end - first : kPanelRows) {
    for (int64_t r = 0; r < rows; ++r) {
      row_sum[r] = row_sums[row + r];
      if (scales) scale[r] = scales[row + r];
      if (epilogue.bias) bias[r] = epilogue.bias[row + r];
    }
  }

  /// What 8 rows from `first` on start from in a token of this offset.
  ASSAY_INLINE __m256 start(float offset, int64_t first) const {
    return _mm256_fmadd_ps(_mm256_set1_ps(offset), _mm256_loadu_ps(row_sum + first),
                           _mm256_loadu_ps(bias + first));
  }
};

ASSAY_INLINE void finish_int8(const Destination& to, const PanelEpilogue& panel, int64_t token, int64_t first,
                              __m256i sums) {
  const __m256 x_scale = _mm256_set1_ps(to.x.scales[token]);
  const __m256 start = panel.start(to.x.offsets[token], first);
  const __m256 scale = _mm256_mul_ps(x_scale, _mm256_loadu_ps(panel.scale + first));
  const __m256 value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, start);
  to.store(value, token, panel.row + first, panel.rows - first);
}

ASSAY_INLINE void finish_int4(const Destination& to, const PanelEpilogue& panel, int64_t token, int64_t first,
                              __m256 sums) {
  const __m256 x_scale = _mm256_set1_ps(to.x.scales[token]);
  const __m256 start = panel.start(to.x.offsets[token], first);
  const __m256 value = _mm256_fmadd_ps(sums, x_scale, start);
  to.store(value, token, panel.row + first, panel.rows - first);
}

/// Four codes in every lane.
ASSAY_INLINE __m256i broadcast_codes(const int8_t* codes) {
  return _mm256_set1_epi32(load_as<int>(reinterpret_cast<Bytes>(codes)));
}

struct Int8Product {
  const Int8Tokens& x;
  Destination to;
  int64_t steps;

  /// kTokens tokens and 16 rows; lines are those of one half.
  template <int kTokens>
  void run_half(Bytes lines, const PanelEpilogue& panel, int64_t first, int64_t token) const noexcept {
    const __m256i kOnes = _mm256_set1_epi16(1);
    const int8_t* codes = x.codes + token * x.stride;
    __m256i sums[kTokens][2];
    for (int t = 0; t < kTokens; ++t) sums[t][0] = sums[t][1] = _mm256_setzero_si256();
    for (int64_t s = 0; s < steps; ++s, lines += kStepBytes, codes += kStepCols)
      for (int64_t line = 0; line < kStepLines; ++line) {
        const __m256i w[2] = {load256(lines + line * kLineBytes), load256(lines + line * kLineBytes + 32)};
#pragma GCC unroll 4
        for (int t = 0; t < kTokens; ++t) {
          const __m256i a = broadcast_codes(codes + t * x.stride + 4 * line);
          const __m256i magnitude = _mm256_abs_epi8(a);
#pragma GCC unroll 2
          for (int h = 0; h < 2; ++h) {
            const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(w[h], a));
            sums[t][h] = _mm256_add_epi32(sums[t][h], _mm256_madd_epi16(pairs, kOnes));
          }
        }
      }
    for (int t = 0; t < kTokens; ++t)
      for (int h = 0; h < 2; ++h) finish_int8(to, panel, token + t, first + h * kLanes, sums[t][h]);
  }

  template <int kTokens>
  void run(Bytes panel, const PanelEpilogue& rows, int64_t token, int64_t /*in_block*/) const noexcept {
    run_half<kTokens>(panel, rows, 0, token);
    if (rows.rows > kHalfRows) run_half<kTokens>(panel + kHalfBytes, rows, kHalfRows, token);
  }
};

struct Int4Product {
  const Int8Tokens& x;
  Destination to;
  int64_t groups, group_size;
  const int32_t* starts;  ///< [tokens of the block, groups]: -8 * sum of the group's codes
  const float* scales;    ///< [groups, 32] of the panel

  /// 32 columns (4 lines of pairs) of kTokens tokens and 16 rows.
  template <int kTokens>
  ASSAY_INLINE void add_columns(Bytes lines, const int8_t* codes, __m256i (&sums)[kTokens][2]) const {
    const __m256i kNibble = _mm256_set1_epi8(0x0f), kOnes = _mm256_set1_epi16(1);
    __m256i pairs[kTokens][2];
    for (int t = 0; t < kTokens; ++t) pairs[t][0] = pairs[t][1] = _mm256_setzero_si256();
    for (int line = 0; line < kQuarterLines / 2; ++line, lines += kLineBytes, codes += 8)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i both = load256(lines + 32 * h);
        const __m256i low = _mm256_and_si256(both, kNibble);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), kNibble);
#pragma GCC unroll 4
        for (int t = 0; t < kTokens; ++t) {
          const int8_t* at = codes + t * x.stride;
          pairs[t][h] = _mm256_add_epi16(pairs[t][h], _mm256_maddubs_epi16(low, broadcast_codes(at)));
          pairs[t][h] = _mm256_add_epi16(pairs[t][h], _mm256_maddubs_epi16(high, broadcast_codes(at + 4)));
        }
      }
    for (int t = 0; t < kTokens; ++t)
      for (int h = 0; h < 2; ++h)
        sums[t][h] = _mm256_add_epi32(sums[t][h], _mm256_madd_epi16(pairs[t][h], kOnes));
  }

  template <int kTokens>
  void run_half(Bytes half, const PanelEpilogue& panel, int64_t first, int64_t token,
                int64_t in_block) const noexcept {
    const int8_t* codes = x.codes + token * x.stride;
    __m256 totals[kTokens][2];
    for (int t = 0; t < kTokens; ++t) totals[t][0] = totals[t][1] = _mm256_setzero_ps();
    for (int64_t g = 0; g < groups; ++g) {
      __m256i sums[kTokens][2];
      for (int t = 0; t < kTokens; ++t)
        sums[t][0] = sums[t][1] = _mm256_set1_epi32(starts[(in_block + t) * groups + g]);
      for (int64_t c = g * group_size; c < (g + 1) * group_size; c += 32) {
        const Bytes lines = half + c / kStepCols * (kStepBytes / 2) + c % kStepCols / 8 * kLineBytes;
        add_columns<kTokens>(lines, codes + c, sums);
      }
      for (int t = 0; t < kTokens; ++t)
        for (int h = 0; h < 2; ++h) {
          const __m256 scale = _mm256_loadu_ps(scales + g * kPanelRows + first + h * kLanes);
          totals[t][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t][h]), scale, totals[t][h]);
        }
    }
    for (int t = 0; t < kTokens; ++t)
      for (int h = 0; h < 2; ++h) finish_int4(to, panel, token + t, first + h * kLanes, totals[t][h]);
  }

  template <int kTokens>
  void run(Bytes panel, const PanelEpilogue& rows, int64_t token, int64_t in_block) const noexcept {
    run_half<kTokens>(panel, rows, 0, token, in_block);
    if (rows.rows > kHalfRows) run_half<kTokens>(panel + kHalfBytes / 2, rows, kHalfRows, token, in_block);
  }
};

/// Tokens [token, token + count) of one panel, kMost at a time and then one by one.
template <int kMost, class Product>
void run_panel(const Product& product, Bytes panel, const PanelEpilogue& rows, int64_t token,
               int64_t count) noexcept {
  int64_t t = 0;
  for (; t + kMost <= count; t += kMost) product.template run<kMost>(panel, rows, token + t, t);
  for (; t < count; ++t) product.template run<1>(panel, rows, token + t, t);
}

int64_t steps_of(int64_t cols) {
  return (cols + kStepCols - 1) / kStepCols;
}

void multiply_int8(const std::byte* panels, const float* scales, const float* row_sums, int64_t /*rows*/,
                   int64_t cols, const Int8Tokens& x, ProductRange range, const Epilogue& epilogue,
                   float* out, int64_t out_stride) {
  const Int8Product product{x, {x, epilogue, out, out_stride}, steps_of(cols)};
  for (int64_t first = range.token_begin; first < range.token_end; first += kTokenBlock) {
    const int64_t rest = range.token_end - first, count = rest < kTokenBlock ? rest : kTokenBlock;
    for (int64_t row = range.row_begin; row < range.row_end; row += kPanelRows) {
      const PanelEpilogue rows(scales, row_sums, epilogue, row, range.row_end);
      const Bytes panel = reinterpret_cast<Bytes>(panels) + row * product.steps * kStepCols;
      run_panel<4>(product, panel, rows, first, count);
    }
  }
}

/// turned[g * 32 + r] = scales[(row + r) * groups + g]; zeros for rows from `end` on.
void turn_scales(const float* scales, int64_t groups, int64_t row, int64_t end, float* turned) {
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t r = 0; r < kPanelRows; ++r)
      turned[g * kPanelRows + r] = row + r < end ? scales[(row + r) * groups + g] : 0.0f;
}

/// -8 * sum of `count` codes, a multiple of 32.
int32_t start_of(const int8_t* codes, int64_t count) {
  const __m256i kEights = _mm256_set1_epi8(8), kOnes = _mm256_set1_epi16(1);
  __m256i sum = _mm256_setzero_si256();
  for (int64_t c = 0; c < count; c += 32)
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(kEights, load256(codes + c)), kOnes));
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
  return -_mm_cvtsi128_si32(four);
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
        starts[t * groups + g] = start_of(x.codes + (first + t) * x.stride + g * group_size, group_size);
    for (int64_t row = range.row_begin; row < range.row_end; row += kPanelRows) {
      turn_scales(scales, groups, row, range.row_end, turned);
      const PanelEpilogue rows(nullptr, row_sums, epilogue, row, range.row_end);
      const Bytes panel = reinterpret_cast<Bytes>(panels) + row * steps_of(cols) * kStepCols / 2;
      run_panel<2>(product, panel, rows, first, count);
    }
  }
}

/// The extremes of a token; lo is NaN where it holds one.
struct Extremes {
  float lo, hi;
};

Extremes find_extremes(const float* x, int64_t n) {
  __m256 lo = _mm256_set1_ps(x[0]), hi = lo, unordered = _mm256_cmp_ps(lo, lo, _CMP_UNORD_Q);
  int64_t i = 0;
  const auto take = [&](__m256 a, __m256 b) {
    lo = _mm256_min_ps(_mm256_min_ps(a, b), lo);
    hi = _mm256_max_ps(_mm256_max_ps(a, b), hi);
    unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(a, b, _CMP_UNORD_Q));
  };
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) take(_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i + kLanes));
  for (; i < n; ++i) take(_mm256_set1_ps(x[i]), _mm256_set1_ps(x[i]));
  float lows[kLanes], highs[kLanes];
  _mm256_storeu_ps(lows, lo);
  _mm256_storeu_ps(highs, hi);
  Extremes found{lows[0], highs[0]};
  for (int64_t l = 1; l < kLanes; ++l) {
    found.lo = lows[l] < found.lo ? lows[l] : found.lo;
    found.hi = highs[l] > found.hi ? highs[l] : found.hi;
  }
  if (_mm256_movemask_ps(unordered) != 0) found.lo = __builtin_nanf("");
  return found;
}

/// 32 codes.
ASSAY_INLINE void store_codes(const float* x, __m256 lo, __m256 inverse, int8_t* codes) {
  const __m256 kLowest = _mm256_set1_ps(kLowestCode);
  __m256i words[4];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    const __m256 above = _mm256_sub_ps(_mm256_loadu_ps(x + kLanes * q), lo);
    words[q] = _mm256_cvtps_epi32(_mm256_fmadd_ps(above, inverse, kLowest));
  }
  const __m256i bytes =
      _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]), _mm256_packs_epi32(words[2], words[3]));
  // Packing works within each 128-bit half: the dwords come out as 0 2 4 6 1 3 5 7.
  const __m256i kOrder = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm256_permutevar8x32_epi32(bytes, kOrder));
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
  const __m256 lo = _mm256_set1_ps(extremes.lo), inverse = _mm256_set1_ps(kCodeSteps / span);
  int64_t i = 0;
  for (; i + 32 <= cols; i += 32) store_codes(x + i, lo, inverse, codes + i);
  if (i < cols) {
    float rest[32] = {};
    std::memcpy(rest, x + i, static_cast<size_t>(cols - i) * sizeof(float));
    store_codes(rest, lo, inverse, codes + i);
  }
  std::memset(codes + cols, 0, static_cast<size_t>(codes_stride - cols));
  return {scale, extremes.lo - kLowestCode * scale};
}

void quantize_tokens(const float* x, int64_t x_stride, int64_t tokens, int64_t cols, int8_t* codes,
                     int64_t codes_stride, float* scales, float* offsets) {
  for (int64_t t = 0; t < tokens; ++t) {
    const Affine affine = quantize_token(x + t * x_stride, cols, codes + t * codes_stride, codes_stride);
    scales[t] = affine.scale;
    offsets[t] = affine.offset;
  }
}

}  // namespace
}  // namespace assay::avx2

namespace assay {

const EncoderIntIsa kAvx2EncoderInt = {
    .int8_panel_bytes = interleaved_int8_bytes,
    .int4_panel_bytes = interleaved_int4_bytes,
    .pack_int8 = interleave_int8,
    .pack_int4 = interleave_int4,
    .quantize_tokens = avx2::quantize_tokens,
    .multiply_int8 = avx2::multiply_int8,
    .multiply_int4 = avx2::multiply_int4,
};

}  // namespace assay
