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

/// 16 rows unpacked for many tokens, quad by quad (a last, partial quad is whole here).
struct Strip {
  uint8_t* codes;  ///< per group kStripGroupBytes: line j holds for every row its codes 4j..4j+3
  float* scales;   ///< [groups, 16], or [groups, 2, 16] with scales of halves
  float* mins;     ///< [groups, 16], where the format has them
};
inline constexpr int64_t kStripGroupBytes = 512;

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
  __m512 second_scale;    ///< of the second halves, where the format has scales of halves
  __m512 min;             ///< per group, in its four lanes, where the format has it
};

/// One token's activations for a quad.
struct QuadActivations {
  __m512i first, second;
  __m512i first_sum, second_sum;  ///< -kOffset * the sums of codes, in each group's (half's) four lanes
  __m512 scale;                   ///< per group, in its four lanes
  __m512 sum;                     ///< scale * sum of codes, likewise

  template <class F>
  ASSAY_INLINE void load(const int8_t* codes, const float* scales, const int32_t* sums) {
    const __m512i low = load512(codes), high = load512(codes + 64);
    first = _mm512_shuffle_i32x4(low, high, _MM_SHUFFLE(2, 0, 2, 0));
    second = _mm512_shuffle_i32x4(low, high, _MM_SHUFFLE(3, 1, 3, 1));
    scale = expand_groups(_mm_loadu_ps(scales));
    first_sum = second_sum = _mm512_setzero_si512();
    if constexpr (F::kHasMin) {
      sum = _mm512_mul_ps(scale, expand_groups(_mm_cvtepi32_ps(load128(sums))));
    } else if constexpr (F::kSubScales) {  // four lanes add up to the half's sum
      const __m512i offset = _mm512_set1_epi8(static_cast<char>(F::kOffset)), zero = first_sum;
      first_sum = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, offset, first));
      second_sum = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, offset, second));
    } else if constexpr (F::kOffset != 0) {
      static_assert((F::kOffset & (F::kOffset - 1)) == 0);
      const __m512i total = expand_groups(load128(sums));
      first_sum = _mm512_sub_epi32(first_sum, _mm512_slli_epi32(total, __builtin_ctz(F::kOffset)));
    }
  }
};

/// kRows (1 or 4) rows of a quad: what multiplies the codes' sums, lane 4g + r for group g of row r.
struct RowScales {
  __m512 first, second, min;

  template <class F, int kRows>
  ASSAY_INLINE void gather(const Quad* w) {
    first = join<kRows>(w, &Quad::scale);
    if constexpr (F::kSubScales) second = join<kRows>(w, &Quad::second_scale);
    if constexpr (F::kHasMin) min = join<kRows>(w, &Quad::min);
  }

  template <int kRows>
  ASSAY_INLINE static __m512 join(const Quad* w, __m512 Quad::*part) {
    if constexpr (kRows == 1) return w[0].*part;
    const __m512 low = _mm512_mask_mov_ps(w[0].*part, 0x2222, w[1].*part);
    const __m512 high = _mm512_mask_mov_ps(w[2].*part, 0x8888, w[3].*part);
    return _mm512_mask_mov_ps(low, 0xcccc, high);
  }
};

/// Lane 4g + r: the sum of lanes 4g..4g+3 of rows[r]. Of a single row every lane of the group holds it.
template <int kRows>
ASSAY_INLINE __m512i add_lanes(const __m512i* rows) {
  if constexpr (kRows == 1) {
    const __m512i pairs = _mm512_add_epi32(rows[0], _mm512_shuffle_epi32(rows[0], _MM_PERM_BADC));
    return _mm512_add_epi32(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_CDAB));
  }
  const __m512i low =
      _mm512_add_epi32(_mm512_unpacklo_epi32(rows[0], rows[1]), _mm512_unpackhi_epi32(rows[0], rows[1]));
  const __m512i high =
      _mm512_add_epi32(_mm512_unpacklo_epi32(rows[2], rows[3]), _mm512_unpackhi_epi32(rows[2], rows[3]));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
}

/// lanes + f32(sums) * scale where `lanes_used` says so.
ASSAY_INLINE __m512 add_scaled_sums(__m512i sums, __m512 scale, __m512 lanes, __mmask16 lanes_used) {
  return _mm512_mask3_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, lanes, lanes_used);
}

/// kRows (1 or 4) rows by kTokens tokens of matmul_fast.
template <class F>
struct FastTile {
  const PackedMatrix& matrix;
  const QuantizedRow* rows;
  float* out;
  int64_t out_stride;

  /// acc[t], lane 4g + r: lane g of row r's sum.
  template <int kRows, int kTokens>
  ASSAY_INLINE static void add_quad(const Quad* w, const int8_t* const* codes, const float* const* scales,
                                    const int32_t* const* sums, __mmask16 lanes_used,
                                    __m512 (&acc)[kTokens]) {
    RowScales row_scales;
    row_scales.gather<F, kRows>(w);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      QuadActivations x;
      x.load<F>(codes[t], scales[t], sums[t]);
      __m512i first[kRows], second[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        if constexpr (F::kSubScales) {
          first[r] = _mm512_dpbusd_epi32(x.first_sum, w[r].first, x.first);
          second[r] = _mm512_dpbusd_epi32(x.second_sum, w[r].second, x.second);
        } else {
          first[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w[r].first, x.first);
          first[r] = _mm512_dpbusd_epi32(first[r], w[r].second, x.second);
        }
      }
      __m512i total = add_lanes<kRows>(first);
      if constexpr (F::kOffset != 0 && !F::kSubScales) total = _mm512_add_epi32(total, x.first_sum);
      acc[t] = add_scaled_sums(total, _mm512_mul_ps(row_scales.first, x.scale), acc[t], lanes_used);
      if constexpr (F::kSubScales)
        acc[t] = add_scaled_sums(add_lanes<kRows>(second), _mm512_mul_ps(row_scales.second, x.scale), acc[t],
                                 lanes_used);
      if constexpr (F::kHasMin) acc[t] = _mm512_mask3_fmadd_ps(row_scales.min, x.sum, acc[t], lanes_used);
    }
  }

  /// The last groups of a row that fill no quad, from zero-padded copies.
  template <int kRows, int kTokens>
  void add_tail(int64_t row, int64_t token, int64_t groups, __m512 (&acc)[kTokens]) const noexcept {
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
    add_quad<kRows, kTokens>(w, codes_at, scales_at, sums_at, first_lanes(4 * groups), acc);
  }

  template <int kRows, int kTokens>
  void run(int64_t row, int64_t token) const noexcept {
    __m512 acc[kTokens];
    for (int t = 0; t < kTokens; ++t) acc[t] = _mm512_setzero_ps();
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
        add_quad<kRows, kTokens>(w, codes, scales, sums, 0xffff, acc);
      }
    }
    const int64_t left = matrix.cols / 32 - units * 4 * F::kQuads;
    if (left > 0) add_tail<kRows, kTokens>(row, token, left, acc);
    for (int t = 0; t < kTokens; ++t) {
      const __m128 sums = add_quarters(acc[t]);
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
  for_tiles<4>(FastTile<F>{matrix, rows, out, out_stride}, row_begin, row_end, tokens);
}

/// Values 16 * kHalf … of group kGroup of a quad.
template <class F, int kGroup, int kHalf>
ASSAY_INLINE void decode_half(const Quad& w, float* out) {
  const __m128i bytes = _mm512_extracti32x4_epi32(kHalf == 0 ? w.first : w.second, kGroup);
  const __m512i codes = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(F::kOffset));
  const __m512 scale = F::kSubScales && kHalf == 1 ? w.second_scale : w.scale;
  __m512 value = _mm512_mul_ps(_mm512_shuffle_f32x4(scale, scale, 0x55 * kGroup), _mm512_cvtepi32_ps(codes));
  if constexpr (F::kHasMin) value = _mm512_add_ps(value, _mm512_shuffle_f32x4(w.min, w.min, 0x55 * kGroup));
  _mm512_storeu_ps(out + 32 * kGroup + 16 * kHalf, value);
}

template <class F>
ASSAY_INLINE void decode_quad(const Quad& w, float* out) {
  decode_half<F, 0, 0>(w, out);
  decode_half<F, 0, 1>(w, out);
  decode_half<F, 1, 0>(w, out);
  decode_half<F, 1, 1>(w, out);
  decode_half<F, 2, 0>(w, out);
  decode_half<F, 2, 1>(w, out);
  decode_half<F, 3, 0>(w, out);
  decode_half<F, 3, 1>(w, out);
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

/// The 16 rows' values `part` of a quad, group by group: four lines of 16 rows.
ASSAY_INLINE void store_row_scales(const Quad* w, __m512 Quad::*part, float* out, int64_t line_stride) {
  __m512 fours[4], lines[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) fours[i] = RowScales::join<4>(w + 4 * i, part);
  transpose_quarters(fours, lines);
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) _mm512_storeu_ps(out + line_stride * g, lines[g]);
}

/// See FormatLoops::unpack.
template <class F>
void unpack_strip(const PackedMatrix& matrix, int64_t row, int64_t rows, bool centered,
                  const Strip& strip) noexcept {
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(centered ? F::kOffset : 0));
  const auto store_quad = [&](int64_t quad, const Quad* w) {
    uint8_t* codes = strip.codes + quad * 4 * kStripGroupBytes;
    for (int half = 0; half < 2; ++half) {
      __m512i lines[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) lines[r] = _mm512_sub_epi8(half == 0 ? w[r].first : w[r].second, offset);
      transpose_dwords(lines);
#pragma GCC unroll 16
      for (int d = 0; d < 16; ++d)
        _mm512_storeu_si512(codes + d / 4 * kStripGroupBytes + d % 4 * 64, lines[d]);
      codes += 4 * 64;
    }
    constexpr int64_t kLine = F::kSubScales ? 32 : 16;
    store_row_scales(w, &Quad::scale, strip.scales + 4 * quad * kLine, kLine);
    if constexpr (F::kSubScales)
      store_row_scales(w, &Quad::second_scale, strip.scales + 4 * quad * kLine + 16, kLine);
    if constexpr (F::kHasMin) store_row_scales(w, &Quad::min, strip.mins + 4 * quad * 16, 16);
  };
  const int64_t units = matrix.cols / (128 * F::kQuads);
  Quad w[16];
  for (int64_t unit = 0; unit < units; ++unit) {
    typename F::Unit open[16];
    for (int64_t r = 0; r < 16; ++r)
      open[r] = F::open(matrix, F::piece(matrix, row + (r < rows ? r : rows - 1), unit));
    for (int h = 0; h < F::kQuads; ++h) {
      for (int r = 0; r < 16; ++r) w[r] = F::quad(matrix, open[r], h);
      store_quad(unit * F::kQuads + h, w);
    }
  }
  const int64_t left = matrix.cols / 32 - units * 4 * F::kQuads;
  if (left == 0) return;
  for (int64_t r = 0; r < 16; ++r) {
    TailBuffer buffer;
    w[r] =
        F::quad(matrix, F::open(matrix, F::tail(matrix, row + (r < rows ? r : rows - 1), left, buffer)), 0);
  }
  store_quad(units * F::kQuads, w);
}

}  // namespace

/// The inner loops of a format and what its panels look like.
struct FormatLoops {
  void (*fast)(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
               int64_t tokens, float* out, int64_t out_stride) noexcept;
  void (*decode)(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept;
  /// Rows [row, row + rows), 16 at most, of which the last one stands for the absent ones. `centered`: codes
  /// with their sign, the offset taken off; else as stored, unsigned.
  void (*unpack)(const PackedMatrix& matrix, int64_t row, int64_t rows, bool centered,
                 const Strip& strip) noexcept;
  int offset;  ///< of stored codes
  bool has_min;
  bool halves;  ///< scales belong to 16 values
};

// Each in the file that has the format.
extern const FormatLoops kQ4_0Loops, kQ4_1Loops, kQ5_0Loops, kQ5_1Loops, kQ8_0Loops, kQ4_KLoops, kQ5_KLoops,
    kQ6_KLoops;
const FormatLoops& mlx_loops(int bits, int group_size) noexcept;
/// Of any layout between kQ4_0 and kMlx.
const FormatLoops& loops_of(const PackedMatrix& matrix) noexcept;

namespace {

template <class F>
inline constexpr FormatLoops kLoopsOf = {
    .fast = fast<F>,
    .decode = decode<F>,
    .unpack = unpack_strip<F>,
    .offset = F::kOffset,
    .has_min = F::kHasMin,
    .halves = F::kSubScales,
};

}  // namespace
}  // namespace assay::avx512
