#include "kernels/avx512/quad.hpp"

// ggml's blocks of 32 values (ggml-common.h). A quad is four blocks.

namespace assay::avx512 {
namespace {

/// What the formats of this file share: kBytes bytes per block.
template <int kBytes>
struct Blocks {
  static constexpr int kQuads = 1;
  static constexpr bool kSubScales = false;
  using Unit = Bytes;

  static Piece piece(const PackedMatrix& matrix, int64_t row, int64_t unit) {
    return {matrix.codes + row * matrix.codes_stride + unit * 4 * kBytes, nullptr, nullptr};
  }
  static Piece tail(const PackedMatrix& matrix, int64_t row, int64_t groups, TailBuffer& buffer) {
    std::memset(buffer.codes, 0, sizeof buffer.codes);
    std::memcpy(buffer.codes, piece(matrix, row, matrix.cols / 128).codes,
                static_cast<size_t>(groups * kBytes));
    return {buffer.codes, nullptr, nullptr};
  }
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& piece) { return piece.codes; }

  /// The 16 bytes at kAt of each of the four blocks.
  template <int kAt>
  ASSAY_INLINE static __m512i gather16(Bytes p) {
    const __m256i low =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load128(p + kAt)), load128(p + kAt + kBytes), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load128(p + kAt + 2 * kBytes)),
                                                 load128(p + kAt + 3 * kBytes), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  /// The 4 bytes at kAt of each block.
  template <int kAt>
  ASSAY_INLINE static __m128i gather4(Bytes p) {
    return _mm_set_epi32(load_i32(p + kAt + 3 * kBytes), load_i32(p + kAt + 2 * kBytes),
                         load_i32(p + kAt + kBytes), load_i32(p + kAt));
  }
  /// The f16 at the start of each block.
  ASSAY_INLINE static __m128 gather_scales(Bytes p) {
    __m128i words = _mm_cvtsi32_si128(load_u16(p));
    words = _mm_insert_epi16(words, load_u16(p + kBytes), 1);
    words = _mm_insert_epi16(words, load_u16(p + 2 * kBytes), 2);
    words = _mm_insert_epi16(words, load_u16(p + 3 * kBytes), 3);
    return _mm_cvtph_ps(words);
  }
  /// f16 number kWord of each block, in the four lanes of its group, where all four lie within 64 bytes: one
  /// load and one permutation make decode 10 to 18 % faster than four insertions.
  template <int64_t kWord>
  ASSAY_INLINE static __m512 gather_near(Bytes p) {
    static_assert(3 * kBytes + 2 * kWord + 2 <= 64);
    constexpr int64_t kFourTimes = 0x0001000100010001, kWords = kBytes / 2;
    const __m512i kIndex =
        _mm512_set_epi64(0, 0, 0, 0, (3 * kWords + kWord) * kFourTimes, (2 * kWords + kWord) * kFourTimes,
                         (kWords + kWord) * kFourTimes, kWord * kFourTimes);
    return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi16(kIndex, load512(p))));
  }
  /// f16 scale and f16 min at the start of each block: scales in the low half, mins in the high one.
  ASSAY_INLINE static __m256 gather_scales_mins(Bytes p) {
    const __m128i kScalesFirst = _mm_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0);
    return _mm256_cvtph_ps(_mm_shuffle_epi8(gather4<0>(p), kScalesFirst));
  }
  template <int kAt>
  ASSAY_INLINE static void unpack_nibbles(Bytes p, Quad& quad) {
    const __m512i kLow = _mm512_set1_epi8(15);
    const __m512i bytes = gather16<kAt>(p);
    quad.first = _mm512_and_si512(bytes, kLow);
    quad.second = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), kLow);
  }
  /// Bit i of each block's 32 bits is the fifth bit of code i.
  template <int kAt>
  ASSAY_INLINE static void add_fifth_bits(Bytes p, Quad& quad) {
    const __m128i kHalves = _mm_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0);
    const __m512i kFifth = _mm512_set1_epi8(16);
    const __m128i bits = _mm_shuffle_epi8(gather4<kAt>(p), kHalves);
    const __mmask64 first = static_cast<__mmask64>(_mm_cvtsi128_si64(bits));
    const __mmask64 second = static_cast<__mmask64>(_mm_extract_epi64(bits, 1));
    quad.first = _mm512_mask_add_epi8(quad.first, first, quad.first, kFifth);
    quad.second = _mm512_mask_add_epi8(quad.second, second, quad.second, kFifth);
  }
};

struct Q4_0 : Blocks<18> {
  static constexpr int kOffset = 8;
  static constexpr bool kHasMin = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<2>(p, quad);
    quad.scale = gather_near<0>(p);
    return quad;
  }
};

struct Q4_1 : Blocks<20> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<4>(p, quad);
    quad.scale = gather_near<0>(p);
    quad.min = gather_near<1>(p);
    return quad;
  }
};

struct Q5_0 : Blocks<22> {
  static constexpr int kOffset = 16;
  static constexpr bool kHasMin = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<6>(p, quad);
    add_fifth_bits<2>(p, quad);
    quad.scale = expand_groups(gather_scales(p));
    return quad;
  }
};

struct Q5_1 : Blocks<24> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<8>(p, quad);
    add_fifth_bits<4>(p, quad);
    const __m256 both = gather_scales_mins(p);
    quad.scale = expand_groups(_mm256_castps256_ps128(both));
    quad.min = expand_groups(_mm256_extractf128_ps(both, 1));
    return quad;
  }
};

/// Signed codes, made unsigned by adding 128.
struct Q8_0 : Blocks<34> {
  static constexpr int kOffset = 128;
  static constexpr bool kHasMin = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    const __m512i kSign = _mm512_set1_epi8(static_cast<char>(0x80));
    Quad quad;
    quad.first = _mm512_xor_si512(gather16<2>(p), kSign);
    quad.second = _mm512_xor_si512(gather16<18>(p), kSign);
    quad.scale = expand_groups(gather_scales(p));
    return quad;
  }
};

}  // namespace

const FormatLoops kQ4_0Loops = kLoopsOf<Q4_0>;
const FormatLoops kQ4_1Loops = kLoopsOf<Q4_1>;
const FormatLoops kQ5_0Loops = kLoopsOf<Q5_0>;
const FormatLoops kQ5_1Loops = kLoopsOf<Q5_1>;
const FormatLoops kQ8_0Loops = kLoopsOf<Q8_0>;

}  // namespace assay::avx512
