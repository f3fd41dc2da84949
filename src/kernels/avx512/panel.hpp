#pragma once
#include "kernels/avx512/quad.hpp"

// matmul_fast for many tokens. Panels of strips (16 rows each) are unpacked once and multiplied with blocks
// of 16 tokens; lane l of every register is row l of the strip. What multiplies the integers, VPDPBUSD or
// AMX, is a class Product:
//   Product::kCentered            which codes it takes (FormatLoops::unpack)
//   Product<kHalves, kMin>(strip, block)
//   product.add(lane, begin, end, acc)   adds groups begin + lane, begin + lane + 4, … below end to
//   acc[token].

namespace assay::avx512 {

size_t panel_bytes(const PackedMatrix& matrix) noexcept;
void matmul_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                   int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept;

namespace {

constexpr int64_t kStripRows = 16, kBlockTokens = 16;
/// Groups multiplied at a time: the codes of a strip and of a block stay in the first-level cache while the
/// four lanes of the sums take their turns.
constexpr int64_t kBlockGroups = 32;
/// A panel stays in the second-level cache while the blocks of tokens pass by.
constexpr int64_t kPanelBudget = 768 << 10;

ASSAY_INLINE int64_t padded_groups(const PackedMatrix& matrix) {
  return (matrix.cols + 127) / 128 * 4;
}

/// Where the strips of a panel and a block's arrays lie in the scratch.
struct PanelLayout {
  int64_t groups;       ///< of a row, whole quads
  int64_t scale_lines;  ///< of a strip
  int64_t strip_bytes, strips;

  explicit PanelLayout(const PackedMatrix& matrix)
      : groups(padded_groups(matrix)), scale_lines(loops_of(matrix).halves ? 2 * groups : groups) {
    strip_bytes = groups * kStripGroupBytes + (scale_lines + groups) * 64;
    strips = kPanelBudget / strip_bytes > 1 ? kPanelBudget / strip_bytes : 1;
  }
  Strip strip(uint8_t* scratch, int64_t index) const {
    uint8_t* codes = scratch + index * strip_bytes;
    auto* scales = reinterpret_cast<float*>(codes + groups * kStripGroupBytes);
    return {codes, scales, scales + scale_lines * kStripRows};
  }
  uint8_t* block(uint8_t* scratch) const { return scratch + strips * strip_bytes; }
  int64_t block_bytes() const { return (2 * groups + scale_lines) * 64; }
};

/// The factors of 16 tokens, turned so that one line holds a group's.
struct TokenBlock {
  const int8_t* codes;  ///< of the first token
  int64_t stride;       ///< bytes between tokens
  int64_t count;
  float* scales;     ///< [groups, 16]
  float* sums;       ///< [groups, 16]: scale * sum of codes
  int32_t* offsets;  ///< [groups (halves), 16]: -offset * sum of codes

  const int8_t* token(int64_t t) const { return codes + (t < count ? t : count - 1) * stride; }
};

/// Groups [begin, begin + 16) of 16 tokens' numbers, `groups` to a token, turned.
ASSAY_INLINE void load_turned(const void* numbers, int64_t groups, int64_t begin, int64_t count,
                              __m512i (&lines)[16]) {
  const int64_t left = groups - begin;
  const __mmask16 there = left >= 16 ? static_cast<__mmask16>(0xffff) : first_lanes(left);
  const auto* from = static_cast<const int32_t*>(numbers) + begin;
  for (int64_t t = 0; t < 16; ++t)
    lines[t] = _mm512_maskz_loadu_epi32(there, from + (t < count ? t : count - 1) * groups);
  transpose_dwords(lines);
}

/// offsets[half of a group][token] of a format with scales of halves.
inline void sum_halves(const TokenBlock& block, int64_t groups, int shift) {
  for (int64_t t = 0; t < kBlockTokens; ++t) {
    const int8_t* codes = block.token(t);
    for (int64_t half = 0; half < 2 * groups; ++half) {
      const __m128i total =
          _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), load128(codes + 16 * half));
      const __m128i pairs = _mm_add_epi32(total, _mm_shuffle_epi32(total, 0x4e));
      const __m128i sum = _mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0xb1));
      block.offsets[half * kBlockTokens + t] = -(_mm_cvtsi128_si32(sum) << shift);
    }
  }
}

/// Fills the arrays of a block of rows[0 .. count).
inline TokenBlock open_block(const QuantizedRow* rows, int64_t count, const PackedMatrix& matrix,
                             const FormatLoops& loops, bool offsets, uint8_t* scratch) {
  const int64_t groups = matrix.cols / 32, padded = padded_groups(matrix);
  auto* lines = reinterpret_cast<float*>(scratch);
  const TokenBlock block{
      rows[0].codes, matrix.cols,         count,
      lines,         lines + padded * 16, reinterpret_cast<int32_t*>(lines + 2 * padded * 16)};
  const int shift = loops.offset == 0 ? 0 : __builtin_ctz(static_cast<unsigned>(loops.offset));
  for (int64_t begin = 0; begin < groups; begin += 16) {
    const int64_t end = groups - begin < 16 ? groups - begin : 16;
    __m512i scales[16], sums[16];
    load_turned(rows[0].scales, groups, begin, count, scales);
    load_turned(rows[0].sums, groups, begin, count, sums);
    for (int64_t g = 0; g < end; ++g) {
      const int64_t at = (begin + g) * 16;
      const __m512 scale = _mm512_castsi512_ps(scales[g]);
      _mm512_storeu_ps(block.scales + at, scale);
      _mm512_storeu_ps(block.sums + at, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sums[g])));
      if (offsets && !loops.halves)
        _mm512_storeu_si512(block.offsets + at,
                            _mm512_sub_epi32(_mm512_setzero_si512(),
                                             _mm512_slli_epi32(sums[g], static_cast<unsigned>(shift))));
    }
  }
  if (offsets && loops.halves) sum_halves(block, groups, shift);
  return block;
}

/// acc[token] += sums[token] * scales of both, and the minima after it: one group (half) of a strip and a
/// block.
template <int kTokens, bool kMin, class Sum>
ASSAY_INLINE void add_group(const Sum& sum, __m512 scale, const float* token_scales, __m512 min,
                            const float* token_sums, __m512 (&acc)[kTokens]) {
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(token_scales[t]));
    acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum(t)), factor, acc[t]);
    if constexpr (kMin) acc[t] = _mm512_fmadd_ps(min, _mm512_set1_ps(token_sums[t]), acc[t]);
  }
}

/// One strip times one block, to out[token * out_stride + row].
template <class Product>
void multiply_strip(const Product& product, int64_t groups, int64_t count, __mmask16 rows, float* out,
                    int64_t out_stride) noexcept {
  alignas(64) float lanes[4][kBlockTokens][kStripRows] = {};
  for (int64_t begin = 0; begin < groups; begin += kBlockGroups) {
    const int64_t end = groups - begin < kBlockGroups ? groups : begin + kBlockGroups;
    for (int64_t lane = 0; lane < 4 && begin + lane < end; ++lane)
      product.add(begin + lane, end, lanes[lane]);
  }
  for (int64_t t = 0; t < count; ++t) {
    const __m512 even = _mm512_add_ps(_mm512_load_ps(lanes[0][t]), _mm512_load_ps(lanes[2][t]));
    const __m512 odd = _mm512_add_ps(_mm512_load_ps(lanes[1][t]), _mm512_load_ps(lanes[3][t]));
    _mm512_mask_storeu_ps(out + t * out_stride, rows, _mm512_add_ps(even, odd));
  }
}

/// IsaTable::matmul_panels of a format that Product takes.
template <class Product>
void multiply_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                     int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept {
  const FormatLoops& loops = loops_of(matrix);
  const PanelLayout layout(matrix);
  const int64_t panel_rows = layout.strips * kStripRows, groups = matrix.cols / 32;
  for (int64_t first = row_begin; first < row_end; first += panel_rows) {
    const int64_t end = row_end - first < panel_rows ? row_end : first + panel_rows;
    for (int64_t row = first; row < end; row += kStripRows)
      loops.unpack(matrix, row, end - row < kStripRows ? end - row : kStripRows, Product::kCentered,
                   layout.strip(scratch, (row - first) / kStripRows));
    Product::finish_stores();
    for (int64_t t = 0; t < tokens; t += kBlockTokens) {
      const int64_t count = tokens - t < kBlockTokens ? tokens - t : kBlockTokens;
      const TokenBlock block =
          open_block(rows + t, count, matrix, loops, !Product::kCentered, layout.block(scratch));
      Product::shape(count);
      for (int64_t row = first; row < end; row += kStripRows) {
        const Strip strip = layout.strip(scratch, (row - first) / kStripRows);
        const __mmask16 there =
            end - row < kStripRows ? first_lanes(end - row) : static_cast<__mmask16>(0xffff);
        multiply_strip(Product{strip, block}, groups, count, there, out + t * out_stride + row, out_stride);
      }
    }
  }
}

/// Calls the Product of the format: Product<halves, min>.
template <template <bool, bool> class Product>
void multiply_panels_of(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end,
                        const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride,
                        uint8_t* scratch) noexcept {
  const FormatLoops& loops = loops_of(matrix);
  const auto multiply = loops.halves    ? multiply_panels<Product<true, false>>
                        : loops.has_min ? multiply_panels<Product<false, true>>
                                        : multiply_panels<Product<false, false>>;
  multiply(matrix, row_begin, row_end, rows, tokens, out, out_stride, scratch);
}

}  // namespace
}  // namespace assay::avx512

namespace assay::amx {

/// The same on AMX's tiles.
void matmul_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                   int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept;

}  // namespace assay::amx
