#include "kernels/avx2/quad.hpp"

// MLX affine: a little-endian bitstream of codes per row, scales and biases per group of 32, 64 or 128
// (mlx/backend/cpu/quantized.cpp). The biases are the minima of the quad loops.

namespace assay::avx2 {
namespace {

/// 16-bit or 32-bit numbers, one per MLX group, as one float per group of 32 values.
template <int kGroupSize>
ASSAY_INLINE __m128 load_scales(Bytes p, ScaleType type) {
  __m128 values;
  if (type == ScaleType::kF32) {
    if constexpr (kGroupSize == 32)
      values = _mm_castsi128_ps(load128(p));
    else if constexpr (kGroupSize == 64)
      values = _mm_castsi128_ps(_mm_cvtsi64_si128(load_as<int64_t>(p)));
    else
      values = _mm_castsi128_ps(_mm_cvtsi32_si128(load_as<int>(p)));
  } else {
    __m128i words;
    if constexpr (kGroupSize == 32)
      words = _mm_cvtsi64_si128(load_as<int64_t>(p));
    else if constexpr (kGroupSize == 64)
      words = _mm_cvtsi32_si128(load_as<int>(p));
    else
      words = _mm_cvtsi32_si128(load_as<uint16_t>(p));
    values = type == ScaleType::kBF16 ? _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), words))
                                      : _mm_cvtph_ps(words);
  }
  if constexpr (kGroupSize == 64) return _mm_unpacklo_ps(values, values);
  if constexpr (kGroupSize == 128) return _mm_shuffle_ps(values, values, 0);
  return values;
}

/// 128 codes of 4 bits: byte j of a group holds codes 2j (low) and 2j + 1 (high).
ASSAY_INLINE void unpack_4bit(Bytes p, Quad& quad) {
  const __m256i kLow = _mm256_set1_epi8(15);
  for (int half = 0; half < 2; ++half) {
    const __m256i bytes = load256(p + 32 * half);
    const __m256i even = _mm256_and_si256(bytes, kLow);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), kLow);
    quad.first[half] = _mm256_unpacklo_epi8(even, odd);
    quad.second[half] = _mm256_unpackhi_epi8(even, odd);
  }
}

/// 128 codes of a byte each.
ASSAY_INLINE void unpack_bytes(Bytes p, Quad& quad) {
  for (int half = 0; half < 2; ++half) {
    quad.first[half] = load_pair(p + 64 * half, p + 64 * half + 32);
    quad.second[half] = load_pair(p + 64 * half + 16, p + 64 * half + 48);
  }
}

/// The same made signed by taking 128 off, which kOffset = -128 puts back.
ASSAY_INLINE void unpack_8bit(Bytes p, Quad& quad) {
  const __m256i kSign = _mm256_set1_epi8(static_cast<char>(0x80));
  unpack_bytes(p, quad);
  for (int half = 0; half < 2; ++half) {
    quad.first[half] = _mm256_xor_si256(quad.first[half], kSign);
    quad.second[half] = _mm256_xor_si256(quad.second[half], kSign);
  }
}

/// 128 codes of any width below 8: eight codes fill `bits` bytes, so they are cut from one 64-bit word. Words
/// that would reach past the quad's last byte are read from further back.
inline void unpack_any(Bytes p, int bits, Quad& quad) {
  alignas(64) uint8_t codes[128];
  const uint64_t mask = (1u << bits) - 1;
  const int last = 16 * bits - 8;
  for (int i = 0; i < 16; ++i) {
    const int at = i * bits < last ? i * bits : last;
    const uint64_t word = load_as<uint64_t>(p + at) >> 8 * (i * bits - at);
    for (int k = 0; k < 8; ++k) codes[8 * i + k] = static_cast<uint8_t>(word >> k * bits & mask);
  }
  unpack_bytes(codes, quad);
}

/// kBits 0 stands for every width without a loop of its own.
template <int kBits, int kGroupSize>
struct Mlx {
  static constexpr int kQuads = 1, kOffset = kBits == 8 ? -128 : 0;
  static constexpr bool kHasMin = true, kSubScales = false, kSignedBytes = kBits == 8;
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
      unpack_8bit(unit.codes, quad);
    else
      unpack_any(unit.codes, matrix.bits, quad);
    quad.scale = load_scales<kGroupSize>(unit.scales, matrix.scale_type);
    quad.min = load_scales<kGroupSize>(unit.biases, matrix.scale_type);
    return quad;
  }
};

/// Calls body with the format type of the matrix' group size.
template <int kBits, class Body>
ASSAY_INLINE void with_group_size(int group_size, const Body& body) {
  if (group_size == 32)
    body(Mlx<kBits, 32>());
  else if (group_size == 64)
    body(Mlx<kBits, 64>());
  else
    body(Mlx<kBits, 128>());
}

template <int kBits>
void fast_mlx(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
              int64_t tokens, float* out, int64_t out_stride) noexcept {
  with_group_size<kBits>(matrix.group_size, [&]<class F>(F) {
    fast<F>(matrix, row_begin, row_end, rows, tokens, out, out_stride);
  });
}

template <int kBits>
void decode_mlx(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept {
  with_group_size<kBits>(matrix.group_size, [&]<class F>(F) { decode<F>(matrix, row, begin, count, out); });
}

}  // namespace

#define ASSAY_DEFINE_MLX(name, bits)                                                                         \
  void fast_##name(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows, \
                   int64_t tokens, float* out, int64_t out_stride) noexcept {                                \
    fast_mlx<bits>(matrix, row_begin, row_end, rows, tokens, out, out_stride);                               \
  }                                                                                                          \
  void decode_##name(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count,                  \
                     float* out) noexcept {                                                                  \
    decode_mlx<bits>(matrix, row, begin, count, out);                                                        \
  }
ASSAY_DEFINE_MLX(mlx4, 4)
ASSAY_DEFINE_MLX(mlx8, 8)
ASSAY_DEFINE_MLX(mlx_other, 0)
#undef ASSAY_DEFINE_MLX

}  // namespace assay::avx2
