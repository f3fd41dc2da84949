#include "kernels/q8_rows.hpp"

#include "kernels/avx2/intrinsics.hpp"

namespace assay::avx2 {

void unpack_q8(const std::byte* rows, int64_t blocks, float* out) noexcept {
  const auto* p = reinterpret_cast<const uint8_t*>(rows);
  for (int64_t b = 0; b < blocks; ++b, p += 34, out += 32) {
    const __m256 scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(load_as<uint16_t>(p))));
    for (int64_t i = 0; i < 32; i += 8) {
      const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 2 + i));
      _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), scale));
    }
  }
}

}  // namespace assay::avx2
