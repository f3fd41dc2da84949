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
  __m128 scale, min;            ///< per group
  __m128 second_scale;          ///< of the second halves, where the format has scales of halves
};

/// One token's activations for a quad.
struct QuadActivations {
  __m256i first[2], second[2];
  __m256i first_sum[2],
      second_sum[2];  ///< -kOffset * sums of codes; four lanes add up to the group's (half's)
  __m256 scale[2];    ///< per group, in its four lanes
  __m256 sum[2];      ///< scale * sum of codes, likewise

  template <class F>
  ASSAY_INLINE void load(const int8_t* codes, const float* scales, const int32_t* sums) {
    const __m256i kOnes = _mm256_set1_epi8(1), kFactor = _mm256_set1_epi16(-F::kOffset);
    const __m128 scale4 = _mm_loadu_ps(scales), sum4 = _mm_mul_ps(scale4, _mm_cvtepi32_ps(load128(sums)));
    for (int p = 0; p < 2; ++p) {
      const __m256i low = load256(codes + 64 * p), high = load256(codes + 64 * p + 32);
      first[p] = _mm256_permute2x128_si256(low, high, 0x20);
      second[p] = _mm256_permute2x128_si256(low, high, 0x31);
      scale[p] = expand_groups(scale4, p);
      if constexpr (F::kHasMin) sum[p] = expand_groups(sum4, p);
      first_sum[p] = second_sum[p] = _mm256_setzero_si256();
      if constexpr (F::kOffset != 0) {
        const __m256i first2 = _mm256_maddubs_epi16(kOnes, first[p]),
                      second2 = _mm256_maddubs_epi16(kOnes, second[p]);
        if constexpr (F::kSubScales) {
          first_sum[p] = _mm256_madd_epi16(first2, kFactor);
          second_sum[p] = _mm256_madd_epi16(second2, kFactor);
        } else {
          first_sum[p] = _mm256_madd_epi16(_mm256_add_epi16(first2, second2), kFactor);
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

/// Lanes whose fours add up to the sums of the products in groups 2p and 2p + 1, or in their halves.
template <class F>
ASSAY_INLINE __m256i multiply_groups(const Quad& w, const QuadActivations& x, int p) {
  if constexpr (F::kSignedBytes) {
    const __m256i sum =
        _mm256_add_epi32(multiply_signed(w.first[p], x.first[p]), multiply_signed(w.second[p], x.second[p]));
    return F::kOffset == 0 ? sum : _mm256_add_epi32(sum, x.first_sum[p]);
  }
  // Pairs of codes below 64 give at most 2 * 63 * 127, and two such sums still fit 16 bits.
  const __m256i first = _mm256_maddubs_epi16(w.first[p], x.first[p]);
  const __m256i second = _mm256_maddubs_epi16(w.second[p], x.second[p]);
  const __m256i sum = _mm256_madd_epi16(_mm256_add_epi16(first, second), _mm256_set1_epi16(1));
  return F::kOffset == 0 ? sum : _mm256_add_epi32(sum, x.first_sum[p]);
}
ASSAY_INLINE __m256i multiply_half(__m256i w, __m256i x, __m256i seed) {
  return _mm256_add_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)), seed);
}

/// Lane 4g + r: the sum of lanes 4g..4g+3 of rows[r]. Of a single row every lane of the group holds it.
template <int kRows>
ASSAY_INLINE __m256i add_lanes(const __m256i* rows) {
  if constexpr (kRows == 1) {
    const __m256i pairs = _mm256_add_epi32(rows[0], _mm256_shuffle_epi32(rows[0], 0x4e));
    return _mm256_add_epi32(pairs, _mm256_shuffle_epi32(pairs, 0xb1));
  }
  const __m256i low =
      _mm256_add_epi32(_mm256_unpacklo_epi32(rows[0], rows[1]), _mm256_unpackhi_epi32(rows[0], rows[1]));
  const __m256i high =
      _mm256_add_epi32(_mm256_unpacklo_epi32(rows[2], rows[3]), _mm256_unpackhi_epi32(rows[2], rows[3]));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
}

/// kRows (1 or 4) rows of a quad: what multiplies the codes' sums, lane 4g + r for group g of row r.
struct RowScales {
  __m256 first[2], second[2], min[2];

  template <class F, int kRows>
  ASSAY_INLINE void gather(const Quad* w) {
    join<kRows>(w, &Quad::scale, first);
    if constexpr (F::kSubScales) join<kRows>(w, &Quad::second_scale, second);
    if constexpr (F::kHasMin) join<kRows>(w, &Quad::min, min);
  }

 private:
  template <int kRows>
  ASSAY_INLINE static void join(const Quad* w, __m128 Quad::*part, __m256* out) {
    if constexpr (kRows == 1) {
      for (int p = 0; p < 2; ++p) out[p] = expand_groups(w[0].*part, p);
    } else {
      __m128 a = w[0].*part, b = w[1].*part, c = w[2].*part, d = w[3].*part;
      _MM_TRANSPOSE4_PS(a, b, c, d);
      out[0] = _mm256_set_m128(b, a);
      out[1] = _mm256_set_m128(d, c);
    }
  }
};

/// kRows rows by kTokens tokens of matmul_fast.
template <class F>
struct FastTile {
  const PackedMatrix& matrix;
  const QuantizedRow* rows;
  float* out;
  int64_t out_stride;

  /// acc[t][p], lane 4g + r: lane 2p + g of row r's sum.
  template <int kTokens>
  struct Sums {
    __m256 acc[kTokens][2];
  };

  /// acc + a * b where `used` says so.
  ASSAY_INLINE static void add_product(__m256 a, __m256 b, __m256 used, __m256& acc) {
    acc = _mm256_blendv_ps(acc, _mm256_fmadd_ps(a, b, acc), used);
  }

  /// `groups` of the quad's four are there.
  template <int kRows, int kTokens>
  ASSAY_INLINE static void add_quad(const Quad* w, const int8_t* const* codes, const float* const* scales,
                                    const int32_t* const* sums, int groups, Sums<kTokens>& s) {
    RowScales row_scales;
    row_scales.gather<F, kRows>(w);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      QuadActivations x;
      x.load<F>(codes[t], scales[t], sums[t]);
#pragma GCC unroll 2
      for (int p = 0; p < 2; ++p) {
        const __m256 used = _mm256_castsi256_ps(
            _mm256_cmpgt_epi32(_mm256_set1_epi32(groups - 2 * p), _mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0)));
        __m256i products[kRows];
        if constexpr (F::kSubScales) {
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r)
            products[r] = multiply_half(w[r].first[p], x.first[p], x.first_sum[p]);
        } else {
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) products[r] = multiply_groups<F>(w[r], x, p);
        }
        add_product(_mm256_cvtepi32_ps(add_lanes<kRows>(products)),
                    _mm256_mul_ps(row_scales.first[p], x.scale[p]), used, s.acc[t][p]);
        if constexpr (F::kSubScales) {
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r)
            products[r] = multiply_half(w[r].second[p], x.second[p], x.second_sum[p]);
          add_product(_mm256_cvtepi32_ps(add_lanes<kRows>(products)),
                      _mm256_mul_ps(row_scales.second[p], x.scale[p]), used, s.acc[t][p]);
        }
        if constexpr (F::kHasMin) add_product(row_scales.min[p], x.sum[p], used, s.acc[t][p]);
      }
    }
  }

  /// The last groups of a row that fill no quad, from zero-padded copies.
  template <int kRows, int kTokens>
  void add_tail(int64_t row, int64_t token, int64_t groups, Sums<kTokens>& s) const noexcept {
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
      std::memcpy(codes[t], x.codes + 32 * begin, static_cast<size_t>(32 * groups));
      std::memcpy(scales[t], x.scales + begin, static_cast<size_t>(4 * groups));
      std::memcpy(sums[t], x.sums + begin, static_cast<size_t>(4 * groups));
      codes_at[t] = codes[t];
      scales_at[t] = scales[t];
      sums_at[t] = sums[t];
    }
    add_quad<kRows, kTokens>(w, codes_at, scales_at, sums_at, static_cast<int>(groups), s);
  }

  template <int kRows, int kTokens>
  void run(int64_t row, int64_t token) const noexcept {
    Sums<kTokens> s;
    for (int t = 0; t < kTokens; ++t) s.acc[t][0] = s.acc[t][1] = _mm256_setzero_ps();
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
        add_quad<kRows, kTokens>(w, codes, scales, sums, 4, s);
      }
    }
    const int64_t left = matrix.cols / 32 - units * 4 * F::kQuads;
    if (left > 0) add_tail<kRows, kTokens>(row, token, left, s);
    for (int t = 0; t < kTokens; ++t) {
      // (lane 0 + lane 2) + (lane 1 + lane 3)
      const __m256 pairs = _mm256_add_ps(s.acc[t][0], s.acc[t][1]);
      const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
      float* to = out + (token + t) * out_stride + row;
      if constexpr (kRows == 4)
        _mm_storeu_ps(to, sums);
      else
        _mm_store_ss(to, sums);
    }
  }
};

template <class F>
void fast(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
          int64_t tokens, float* out, int64_t out_stride) noexcept {
  for_tiles<4, 4, 2>(FastTile<F>{matrix, rows, out, out_stride}, row_begin, row_end, tokens);
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
  const __m256 scale = _mm256_set1_ps(scales[4 * half + group]);
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
  float scales[8], mins[4] = {};
  _mm_storeu_ps(scales, w.scale);
  _mm_storeu_ps(scales + 4, F::kSubScales ? w.second_scale : w.scale);
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
