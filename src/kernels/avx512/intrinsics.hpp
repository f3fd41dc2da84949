#pragma once
// GCC 12's own header initializes _mm512_undefined_* with itself and warns about it when inlined (GCC bug
// 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/isa.hpp"

// Everything here and in the other headers of this folder has internal linkage: code compiled for AVX-512
// must not stand in for an inline function of the rest of the program.

namespace assay::avx512 {
namespace {

using Bytes = const uint8_t*;

#define ASSAY_INLINE inline __attribute__((always_inline))

ASSAY_INLINE __m512i load512(const void* p) {
  return _mm512_loadu_si512(p);
}
ASSAY_INLINE __m256i load256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
ASSAY_INLINE __m128i load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

ASSAY_INLINE uint16_t load_u16(Bytes p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

ASSAY_INLINE int load_i32(Bytes p) {
  int value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

ASSAY_INLINE int64_t load_i64(Bytes p) {
  int64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Four values, each to the four lanes of its group.
ASSAY_INLINE __m512 expand_groups(__m128 values) {
  const __m512i kIndex = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_ps(kIndex, _mm512_castps128_ps512(values));
}

ASSAY_INLINE __m512i expand_groups(__m128i values) {
  return _mm512_castps_si512(expand_groups(_mm_castsi128_ps(values)));
}

/// Quarters of four lanes: (0 + 2) + (1 + 3).
ASSAY_INLINE __m128 add_quarters(__m512 lanes) {
  const __m128 even = _mm_add_ps(_mm512_castps512_ps128(lanes), _mm512_extractf32x4_ps(lanes, 2));
  const __m128 odd = _mm_add_ps(_mm512_extractf32x4_ps(lanes, 1), _mm512_extractf32x4_ps(lanes, 3));
  return _mm_add_ps(even, odd);
}

/// Lane l adds lane l + 2, then l + 1.
ASSAY_INLINE float reduce4(__m128 lanes) {
  lanes = _mm_add_ps(lanes, _mm_movehl_ps(lanes, lanes));
  return _mm_cvtss_f32(_mm_add_ss(lanes, _mm_movehdup_ps(lanes)));
}

/// Lane l adds lane l + 8, then l + 4, l + 2, l + 1.
ASSAY_INLINE float reduce16(__m512 lanes) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
  return reduce4(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
}

/// The first n of 16 lanes.
ASSAY_INLINE __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>((1u << n) - 1);
}

/// to[g] takes quarter g of from[0], from[1], from[2], from[3].
ASSAY_INLINE void transpose_quarters(const __m512* from, __m512* to) {
  const __m512 a = _mm512_shuffle_f32x4(from[0], from[1], 0x44),
               b = _mm512_shuffle_f32x4(from[0], from[1], 0xee);
  const __m512 c = _mm512_shuffle_f32x4(from[2], from[3], 0x44),
               d = _mm512_shuffle_f32x4(from[2], from[3], 0xee);
  to[0] = _mm512_shuffle_f32x4(a, c, 0x88);
  to[1] = _mm512_shuffle_f32x4(a, c, 0xdd);
  to[2] = _mm512_shuffle_f32x4(b, d, 0x88);
  to[3] = _mm512_shuffle_f32x4(b, d, 0xdd);
}

/// Lane i of register d becomes lane d of register i.
ASSAY_INLINE void transpose_dwords(__m512i (&r)[16]) {
  __m512 u[4][4];  // u[j][i]: quarter g holds dword 4g + j of rows 4i .. 4i + 3
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i* row = r + 4 * i;
    const __m512i a = _mm512_unpacklo_epi32(row[0], row[1]), b = _mm512_unpackhi_epi32(row[0], row[1]);
    const __m512i c = _mm512_unpacklo_epi32(row[2], row[3]), d = _mm512_unpackhi_epi32(row[2], row[3]);
    u[0][i] = _mm512_castsi512_ps(_mm512_unpacklo_epi64(a, c));
    u[1][i] = _mm512_castsi512_ps(_mm512_unpackhi_epi64(a, c));
    u[2][i] = _mm512_castsi512_ps(_mm512_unpacklo_epi64(b, d));
    u[3][i] = _mm512_castsi512_ps(_mm512_unpackhi_epi64(b, d));
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    __m512 lines[4];
    transpose_quarters(u[j], lines);
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) r[4 * g + j] = _mm512_castps_si512(lines[g]);
  }
}

/// Calls tile.run<rows, tokens>(row, token) over a grid: four rows at a time for a single token, else
/// kRows rows by four tokens. Rows go in chunks whose weights stay in the second-level cache while tokens
/// pass by.
template <int kRows, class Tile>
void for_tiles(const Tile& tile, int64_t row_begin, int64_t row_end, int64_t tokens) noexcept {
  constexpr int64_t kChunk = 32;
  for (int64_t chunk = row_begin; chunk < row_end; chunk += kChunk) {
    const int64_t end = chunk + kChunk < row_end ? chunk + kChunk : row_end;
    int64_t t = 0;
    for (; t + 4 <= tokens; t += 4) {
      int64_t row = chunk;
      for (; row + kRows <= end; row += kRows) tile.template run<kRows, 4>(row, t);
      for (; row < end; ++row) tile.template run<1, 4>(row, t);
    }
    for (; t < tokens; ++t) {
      int64_t row = chunk;
      for (; row + 4 <= end; row += 4) tile.template run<4, 1>(row, t);
      for (; row < end; ++row) tile.template run<1, 1>(row, t);
    }
  }
}

}  // namespace
}  // namespace assay::avx512
