#include "kernels/avx512/plain.hpp"

#include "kernels/avx512/quad.hpp"

// Rows of F32, F16 and BF16, and the float products of matmul_exact.

namespace assay::avx512 {
namespace {

struct F32 {
  static constexpr int kBytes = 4;
  ASSAY_INLINE static __m512 load(Bytes p) { return _mm512_loadu_ps(p); }
  ASSAY_INLINE static __m512 load(Bytes p, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, p); }
};

struct F16 {
  static constexpr int kBytes = 2;
  ASSAY_INLINE static __m512 load(Bytes p) { return _mm512_cvtph_ps(load256(p)); }
  ASSAY_INLINE static __m512 load(Bytes p, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p));
  }
};

struct BF16 {
  static constexpr int kBytes = 2;
  ASSAY_INLINE static __m512 widen(__m256i words) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
  }
  ASSAY_INLINE static __m512 load(Bytes p) { return widen(load256(p)); }
  ASSAY_INLINE static __m512 load(Bytes p, __mmask16 lanes) {
    return widen(_mm256_maskz_loadu_epi16(lanes, p));
  }
};

/// kRows rows by kTokens tokens of matmul_exact over numbers of type F.
template <class F>
struct PlainTile {
  const PackedMatrix& matrix;
  const float* x;
  float* out;
  int64_t out_stride;

  template <int kRows, int kTokens>
  void run(int64_t row, int64_t token) const noexcept {
    const int64_t cols = matrix.cols;
    const Bytes w = matrix.codes + row * matrix.codes_stride;
    const float* a = x + token * cols;
    __m512 acc[kRows][kTokens];
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kTokens; ++t) acc[r][t] = _mm512_setzero_ps();
    const auto step = [&](auto load_w, auto load_x) __attribute__((always_inline)) {
      __m512 weights[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) weights[r] = load_w(w + r * matrix.codes_stride);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        const __m512 value = load_x(a + t * cols);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) acc[r][t] = _mm512_fmadd_ps(weights[r], value, acc[r][t]);
      }
    };
    int64_t e = 0;
    for (; e + 16 <= cols; e += 16)
      step(
          [&](Bytes p) __attribute__((always_inline)) { return F::load(p + e * F::kBytes); },
          [&](const float* p) __attribute__((always_inline)) { return _mm512_loadu_ps(p + e); });
    if (e < cols) {
      const __mmask16 lanes = first_lanes(cols - e);
      step(
          [&](Bytes p) __attribute__((always_inline)) { return F::load(p + e * F::kBytes, lanes); },
          [&](const float* p) __attribute__((always_inline)) { return _mm512_maskz_loadu_ps(lanes, p + e); });
    }
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kTokens; ++t) out[(token + t) * out_stride + row + r] = reduce16(acc[r][t]);
  }
};

template <class F>
void matmul(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x, int64_t tokens,
            float* out, int64_t out_stride) noexcept {
  for_tiles<4>(PlainTile<F>{matrix, x, out, out_stride}, row_begin, row_end, tokens);
}

template <class F>
void decode_numbers(Bytes from, int64_t count, float* out) {
  for (int64_t e = 0; e < count; e += 16) {
    const __mmask16 lanes = count - e >= 16 ? static_cast<__mmask16>(0xffff) : first_lanes(count - e);
    _mm512_mask_storeu_ps(out + e, lanes, F::load(from + e * F::kBytes, lanes));
  }
}

template <int kTokens>
ASSAY_INLINE void accumulate_tokens(const float* w, const float* x, int64_t x_stride, int64_t n,
                                    float* lanes) {
  constexpr int kRows = kDecodedRows;
  __m512 acc[kRows][kTokens];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) acc[r][t] = _mm512_loadu_ps(lanes + (kTokenTile * r + t) * 16);
  for (int64_t e = 0; e < n; e += 16) {
    __m512 weights[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) weights[r] = _mm512_loadu_ps(w + kDecodedStride * r + e);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const __m512 value = _mm512_loadu_ps(x + t * x_stride + e);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) acc[r][t] = _mm512_fmadd_ps(weights[r], value, acc[r][t]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) _mm512_storeu_ps(lanes + (kTokenTile * r + t) * 16, acc[r][t]);
}

}  // namespace

void decode_plain(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count,
                  float* out) noexcept {
  const Bytes from = matrix.codes + row * matrix.codes_stride;
  if (matrix.layout == Layout::kF32)
    decode_numbers<F32>(from + 4 * begin, count, out);
  else if (matrix.layout == Layout::kF16)
    decode_numbers<F16>(from + 2 * begin, count, out);
  else
    decode_numbers<BF16>(from + 2 * begin, count, out);
}

void accumulate(const float* w, const float* x, int64_t x_stride, int64_t tokens, int64_t n,
                float* lanes) noexcept {
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) accumulate_tokens<4>(w, x + t * x_stride, x_stride, n, lanes + 16 * t);
  for (; t < tokens; ++t) accumulate_tokens<1>(w, x + t * x_stride, x_stride, n, lanes + 16 * t);
}

void matmul_plain(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x,
                  int64_t tokens, float* out, int64_t out_stride) noexcept {
  const auto run = matrix.layout == Layout::kF32   ? matmul<F32>
                   : matrix.layout == Layout::kF16 ? matmul<F16>
                                                   : matmul<BF16>;
  run(matrix, row_begin, row_end, x, tokens, out, out_stride);
}

}  // namespace assay::avx512
