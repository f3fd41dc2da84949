#pragma once
#include "kernels/avx2/intrinsics.hpp"

// The inner loops of matmul_fast and decode over one abstraction: a format type F that unpacks a quad (four
// groups of 32 values) into registers, two groups to a register. F has
//   kQuads          quads per unit: 2 for the super-blocks of 256, else 1
//   kOffset         what is subtracted from Quad's codes to give those of the specification
//   kSignedBytes    Quad's codes are signed 8-bit numbers, else unsigned ones below 64
//   kHasMin, kSubScales
//   Unit            what the quads of a unit share, made by F::open(matrix, piece)
//   F::quad(matrix, unit, h)
//   F::piece(matrix, row, unit) and F::tail(matrix, row, groups, buffer), where the bytes are.

namespace assay::avx2 {
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
  __m256i first[2], second[2];  ///< codes 0..15 and 16..31 of groups 0 and 1, and of groups 2 and 3
  __m256i sub_scale[2];         ///< i16 pairs (first, second) in each lane, where the format has them
  __m128 scale, min;            ///< per group
};

/// One token's activations for a quad.
struct QuadActivations {
  __m256i first[2], second[2];
  __m256i first_sum[2], second_sum[2];  ///< -kOffset * the lanes' sums of codes
  __m128 scale;
  __m128 sum;  ///< scale * sum of codes, per group

  template <class F>
  ASSAY_INLINE void load(const int8_t* codes, const float* scales, const int32_t* sums) {
    scale = _mm_loadu_ps(scales);
    if constexpr (F::kHasMin) sum = _mm_mul_ps(scale, _mm_cvtepi32_ps(load128(sums)));
    const __m256i kOnes = _mm256_set1_epi8(1), kFactor = _mm256_set1_epi16(-F::kOffset);
    for (int p = 0; p < 2; ++p) {
      first[p] = load256(codes + 32 * p);
      second[p] = load256(codes + 64 + 32 * p);
      first_sum[p] = second_sum[p] = _mm256_setzero_si256();
      if constexpr (F::kOffset != 0) {
        const __m256i low = _mm256_maddubs_epi16(kOnes, first[p]),
                      high = _mm256_maddubs_epi16(kOnes, second[p]);
        if constexpr (F::kSubScales) {
          first_sum[p] = _mm256_madd_epi16(low, kFactor);
          second_sum[p] = _mm256_madd_epi16(high, kFactor);
        } else {
          second_sum[p] = _mm256_madd_epi16(_mm256_add_epi16(low, high), kFactor);
        }
      }
    }
  }
};

/// Exact sums of four products of signed bytes; |w| <= 128 and |x| <= 127 keep the pairs below 2^15.
ASSAY_INLINE __m256i multiply_signed(__m256i w, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/// The exact sums of a quad's products in groups 2p and 2p + 1.
template <class F>
ASSAY_INLINE __m256i multiply_codes(const Quad& w, const QuadActivations& x, int p) {
  const __m256i kOnes = _mm256_set1_epi16(1);
  if constexpr (F::kSignedBytes) {
    const __m256i sum =
        _mm256_add_epi32(multiply_signed(w.first[p], x.first[p]), multiply_signed(w.second[p], x.second[p]));
    return F::kOffset == 0 ? sum : _mm256_add_epi32(sum, x.second_sum[p]);
  }
  // Pairs of codes below 64 give at most 2 * 63 * 127, and two such sums still fit 16 bits.
  const __m256i first = _mm256_maddubs_epi16(w.first[p], x.first[p]);
  const __m256i second = _mm256_maddubs_epi16(w.second[p], x.second[p]);
  if constexpr (!F::kSubScales) {
    const __m256i sum = _mm256_madd_epi16(_mm256_add_epi16(first, second), kOnes);
    return F::kOffset == 0 ? sum : _mm256_add_epi32(sum, x.second_sum[p]);
  }
  // Four products of at most 32 * 127 fit 16 bits, so that one multiply-add takes both halves' scales.
  const __m256i low = _mm256_add_epi32(_mm256_madd_epi16(first, kOnes), x.first_sum[p]);
  const __m256i high = _mm256_add_epi32(_mm256_madd_epi16(second, kOnes), x.second_sum[p]);
  return _mm256_madd_epi16(_mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa), w.sub_scale[p]);
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
    __m256 acc[kRows][kTokens][2];
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
        const __m128 scale = _mm_mul_ps(w[r].scale, x.scale);
#pragma GCC unroll 2
        for (int p = 0; p < 2; ++p)
          s.acc[r][t][p] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(multiply_codes<F>(w[r], x, p)),
                                           expand_groups(scale, p), s.acc[r][t][p]);
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
        s.acc[r][t][0] = s.acc[r][t][1] = _mm256_setzero_ps();
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
        const float sum = reduce16(s.acc[r][t][0], s.acc[r][t][1]);
        out[(token + t) * out_stride + row + r] = F::kHasMin ? sum + reduce4(s.low[r][t]) : sum;
      }
  }
};

template <class F>
void fast(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
          int64_t tokens, float* out, int64_t out_stride) noexcept {
  for_tiles<2, 1, 4>(FastTile<F>{matrix, rows, out, out_stride}, row_begin, row_end, tokens);
}

/// The eight codes in the low half of `bytes` as floats, the offset taken off.
template <class F>
ASSAY_INLINE __m256 decode_codes(__m128i bytes) {
  const __m256i codes = F::kSignedBytes ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(F::kOffset)));
}

/// Values 16 * half … of a group.
template <class F>
ASSAY_INLINE void decode_half(const Quad& w, const float* scales, const float* mins, int group, int half,
                              float* out) {
  const __m256i pair = half == 0 ? w.first[group / 2] : w.second[group / 2];
  const __m128i bytes = group % 2 == 0 ? _mm256_castsi256_si128(pair) : _mm256_extracti128_si256(pair, 1);
  __m256 scale = _mm256_set1_ps(scales[group]);
  if constexpr (F::kSubScales) {
    int16_t sub_scales[16];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sub_scales), w.sub_scale[group / 2]);
    const int16_t sub_scale = sub_scales[8 * (group % 2) + half];
    scale = _mm256_mul_ps(scale, _mm256_set1_ps(static_cast<float>(sub_scale)));
  }
  __m256 low = _mm256_mul_ps(scale, decode_codes<F>(bytes));
  __m256 high = _mm256_mul_ps(scale, decode_codes<F>(_mm_unpackhi_epi64(bytes, bytes)));
  if constexpr (F::kHasMin) {
    low = _mm256_add_ps(low, _mm256_set1_ps(mins[group]));
    high = _mm256_add_ps(high, _mm256_set1_ps(mins[group]));
  }
  _mm256_storeu_ps(out + 32 * group + 16 * half, low);
  _mm256_storeu_ps(out + 32 * group + 16 * half + 8, high);
}

template <class F>
ASSAY_INLINE void decode_quad(const Quad& w, float* out) {
  float scales[4], mins[4] = {};
  _mm_storeu_ps(scales, w.scale);
  if constexpr (F::kHasMin) _mm_storeu_ps(mins, w.min);
#pragma GCC unroll 8
  for (int piece = 0; piece < 8; ++piece) decode_half<F>(w, scales, mins, piece / 2, piece % 2, out);
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
#define ASSAY_AVX2_FORMAT(name)                                                                              \
  void fast_##name(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows, \
                   int64_t tokens, float* out, int64_t out_stride) noexcept;                                 \
  void decode_##name(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count,                  \
                     float* out) noexcept
ASSAY_AVX2_FORMAT(q4_0);
ASSAY_AVX2_FORMAT(q4_1);
ASSAY_AVX2_FORMAT(q5_0);
ASSAY_AVX2_FORMAT(q5_1);
ASSAY_AVX2_FORMAT(q8_0);
ASSAY_AVX2_FORMAT(q4_k);
ASSAY_AVX2_FORMAT(q5_k);
ASSAY_AVX2_FORMAT(q6_k);
ASSAY_AVX2_FORMAT(mlx4);
ASSAY_AVX2_FORMAT(mlx8);
ASSAY_AVX2_FORMAT(mlx_other);
#undef ASSAY_AVX2_FORMAT

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

}  // namespace assay::avx2
