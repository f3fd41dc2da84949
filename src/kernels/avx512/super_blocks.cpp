#include "kernels/avx512/quad.hpp"

// ggml's super-blocks of 256 values (ggml-common.h): two quads that share the block scales' scale.

namespace assay::avx512 {
namespace {

template <int kBytes>
struct SuperBlocks {
  static constexpr int kQuads = 2;

  static Piece piece(const PackedMatrix& matrix, int64_t row, int64_t unit) {
    return {matrix.codes + row * matrix.codes_stride + unit * kBytes, nullptr, nullptr};
  }
  /// Rows are whole super-blocks; the quad loops never come here.
  static Piece tail(const PackedMatrix& matrix, int64_t row, int64_t, TailBuffer&) {
    return piece(matrix, row, 0);
  }
};

/// Expands float 4 * quarter + g of a register to lanes 4g..4g+3.
ASSAY_INLINE __m512 expand_quarter(__m512 floats, int quarter) {
  const __m512i kIndex = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_ps(_mm512_add_epi32(kIndex, _mm512_set1_epi32(4 * quarter)), floats);
}

/// The 16 leading bytes of a Q4_K or Q5_K block: f16 scale, f16 min, 12 bytes of 6-bit scales and mins.
/// Gives scale * 8 block scales in the low half and -(min * 8 block mins) in the high one.
ASSAY_INLINE __m512 unpack_scales_mins(Bytes p) {
  const __m128i head = load128(p);
  // As dwords: head = d|dmin, a, b, c. Scales 0..3 are the low 6 bits of a, mins 0..3 those of b; scales
  // 4..7 the low nibbles of c over the top 2 bits of a, mins 4..7 its high nibbles over those of b.
  const __m128i low = _mm_and_si128(
      _mm_srlv_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0)),
      _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
  const __m128i high = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                                     _mm_set_epi32(0x30303030, 0, 0x30303030, 0));
  const __m512 codes = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, high)));
  const __m512i kWhich = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m128 pair = _mm_xor_ps(_mm_cvtph_ps(head), _mm_set_ps(0, 0, -0.0f, 0.0f));
  return _mm512_mul_ps(codes, _mm512_permutexvar_ps(kWhich, _mm512_castps128_ps512(pair)));
}

/// 64 bytes of nibbles: bytes 0..31 hold groups 0 (low) and 1 (high), bytes 32..63 groups 2 and 3.
ASSAY_INLINE void unpack_nibbles(Bytes p, Quad& quad) {
  const __m512i kShift = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
  const __m512i kLow = _mm512_set1_epi8(15);
  const __m512i bytes = load512(p);
  const __m512i first = _mm512_shuffle_i32x4(bytes, bytes, _MM_SHUFFLE(2, 2, 0, 0));
  const __m512i second = _mm512_shuffle_i32x4(bytes, bytes, _MM_SHUFFLE(3, 3, 1, 1));
  quad.first = _mm512_and_si512(_mm512_srlv_epi64(first, kShift), kLow);
  quad.second = _mm512_and_si512(_mm512_srlv_epi64(second, kShift), kLow);
}

struct KUnit {
  Bytes block;
  __m512 scales_mins;
};

ASSAY_INLINE void take_scales_mins(const KUnit& unit, int h, Quad& quad) {
  quad.scale = expand_quarter(unit.scales_mins, h);
  quad.min = expand_quarter(unit.scales_mins, 2 + h);
}

struct Q4_K : SuperBlocks<144> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true, kSubScales = false;
  using Unit = KUnit;
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& p) {
    return {p.codes, unpack_scales_mins(p.codes)};
  }
  ASSAY_INLINE static Quad quad(const PackedMatrix&, const Unit& unit, int h) {
    Quad quad;
    unpack_nibbles(unit.block + 16 + 64 * h, quad);
    take_scales_mins(unit, h, quad);
    return quad;
  }
};

struct Q5_K : SuperBlocks<176> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true, kSubScales = false;
  using Unit = KUnit;
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& p) {
    return {p.codes, unpack_scales_mins(p.codes)};
  }
  /// Bit g of fifth-bit byte i belongs to value i of group g.
  ASSAY_INLINE static __m512i add_fifth_bits(Bytes bits, int h, __m512i codes) {
    const __m512i kGroupBit =
        _mm512_set_epi64(0x0808080808080808, 0x0808080808080808, 0x0404040404040404, 0x0404040404040404,
                         0x0202020202020202, 0x0202020202020202, 0x0101010101010101, 0x0101010101010101);
    const __m512i bytes = _mm512_broadcast_i32x4(load128(bits));
    const __mmask64 set = _mm512_test_epi8_mask(bytes, h == 0 ? kGroupBit : _mm512_slli_epi16(kGroupBit, 4));
    return _mm512_mask_add_epi8(codes, set, codes, _mm512_set1_epi8(16));
  }
  ASSAY_INLINE static Quad quad(const PackedMatrix&, const Unit& unit, int h) {
    Quad quad;
    unpack_nibbles(unit.block + 48 + 64 * h, quad);
    quad.first = add_fifth_bits(unit.block + 16, h, quad.first);
    quad.second = add_fifth_bits(unit.block + 32, h, quad.second);
    take_scales_mins(unit, h, quad);
    return quad;
  }
};

struct Q6Unit {
  Bytes block;
  __m512 scales;  ///< of the 16 halves, times the block's
};

/// Runs 0 and 1 of a quad have their low nibbles in the low halves of ql bytes 0..31 and 32..63, runs 2 and
/// 3 in the high halves; bits 2r and 2r+1 of the 32 qh bytes belong to run r.
struct Q6_K : SuperBlocks<210> {
  static constexpr int kOffset = 32;
  static constexpr bool kHasMin = false, kSubScales = true;
  using Unit = Q6Unit;
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& p) {
    const __m128 scale = _mm_cvtph_ps(_mm_cvtsi32_si128(load_u16(p.codes + 208)));
    const __m512 halves = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(p.codes + 192)));
    return {p.codes, _mm512_mul_ps(halves, _mm512_broadcastss_ps(scale))};
  }
  ASSAY_INLINE static __m512i join(__m512i nibbles, Bytes high) {
    const __m512i kShift = _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0);
    const __m512i kTurn = _mm512_set_epi64(62, 62, 0, 0, 2, 2, 4, 4);
    const __m512i bits = _mm512_rolv_epi64(_mm512_broadcast_i32x4(load128(high)), kTurn);
    const __m512i low = _mm512_and_si512(_mm512_srlv_epi64(nibbles, kShift), _mm512_set1_epi8(15));
    return _mm512_or_si512(low, _mm512_and_si512(bits, _mm512_set1_epi8(0x30)));
  }
  ASSAY_INLINE static Quad quad(const PackedMatrix&, const Unit& unit, int h) {
    const __m512i kFirst = _mm512_set_epi32(6, 6, 6, 6, 4, 4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0);
    const __m512i bytes = load512(unit.block + 64 * h);
    const Bytes high = unit.block + 128 + 32 * h;
    Quad quad;
    quad.first = join(_mm512_shuffle_i32x4(bytes, bytes, _MM_SHUFFLE(2, 0, 2, 0)), high);
    quad.second = join(_mm512_shuffle_i32x4(bytes, bytes, _MM_SHUFFLE(3, 1, 3, 1)), high + 16);
    quad.scale = _mm512_permutexvar_ps(_mm512_add_epi32(kFirst, _mm512_set1_epi32(8 * h)), unit.scales);
    quad.second_scale =
        _mm512_permutexvar_ps(_mm512_add_epi32(kFirst, _mm512_set1_epi32(8 * h + 1)), unit.scales);
    return quad;
  }
};

}  // namespace

const FormatLoops kQ4_KLoops = kLoopsOf<Q4_K>;
const FormatLoops kQ5_KLoops = kLoopsOf<Q5_K>;
const FormatLoops kQ6_KLoops = kLoopsOf<Q6_K>;

}  // namespace assay::avx512
