#include "kernels/q8_rows.hpp"

#include "kernels/avx512/intrinsics.hpp"

namespace assay::avx512 {

void unpack_q8(const std::byte* rows, int64_t blocks, float* out) noexcept {
  const auto* p = reinterpret_cast<const uint8_t*>(rows);
  for (int64_t b = 0; b < blocks; ++b, p += 34, out += 32) {
    const __m512 scale = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(load_u16(p))));
    const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(p + 2)));
    const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(p + 18)));
    _mm512_storeu_ps(out, _mm512_mul_ps(low, scale));
    _mm512_storeu_ps(out + 16, _mm512_mul_ps(high, scale));
  }
}

}  // namespace assay::avx512
