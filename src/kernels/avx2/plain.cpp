#include "kernels/avx2/plain.hpp"

#include "kernels/avx2/lanes.hpp"

// Rows of F32, F16 and BF16, and the float products of matmul_exact.

namespace assay::avx2 {
namespace {

struct F32 {
  static constexpr int kBytes = 4;
  ASSAY_INLINE static Lanes widen(Bytes p) {
    return {_mm256_castsi256_ps(load256(p)), _mm256_castsi256_ps(load256(p + 32))};
  }
};
struct F16 {
  static constexpr int kBytes = 2;
  ASSAY_INLINE static Lanes widen(Bytes p) { return widen_f16(p); }
};
struct BF16 {
  static constexpr int kBytes = 2;
  ASSAY_INLINE static Lanes widen(Bytes p) { return widen_bf16(p); }
};

/// n < 16 numbers, zeros after them.
template <class F>
ASSAY_INLINE Lanes widen_rest(Bytes p, int64_t n) {
  uint8_t copy[16 * F::kBytes] = {};
  std::memcpy(copy, p, static_cast<size_t>(n * F::kBytes));
  return F::widen(copy);
}

/// kRows rows by kTokens tokens of matmul_exact over numbers of type F.
template <class F>
struct PlainTile {
  const PackedMatrix& matrix;
  const float* x;
  float* out;
  int64_t out_stride;

  template <int kRows, int kTokens>
  ASSAY_INLINE static void step(const Lanes* w, const Lanes* a, Lanes (&acc)[kRows][kTokens]) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) acc[r][t] = multiply_add(w[r], a[t], acc[r][t]);
  }

  template <int kRows, int kTokens>
  void run(int64_t row, int64_t token) const noexcept {
    const int64_t cols = matrix.cols;
    const Bytes from = matrix.codes + row * matrix.codes_stride;
    const float* activations = x + token * cols;
    Lanes acc[kRows][kTokens], w[kRows], a[kTokens];
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kTokens; ++t) acc[r][t] = splat(0.0f);
    int64_t e = 0;
    for (; e + 16 <= cols; e += 16) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) w[r] = F::widen(from + r * matrix.codes_stride + e * F::kBytes);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) a[t] = load(activations + t * cols + e);
      step<kRows, kTokens>(w, a, acc);
    }
    if (e < cols) {
      for (int r = 0; r < kRows; ++r)
        w[r] = widen_rest<F>(from + r * matrix.codes_stride + e * F::kBytes, cols - e);
      for (int t = 0; t < kTokens; ++t) a[t] = load(activations + t * cols + e, cols - e);
      step<kRows, kTokens>(w, a, acc);
    }
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kTokens; ++t) out[(token + t) * out_stride + row + r] = reduce(acc[r][t]);
  }
};

template <class F>
void matmul(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x, int64_t tokens,
            float* out, int64_t out_stride) noexcept {
  for_tiles<4, 2, 2>(PlainTile<F>{matrix, x, out, out_stride}, row_begin, row_end, tokens);
}

template <class F>
void decode_numbers(Bytes from, int64_t count, float* out) {
  int64_t e = 0;
  for (; e + 16 <= count; e += 16) store(out + e, F::widen(from + e * F::kBytes));
  if (e < count) store(out + e, widen_rest<F>(from + e * F::kBytes, count - e), count - e);
}

/// Two of the four rows: eight accumulators fill half of the registers.
template <int kTokens>
ASSAY_INLINE void accumulate_tokens(const float* w, const float* x, int64_t x_stride, int64_t n,
                                    float* lanes) {
  constexpr int kRows = 2;
  Lanes acc[kRows][kTokens];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) acc[r][t] = load(lanes + (kTokenTile * r + t) * 16);
  for (int64_t e = 0; e < n; e += 16) {
    const Lanes weights[kRows] = {load(w + e), load(w + kDecodedStride + e)};
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const Lanes value = load(x + t * x_stride + e);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) acc[r][t] = multiply_add(weights[r], value, acc[r][t]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) store(lanes + (kTokenTile * r + t) * 16, acc[r][t]);
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
  static_assert(kDecodedRows == 4);
  for (int64_t r = 0; r < kDecodedRows; r += 2) {
    const float* weights = w + kDecodedStride * r;
    float* row_lanes = lanes + kTokenTile * r * 16;
    int64_t t = 0;
    for (; t + 2 <= tokens; t += 2)
      accumulate_tokens<2>(weights, x + t * x_stride, x_stride, n, row_lanes + 16 * t);
    for (; t < tokens; ++t) accumulate_tokens<1>(weights, x + t * x_stride, x_stride, n, row_lanes + 16 * t);
  }
}

void matmul_plain(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const float* x,
                  int64_t tokens, float* out, int64_t out_stride) noexcept {
  const auto run = matrix.layout == Layout::kF32   ? matmul<F32>
                   : matrix.layout == Layout::kF16 ? matmul<F16>
                                                   : matmul<BF16>;
  run(matrix, row_begin, row_end, x, tokens, out, out_stride);
}

}  // namespace assay::avx2
