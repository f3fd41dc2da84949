#include "kernels/avx2/quad.hpp"

// ggml's blocks of 32 values (ggml-common.h). A quad is four blocks.

namespace assay::avx2 {
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

  /// The 16 bytes at kAt of blocks 2p and 2p + 1.
  template <int kAt>
  ASSAY_INLINE static __m256i gather16(Bytes p, int half) {
    const Bytes at = p + kAt + 2 * half * kBytes;
    return load_pair(at, at + kBytes);
  }
  /// The 4 bytes at kAt of each block.
  template <int kAt>
  ASSAY_INLINE static __m128i gather4(Bytes p) {
    return _mm_set_epi32(load_as<int>(p + kAt + 3 * kBytes), load_as<int>(p + kAt + 2 * kBytes),
                         load_as<int>(p + kAt + kBytes), load_as<int>(p + kAt));
  }
  /// The f16 at the start of each block.
  ASSAY_INLINE static __m128 gather_scales(Bytes p) {
    __m128i words = _mm_cvtsi32_si128(load_as<uint16_t>(p));
    words = _mm_insert_epi16(words, load_as<uint16_t>(p + kBytes), 1);
    words = _mm_insert_epi16(words, load_as<uint16_t>(p + 2 * kBytes), 2);
    words = _mm_insert_epi16(words, load_as<uint16_t>(p + 3 * kBytes), 3);
    return _mm_cvtph_ps(words);
  }
  /// f16 scale and f16 min at the start of each block: scales in the low half, mins in the high one.
  ASSAY_INLINE static __m256 gather_scales_mins(Bytes p) {
    const __m128i kScalesFirst = _mm_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0);
    return _mm256_cvtph_ps(_mm_shuffle_epi8(gather4<0>(p), kScalesFirst));
  }
  template <int kAt>
  ASSAY_INLINE static void unpack_nibbles(Bytes p, Quad& quad) {
    const __m256i kLow = _mm256_set1_epi8(15);
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = gather16<kAt>(p, half);
      quad.first[half] = _mm256_and_si256(bytes, kLow);
      quad.second[half] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), kLow);
    }
  }
  /// Byte kFirst of each half to its values 0..7 and the next one to 8..15, then 16 where bit i % 8 is set.
  ASSAY_INLINE static __m256i spread_bits(__m256i bits, int first) {
    const __m256i kByte = _mm256_set_epi64x(0x0101010101010101, 0, 0x0101010101010101, 0);
    const __m256i kBit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    const __m256i bytes =
        _mm256_shuffle_epi8(bits, _mm256_add_epi8(kByte, _mm256_set1_epi8(static_cast<char>(first))));
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, kBit), kBit);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
  }
  /// Bit i of each block's 32 bits is the fifth bit of code i.
  template <int kAt>
  ASSAY_INLINE static void add_fifth_bits(Bytes p, Quad& quad) {
    for (int half = 0; half < 2; ++half) {
      const Bytes at = p + kAt + 2 * half * kBytes;
      const __m256i bits =
          _mm256_set_m128i(_mm_cvtsi32_si128(load_as<int>(at + kBytes)), _mm_cvtsi32_si128(load_as<int>(at)));
      quad.first[half] = _mm256_or_si256(quad.first[half], spread_bits(bits, 0));
      quad.second[half] = _mm256_or_si256(quad.second[half], spread_bits(bits, 2));
    }
  }
};

struct Q4_0 : Blocks<18> {
  static constexpr int kOffset = 8;
  static constexpr bool kHasMin = false, kSignedBytes = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<2>(p, quad);
    quad.scale = gather_scales(p);
    return quad;
  }
};

struct Q4_1 : Blocks<20> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true, kSignedBytes = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<4>(p, quad);
    const __m256 both = gather_scales_mins(p);
    quad.scale = _mm256_castps256_ps128(both);
    quad.min = _mm256_extractf128_ps(both, 1);
    return quad;
  }
};

struct Q5_0 : Blocks<22> {
  static constexpr int kOffset = 16;
  static constexpr bool kHasMin = false, kSignedBytes = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<6>(p, quad);
    add_fifth_bits<2>(p, quad);
    quad.scale = gather_scales(p);
    return quad;
  }
};

struct Q5_1 : Blocks<24> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true, kSignedBytes = false;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    unpack_nibbles<8>(p, quad);
    add_fifth_bits<4>(p, quad);
    const __m256 both = gather_scales_mins(p);
    quad.scale = _mm256_castps256_ps128(both);
    quad.min = _mm256_extractf128_ps(both, 1);
    return quad;
  }
};

struct Q8_0 : Blocks<34> {
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = false, kSignedBytes = true;
  ASSAY_INLINE static Quad quad(const PackedMatrix&, Unit p, int) {
    Quad quad;
    for (int half = 0; half < 2; ++half) {
      quad.first[half] = gather16<2>(p, half);
      quad.second[half] = gather16<18>(p, half);
    }
    quad.scale = gather_scales(p);
    return quad;
  }
};

}  // namespace

ASSAY_DEFINE_FORMAT(q4_0, Q4_0)
ASSAY_DEFINE_FORMAT(q4_1, Q4_1)
ASSAY_DEFINE_FORMAT(q5_0, Q5_0)
ASSAY_DEFINE_FORMAT(q5_1, Q5_1)
ASSAY_DEFINE_FORMAT(q8_0, Q8_0)

}  // namespace assay::avx2
