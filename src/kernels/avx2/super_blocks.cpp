#include "kernels/avx2/quad.hpp"

// ggml's super-blocks of 256 values (ggml-common.h): two quads that share the block scales' scale.

namespace assay::avx2 {
namespace {

template <int kBytes>
struct SuperBlocks {
  static constexpr int kQuads = 2;
  static constexpr bool kSignedBytes = false;

  static Piece piece(const PackedMatrix& matrix, int64_t row, int64_t unit) {
    return {matrix.codes + row * matrix.codes_stride + unit * kBytes, nullptr, nullptr};
  }
  /// Rows are whole super-blocks; the quad loops never come here.
  static Piece tail(const PackedMatrix& matrix, int64_t row, int64_t, TailBuffer&) {
    return piece(matrix, row, 0);
  }
};

struct KUnit {
  Bytes block;
  __m256 scales, mins;  ///< scale * 8 block scales, -(min * 8 block mins)
};

/// Reads the 16 leading bytes of a Q4_K or Q5_K block: f16 scale, f16 min, 12 bytes of 6-bit scales and mins.
ASSAY_INLINE KUnit open_k(Bytes p) {
  const __m128i head = load128(p);
  // As dwords: head = d|dmin, a, b, c. Scales 0..3 are the low 6 bits of a, mins 0..3 those of b; scales
  // 4..7 the low nibbles of c over the top 2 bits of a, mins 4..7 its high nibbles over those of b.
  const __m128i low = _mm_and_si128(
      _mm_srlv_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0)),
      _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
  const __m128i high = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                                     _mm_set_epi32(0x30303030, 0, 0x30303030, 0));
  const __m128i codes = _mm_or_si128(low, high);
  const __m128 pair = _mm_cvtph_ps(head);
  const __m256 scale = _mm256_broadcastss_ps(pair);
  const __m256 min = _mm256_xor_ps(_mm256_broadcastss_ps(_mm_movehdup_ps(pair)), _mm256_set1_ps(-0.0f));
  return {p, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes)), scale),
          _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(codes, codes))), min)};
}

ASSAY_INLINE __m128 take_half(__m256 eight, int h) {
  return h == 0 ? _mm256_castps256_ps128(eight) : _mm256_extractf128_ps(eight, 1);
}

/// 16 bytes: low nibbles for the first group of a pair, high ones for the second.
ASSAY_INLINE __m256i unpack_pair(Bytes p) {
  const __m256i bytes = _mm256_broadcastsi128_si256(load128(p));
  return _mm256_and_si256(_mm256_srlv_epi64(bytes, _mm256_set_epi64x(4, 4, 0, 0)), _mm256_set1_epi8(15));
}

/// 64 bytes of nibbles: bytes 0..31 hold groups 0 (low) and 1 (high), bytes 32..63 groups 2 and 3.
ASSAY_INLINE void unpack_k(Bytes nibbles, const KUnit& unit, int h, Quad& quad) {
  for (int p = 0; p < 2; ++p) {
    quad.first[p] = unpack_pair(nibbles + 32 * p);
    quad.second[p] = unpack_pair(nibbles + 32 * p + 16);
  }
  quad.scale = take_half(unit.scales, h);
  quad.min = take_half(unit.mins, h);
}

struct Q4_K : SuperBlocks<144> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true, kSubScales = false;
  using Unit = KUnit;
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& p) { return open_k(p.codes); }
  ASSAY_INLINE static Quad quad(const PackedMatrix&, const Unit& unit, int h) {
    Quad quad;
    unpack_k(unit.block + 16 + 64 * h, unit, h, quad);
    return quad;
  }
};

struct Q5_K : SuperBlocks<176> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true, kSubScales = false;
  using Unit = KUnit;
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& p) { return open_k(p.codes); }
  /// Bit g of fifth-bit byte i belongs to value i of group g; 16 where it is set, for groups g and g + 1.
  ASSAY_INLINE static __m256i fifth_bits(Bytes bits, int g) {
    const __m256i bytes = _mm256_broadcastsi128_si256(load128(bits));
    const __m256i bit =
        _mm256_set_m128i(_mm_set1_epi8(static_cast<char>(2 << g)), _mm_set1_epi8(static_cast<char>(1 << g)));
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
  }
  ASSAY_INLINE static Quad quad(const PackedMatrix&, const Unit& unit, int h) {
    Quad quad;
    unpack_k(unit.block + 48 + 64 * h, unit, h, quad);
    for (int p = 0; p < 2; ++p) {
      const int g = 4 * h + 2 * p;
      quad.first[p] = _mm256_or_si256(quad.first[p], fifth_bits(unit.block + 16, g));
      quad.second[p] = _mm256_or_si256(quad.second[p], fifth_bits(unit.block + 32, g));
    }
    return quad;
  }
};

struct Q6Unit {
  Bytes block;
  __m256 scales[2];  ///< of the 16 halves, times the block's
};

/// Runs 0 and 1 of a quad have their low nibbles in the low halves of ql bytes 0..31 and 32..63, runs 2 and
/// 3 in the high halves; bits 2r and 2r+1 of the 32 qh bytes belong to run r.
struct Q6_K : SuperBlocks<210> {
  static constexpr int kOffset = 32;
  static constexpr bool kHasMin = false, kSubScales = true;
  using Unit = Q6Unit;
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& p) {
    const __m128 scale = _mm_cvtph_ps(_mm_cvtsi32_si128(load_as<uint16_t>(p.codes + 208)));
    const __m128i halves = load128(p.codes + 192);
    const __m256 block = _mm256_broadcastss_ps(scale);
    return {p.codes,
            {_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(halves)), block),
             _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(halves, 8))), block)}};
  }
  /// 16 values of the four runs from 16 ql bytes, the 16 ql bytes 32 further on, and 16 qh bytes.
  ASSAY_INLINE static void join(Bytes low, Bytes high, __m256i& runs01, __m256i& runs23) {
    const __m256i kNibble = _mm256_set1_epi8(15), kHigh = _mm256_set1_epi8(0x30);
    const __m256i nibbles = load_pair(low, low + 32);
    const __m256i bits = _mm256_broadcastsi128_si256(load128(high));
    const __m256i bits01 = _mm256_sllv_epi64(bits, _mm256_set_epi64x(2, 2, 4, 4));
    const __m256i bits23 = _mm256_srlv_epi64(bits, _mm256_set_epi64x(2, 2, 0, 0));
    runs01 = _mm256_or_si256(_mm256_and_si256(nibbles, kNibble), _mm256_and_si256(bits01, kHigh));
    runs23 = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(nibbles, 4), kNibble),
                             _mm256_and_si256(bits23, kHigh));
  }
  ASSAY_INLINE static Quad quad(const PackedMatrix&, const Unit& unit, int h) {
    const Bytes low = unit.block + 64 * h, high = unit.block + 128 + 32 * h;
    Quad quad;
    join(low, high, quad.first[0], quad.first[1]);
    join(low + 16, high + 16, quad.second[0], quad.second[1]);
    const __m128 low4 = _mm256_castps256_ps128(unit.scales[h]),
                 high4 = _mm256_extractf128_ps(unit.scales[h], 1);
    quad.scale = _mm_shuffle_ps(low4, high4, _MM_SHUFFLE(2, 0, 2, 0));
    quad.second_scale = _mm_shuffle_ps(low4, high4, _MM_SHUFFLE(3, 1, 3, 1));
    return quad;
  }
};

}  // namespace

ASSAY_DEFINE_FORMAT(q4_k, Q4_K)
ASSAY_DEFINE_FORMAT(q5_k, Q5_K)
ASSAY_DEFINE_FORMAT(q6_k, Q6_K)

}  // namespace assay::avx2
