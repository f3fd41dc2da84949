#pragma once
#include "kernels/avx512/intrinsics.hpp"

// The inner loops of matmul_fast and decode over one abstraction: a format type F that unpacks a quad (four
// groups of 32 values) into registers. F has
//   kQuads          quads per unit: 2 for the super-blocks of 256, else 1
//   kOffset         what is subtracted from the stored codes (0 where the format has a minimum)
//   kHasMin, kSubScales
//   Unit            what the quads of a unit share, made by F::open(matrix, piece)
//   F::quad(matrix, unit, h)
//   F::piece(matrix, row, unit) and F::tail(matrix, row, groups, buffer), where the bytes are.

namespace assay::avx512 {
namespace {

/// Where one unit's bytes are.
struct Piece {
  Bytes codes, scales, biases;
};

/// Zero-padded copy of the last, partial quad of a row.
struct TailBuffer {
  alignas(64) uint8_t codes[192];
  alignas(16) uint8_t scales[16], biases[16];
};

struct Quad {
  __m512i first, second;  ///< stored codes 0..15 and 16..31 of the four groups, unsigned
  __m512 scale;           ///< per group, in its four lanes
  __m512i sub_scale;      ///< i16 pairs (first, second), where the format has them
  __m128 min;             ///< per group, where the format has it
};

/// One token's activations for a quad.
struct QuadActivations {
  __m512i first, second;
  __m512i first_sum, second_sum;  ///< -kOffset * the lanes' sums of codes
  __m512 scale;
  __m128 sum;  ///< scale * sum of codes, per group

  template <class F>
  ASSAY_INLINE void load(const int8_t* codes, const float* scales, const int32_t* sums) {
    first = load512(codes);
    second = load512(codes + 64);
    const __m128 scale4 = _mm_loadu_ps(scales);
    scale = expand_groups(scale4);
    first_sum = second_sum = _mm512_setzero_si512();
    if constexpr (F::kHasMin) sum = _mm_mul_ps(scale4, _mm_cvtepi32_ps(load128(sums)));
    if constexpr (F::kOffset != 0) {
      const __m512i offset = _mm512_set1_epi8(static_cast<char>(F::kOffset));
      __m512i total = _mm512_dpbusd_epi32(_mm512_setzero_si512(), offset, first);
      if constexpr (F::kSubScales) {
        first_sum = _mm512_sub_epi32(_mm512_setzero_si512(), total);
        total = _mm512_setzero_si512();
      }
      total = _mm512_dpbusd_epi32(total, offset, second);
      second_sum = _mm512_sub_epi32(_mm512_setzero_si512(), total);
    }
  }
};

/// The 16 exact sums of a quad's products.
template <class F>
ASSAY_INLINE __m512i multiply_codes(const Quad& w, const QuadActivations& x) {
  if constexpr (!F::kSubScales)
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(x.second_sum, w.first, x.first), w.second, x.second);
  // Four products of at most 32 * 127 fit 16 bits, so that one multiply-add takes both halves' scales.
  const __m512i first = _mm512_dpbusd_epi32(x.first_sum, w.first, x.first);
  const __m512i second = _mm512_dpbusd_epi32(x.second_sum, w.second, x.second);
  const __m512i pairs = _mm512_mask_blend_epi16(0xaaaaaaaau, first, _mm512_slli_epi32(second, 16));
  return _mm512_madd_epi16(pairs, w.sub_scale);
}

/// kRows rows by kTokens tokens of matmul_fast.
template <class F>
struct FastTile {
  const PackedMatrix& matrix;
  const QuantizedRow* rows;
  float* out;
  int64_t out_stride;

  template <int kRows, int kTokens>
  struct Sums {
    __m512 acc[kRows][kTokens];
    __m128 low[kRows][kTokens];
  };

  template <int kRows, int kTokens>
  ASSAY_INLINE static void add_quad(const Quad* w, const int8_t* const* codes, const float* const* scales,
                                    const int32_t* const* sums, Sums<kRows, kTokens>& s) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      QuadActivations x;
      x.load<F>(codes[t], scales[t], sums[t]);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m512 products = _mm512_cvtepi32_ps(multiply_codes<F>(w[r], x));
        s.acc[r][t] = _mm512_fmadd_ps(products, _mm512_mul_ps(w[r].scale, x.scale), s.acc[r][t]);
        if constexpr (F::kHasMin) s.low[r][t] = _mm_fmadd_ps(w[r].min, x.sum, s.low[r][t]);
      }
    }
  }

  /// The last groups of a row that fill no quad, from zero-padded copies.
  template <int kRows, int kTokens>
  void add_tail(int64_t row, int64_t token, int64_t groups, Sums<kRows, kTokens>& s) const noexcept {
    const int64_t begin = matrix.cols / 128 * 4;
    Quad w[kRows];
    for (int r = 0; r < kRows; ++r) {
      TailBuffer buffer;
      w[r] = F::quad(matrix, F::open(matrix, F::tail(matrix, row + r, groups, buffer)), 0);
    }
    alignas(64) int8_t codes[kTokens][128] = {};
    float scales[kTokens][4] = {};
    int32_t sums[kTokens][4] = {};
    const int8_t* codes_at[kTokens];
    const float* scales_at[kTokens];
    const int32_t* sums_at[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      const QuantizedRow& x = rows[token + t];
      std::memcpy(codes[t], x.codes + 32 * begin, static_cast<size_t>(16 * groups));
      std::memcpy(codes[t] + 64, x.codes + 32 * begin + 16 * groups, static_cast<size_t>(16 * groups));
      std::memcpy(scales[t], x.scales + begin, static_cast<size_t>(4 * groups));
      std::memcpy(sums[t], x.sums + begin, static_cast<size_t>(4 * groups));
      codes_at[t] = codes[t];
      scales_at[t] = scales[t];
      sums_at[t] = sums[t];
    }
    add_quad<kRows, kTokens>(w, codes_at, scales_at, sums_at, s);
  }

  template <int kRows, int kTokens>
  void run(int64_t row, int64_t token) const noexcept {
    Sums<kRows, kTokens> s;
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kTokens; ++t) {
        s.acc[r][t] = _mm512_setzero_ps();
        s.low[r][t] = _mm_setzero_ps();
      }
    const int64_t units = matrix.cols / (128 * F::kQuads);
    for (int64_t unit = 0; unit < units; ++unit) {
      typename F::Unit open[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) open[r] = F::open(matrix, F::piece(matrix, row + r, unit));
#pragma GCC unroll 2
      for (int h = 0; h < F::kQuads; ++h) {
        const int64_t quad = unit * F::kQuads + h;
        Quad w[kRows];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) w[r] = F::quad(matrix, open[r], h);
        const int8_t* codes[kTokens];
        const float* scales[kTokens];
        const int32_t* sums[kTokens];
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          codes[t] = rows[token + t].codes + 128 * quad;
          scales[t] = rows[token + t].scales + 4 * quad;
          sums[t] = rows[token + t].sums + 4 * quad;
        }
        add_quad<kRows, kTokens>(w, codes, scales, sums, s);
      }
    }
    const int64_t left = matrix.cols / 32 - units * 4 * F::kQuads;
    if (left > 0) add_tail<kRows, kTokens>(row, token, left, s);
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kTokens; ++t) {
        const float sum = reduce16(s.acc[r][t]);
        out[(token + t) * out_stride + row + r] = F::kHasMin ? sum + reduce4(s.low[r][t]) : sum;
      }
  }
};

template <class F>
void fast(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
          int64_t tokens, float* out, int64_t out_stride) noexcept {
  // Minima take an accumulator each, so that four rows by four tokens would not fit the registers.
  for_tiles<F::kHasMin ? 2 : 4>(FastTile<F>{matrix, rows, out, out_stride}, row_begin, row_end, tokens);
}

/// Values 16 * kHalf … of group kGroup of a quad.
template <class F, int kGroup, int kHalf>
ASSAY_INLINE void decode_half(const Quad& w, __m512 min, float* out) {
  const __m128i bytes = _mm512_extracti32x4_epi32(kHalf == 0 ? w.first : w.second, kGroup);
  const __m512i codes = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(F::kOffset));
  __m512 scale = w.scale;
  if constexpr (F::kSubScales) {
    const __m512i low = kHalf == 0 ? _mm512_slli_epi32(w.sub_scale, 16) : w.sub_scale;
    scale = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_srai_epi32(low, 16)));
  }
  __m512 value = _mm512_mul_ps(_mm512_shuffle_f32x4(scale, scale, 0x55 * kGroup), _mm512_cvtepi32_ps(codes));
  if constexpr (F::kHasMin) value = _mm512_add_ps(value, _mm512_shuffle_f32x4(min, min, 0x55 * kGroup));
  _mm512_storeu_ps(out + 32 * kGroup + 16 * kHalf, value);
}

template <class F>
ASSAY_INLINE void decode_quad(const Quad& w, float* out) {
  __m512 min = _mm512_setzero_ps();
  if constexpr (F::kHasMin) min = expand_groups(w.min);
  decode_half<F, 0, 0>(w, min, out);
  decode_half<F, 0, 1>(w, min, out);
  decode_half<F, 1, 0>(w, min, out);
  decode_half<F, 1, 1>(w, min, out);
  decode_half<F, 2, 0>(w, min, out);
  decode_half<F, 2, 1>(w, min, out);
  decode_half<F, 3, 0>(w, min, out);
  decode_half<F, 3, 1>(w, min, out);
}

template <class F>
void decode(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept {
  constexpr int64_t kUnit = 128 * F::kQuads;
  int64_t e = 0;
  for (; e + kUnit <= count; e += kUnit) {
    const typename F::Unit unit = F::open(matrix, F::piece(matrix, row, (begin + e) / kUnit));
    for (int h = 0; h < F::kQuads; ++h) decode_quad<F>(F::quad(matrix, unit, h), out + e + 128 * h);
  }
  if (e == count) return;
  TailBuffer buffer;
  float values[128];
  decode_quad<F>(F::quad(matrix, F::open(matrix, F::tail(matrix, row, (count - e) / 32, buffer)), 0), values);
  std::memcpy(out + e, values, static_cast<size_t>(count - e) * sizeof(float));
}

}  // namespace

// One pair per format, each in the file that has the format.
#define ASSAY_AVX512_FORMAT(name)                                                                            \
  void fast_##name(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows, \
                   int64_t tokens, float* out, int64_t out_stride) noexcept;                                 \
  void decode_##name(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count,                  \
                     float* out) noexcept
ASSAY_AVX512_FORMAT(q4_0);
ASSAY_AVX512_FORMAT(q4_1);
ASSAY_AVX512_FORMAT(q5_0);
ASSAY_AVX512_FORMAT(q5_1);
ASSAY_AVX512_FORMAT(q8_0);
ASSAY_AVX512_FORMAT(q4_k);
ASSAY_AVX512_FORMAT(q5_k);
ASSAY_AVX512_FORMAT(q6_k);
ASSAY_AVX512_FORMAT(mlx4);
ASSAY_AVX512_FORMAT(mlx8);
ASSAY_AVX512_FORMAT(mlx_other);
#undef ASSAY_AVX512_FORMAT

/// Defines the pair of a format whose type is F.
#define ASSAY_DEFINE_FORMAT(name, F)                                                                         \
  void fast_##name(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows, \
                   int64_t tokens, float* out, int64_t out_stride) noexcept {                                \
    fast<F>(matrix, row_begin, row_end, rows, tokens, out, out_stride);                                      \
  }                                                                                                          \
  void decode_##name(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count,                  \
                     float* out) noexcept {                                                                  \
    decode<F>(matrix, row, begin, count, out);                                                               \
  }

}  // namespace assay::avx512
