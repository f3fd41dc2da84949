#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/isa.hpp"

// Everything here and in the other headers of this folder has internal linkage: code compiled for AVX2 must
// not stand in for an inline function of the rest of the program.

namespace assay::avx2 {
namespace {

using Bytes = const uint8_t*;

#define ASSAY_INLINE inline __attribute__((always_inline))

ASSAY_INLINE __m256i load256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
ASSAY_INLINE __m128i load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
/// The 16 bytes at `low` and the 16 at `high`.
ASSAY_INLINE __m256i load_pair(const void* low, const void* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(low)), load128(high), 1);
}

template <class T>
ASSAY_INLINE T load_as(Bytes p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Values 2 * half and 2 * half + 1, each to the four lanes of its group.
ASSAY_INLINE __m256 expand_groups(__m128 values, int half) {
  const __m256i kIndex = _mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0);
  return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(values),
                                  _mm256_add_epi32(kIndex, _mm256_set1_epi32(2 * half)));
}

/// Lane l adds lane l + 2, then l + 1.
ASSAY_INLINE float reduce4(__m128 lanes) {
  lanes = _mm_add_ps(lanes, _mm_movehl_ps(lanes, lanes));
  return _mm_cvtss_f32(_mm_add_ss(lanes, _mm_movehdup_ps(lanes)));
}

/// Sixteen lanes in two registers: lane l adds lane l + 8, then l + 4, l + 2, l + 1.
ASSAY_INLINE float reduce16(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  return reduce4(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
}

/// Calls tile.run<rows, tokens>(row, token) over a grid: kDecodeRows rows at a time for a single token, else
/// kRows rows by kTokens tokens. Rows go in chunks whose weights stay in the second-level cache while tokens
/// pass by.
template <int kDecodeRows, int kRows, int kTokens, class Tile>
void for_tiles(const Tile& tile, int64_t row_begin, int64_t row_end, int64_t tokens) noexcept {
  constexpr int64_t kChunk = 32;
  for (int64_t chunk = row_begin; chunk < row_end; chunk += kChunk) {
    const int64_t end = chunk + kChunk < row_end ? chunk + kChunk : row_end;
    int64_t t = 0;
    for (; t + kTokens <= tokens; t += kTokens) {
      int64_t row = chunk;
      for (; row + kRows <= end; row += kRows) tile.template run<kRows, kTokens>(row, t);
      for (; row < end; ++row) tile.template run<1, kTokens>(row, t);
    }
    for (; t < tokens; ++t) {
      int64_t row = chunk;
      for (; row + kDecodeRows <= end; row += kDecodeRows) tile.template run<kDecodeRows, 1>(row, t);
      for (; row < end; ++row) tile.template run<1, 1>(row, t);
    }
  }
}

}  // namespace
}  // namespace assay::avx2
