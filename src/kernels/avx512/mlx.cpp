#include "kernels/avx512/quad.hpp"

// MLX affine: a little-endian bitstream of codes per row, scales and biases per group of 32, 64 or 128
// (mlx/backend/cpu/quantized.cpp). The biases are the minima of the quad loops.

namespace assay::avx512 {
namespace {

/// 16-bit or 32-bit numbers, one per MLX group, as one float per group of 32 values.
template <int kGroupSize>
ASSAY_INLINE __m128 load_scales(Bytes p, ScaleType type) {
  __m128 values;
  if (type == ScaleType::kF32) {
    if constexpr (kGroupSize == 32)
      values = _mm_castsi128_ps(load128(p));
    else if constexpr (kGroupSize == 64)
      values = _mm_castsi128_ps(_mm_cvtsi64_si128(load_i64(p)));
    else
      values = _mm_castsi128_ps(_mm_cvtsi32_si128(load_i32(p)));
  } else {
    __m128i words;
    if constexpr (kGroupSize == 32)
      words = _mm_cvtsi64_si128(load_i64(p));
    else if constexpr (kGroupSize == 64)
      words = _mm_cvtsi32_si128(load_i32(p));
    else
      words = _mm_cvtsi32_si128(load_u16(p));
    values = type == ScaleType::kBF16 ? _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), words))
                                      : _mm_cvtph_ps(words);
  }
  if constexpr (kGroupSize == 64) return _mm_unpacklo_ps(values, values);
  if constexpr (kGroupSize == 128) return _mm_shuffle_ps(values, values, 0);
  return values;
}

/// 128 codes of 4 bits: byte j of a group holds codes 2j (low) and 2j + 1 (high).
ASSAY_INLINE void unpack_4bit(Bytes p, Quad& quad) {
  const __m512i kLow = _mm512_set1_epi8(15);
  const __m512i bytes = load512(p);
  const __m512i even = _mm512_and_si512(bytes, kLow);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), kLow);
  quad.first = _mm512_unpacklo_epi8(even, odd);
  quad.second = _mm512_unpackhi_epi8(even, odd);
}

/// Two registers of sequential bytes, 64 codes each.
ASSAY_INLINE void split_groups(__m512i low, __m512i high, Quad& quad) {
  quad.first = _mm512_shuffle_i32x4(low, high, _MM_SHUFFLE(2, 0, 2, 0));
  quad.second = _mm512_shuffle_i32x4(low, high, _MM_SHUFFLE(3, 1, 3, 1));
}

/// The 32 codes of a group, which fill `bits` dwords: code i starts `shift` bits into 16-bit word `word` and
/// may end in the next one.
ASSAY_INLINE __m256i cut_group(Bytes p, int bits, __m512i word, __m512i shift) {
  const auto dwords = static_cast<__mmask8>((1 << bits) - 1);
  const __m512i stream = _mm512_castsi256_si512(_mm256_maskz_loadu_epi32(dwords, p));
  const __m512i low = _mm512_srlv_epi16(_mm512_permutexvar_epi16(word, stream), shift);
  const __m512i next = _mm512_add_epi16(word, _mm512_set1_epi16(1));
  const __m512i left = _mm512_sub_epi16(_mm512_set1_epi16(16), shift);  // 16 shifts everything out
  const __m512i high = _mm512_sllv_epi16(_mm512_permutexvar_epi16(next, stream), left);
  const __m512i mask = _mm512_set1_epi16(static_cast<int16_t>((1 << bits) - 1));
  return _mm512_cvtepi16_epi8(_mm512_and_si512(_mm512_or_si512(low, high), mask));
}

/// 128 codes of any width below 8.
ASSAY_INLINE void unpack_any(Bytes p, int bits, Quad& quad) {
  const __m512i index =
      _mm512_cvtepu8_epi16(_mm256_set_epi8(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15,
                                           14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  const __m512i start = _mm512_mullo_epi16(index, _mm512_set1_epi16(static_cast<int16_t>(bits)));
  const __m512i word = _mm512_srli_epi16(start, 4);
  const __m512i shift = _mm512_and_si512(start, _mm512_set1_epi16(15));
  __m256i groups[4];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) groups[g] = cut_group(p + 4 * g * bits, bits, word, shift);
  split_groups(_mm512_inserti64x4(_mm512_castsi256_si512(groups[0]), groups[1], 1),
               _mm512_inserti64x4(_mm512_castsi256_si512(groups[2]), groups[3], 1), quad);
}

/// kBits 0 stands for every width without a loop of its own.
template <int kBits, int kGroupSize>
struct Mlx {
  static constexpr int kQuads = 1, kOffset = 0;
  static constexpr bool kHasMin = true, kSubScales = false;
  static constexpr int kScales = 128 / kGroupSize;
  using Unit = Piece;

  ASSAY_INLINE static int64_t scale_bytes(const PackedMatrix& matrix) {
    return matrix.scale_type == ScaleType::kF32 ? 4 : 2;
  }
  ASSAY_INLINE static int64_t code_bytes(const PackedMatrix& matrix) {
    return 16 * (kBits != 0 ? kBits : matrix.bits);
  }
  ASSAY_INLINE static Piece piece(const PackedMatrix& matrix, int64_t row, int64_t unit) {
    const int64_t scales = unit * kScales * scale_bytes(matrix);
    return {matrix.codes + row * matrix.codes_stride + unit * code_bytes(matrix),
            matrix.scales + row * matrix.scales_stride + scales,
            matrix.biases + row * matrix.biases_stride + scales};
  }
  static Piece tail(const PackedMatrix& matrix, int64_t row, int64_t groups, TailBuffer& buffer) {
    const Piece from = piece(matrix, row, matrix.cols / 128);
    std::memset(&buffer, 0, sizeof buffer);
    std::memcpy(buffer.codes, from.codes, static_cast<size_t>(groups * code_bytes(matrix) / 4));
    const auto bytes = static_cast<size_t>(groups * 32 / kGroupSize * scale_bytes(matrix));
    std::memcpy(buffer.scales, from.scales, bytes);
    std::memcpy(buffer.biases, from.biases, bytes);
    return {buffer.codes, buffer.scales, buffer.biases};
  }
  ASSAY_INLINE static Unit open(const PackedMatrix&, const Piece& piece) { return piece; }
  ASSAY_INLINE static Quad quad(const PackedMatrix& matrix, const Unit& unit, int) {
    Quad quad;
    if constexpr (kBits == 4)
      unpack_4bit(unit.codes, quad);
    else if constexpr (kBits == 8)
      split_groups(load512(unit.codes), load512(unit.codes + 64), quad);
    else
      unpack_any(unit.codes, matrix.bits, quad);
    quad.scale = expand_groups(load_scales<kGroupSize>(unit.scales, matrix.scale_type));
    quad.min = expand_groups(load_scales<kGroupSize>(unit.biases, matrix.scale_type));
    return quad;
  }
};

template <int kBits>
const FormatLoops& loops_of_group(int group_size) {
  return group_size == 32   ? kLoopsOf<Mlx<kBits, 32>>
         : group_size == 64 ? kLoopsOf<Mlx<kBits, 64>>
                            : kLoopsOf<Mlx<kBits, 128>>;
}

}  // namespace

const FormatLoops& mlx_loops(int bits, int group_size) noexcept {
  return bits == 4   ? loops_of_group<4>(group_size)
         : bits == 8 ? loops_of_group<8>(group_size)
                     : loops_of_group<0>(group_size);
}

}  // namespace assay::avx512
