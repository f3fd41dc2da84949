#pragma once
#include "kernels/avx2/intrinsics.hpp"

namespace assay::avx2 {
namespace {

/// The 16 lanes of the float products in two registers.
struct Lanes {
  __m256 low, high;
};

ASSAY_INLINE Lanes splat(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}

ASSAY_INLINE Lanes widen_f16(Bytes p) {
  return {_mm256_cvtph_ps(load128(p)), _mm256_cvtph_ps(load128(p + 16))};
}
ASSAY_INLINE Lanes widen_bf16(Bytes p) {
  const __m256i low = _mm256_cvtepu16_epi32(load128(p)), high = _mm256_cvtepu16_epi32(load128(p + 16));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
}

ASSAY_INLINE Lanes load(const float* x) {
  return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}
ASSAY_INLINE Lanes load(const uint16_t* x) {
  return widen_f16(reinterpret_cast<Bytes>(x));
}

/// The first n < 16 elements, `padding` in the other lanes.
template <class T>
ASSAY_INLINE Lanes load(const T* x, int64_t n, T padding = 0) {
  T copy[16];
  for (T& element : copy) element = padding;
  std::memcpy(copy, x, static_cast<size_t>(n) * sizeof(T));
  return load(copy);
}

ASSAY_INLINE void store(float* x, Lanes lanes) {
  _mm256_storeu_ps(x, lanes.low);
  _mm256_storeu_ps(x + 8, lanes.high);
}
/// The first n < 16 lanes.
ASSAY_INLINE void store(float* x, Lanes lanes, int64_t n) {
  float copy[16];
  store(copy, lanes);
  std::memcpy(x, copy, static_cast<size_t>(n) * sizeof(float));
}

ASSAY_INLINE Lanes add(Lanes a, Lanes b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
ASSAY_INLINE Lanes multiply(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
ASSAY_INLINE Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
ASSAY_INLINE float reduce(Lanes lanes) {
  return reduce16(lanes.low, lanes.high);
}

}  // namespace
}  // namespace assay::avx2
