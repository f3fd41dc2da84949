#pragma once
#include "kernels/avx512/quad.hpp"

// matmul_fast for many tokens. Panels of strips (16 rows each) are unpacked once and multiplied with blocks
// of 16 tokens; lane l of every register is row l of the strip. What multiplies the integers, VPDPBUSD or
// AMX, is a class Product:
//   Product::kCentered            which codes it takes (FormatLoops::unpack)
//   product.add(strip, block, begin, end, lane)   adds groups begin, begin + 4, … below end to
//   lane[token][row],
//                                                 at the latest when
//   product.finish()                              is called

namespace assay::avx512 {

size_t panel_bytes(const PackedMatrix& matrix) noexcept;
void matmul_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                   int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept;

namespace {

constexpr int64_t kStripRows = 16, kBlockTokens = 16;
/// Groups multiplied at a time: the codes of a strip and of a block stay in the first-level cache while the
/// four lanes of the sums take their turns.
constexpr int64_t kBlockGroups = 32;
/// Strips and blocks that are multiplied together. Every line of codes then comes from the second-level cache
/// once for two or four products.
constexpr int64_t kTileStrips = 4, kTileBlocks = 2;
/// A panel stays in the second-level cache while the blocks of tokens pass by.
constexpr int64_t kPanelBudget = 768 << 10;

ASSAY_INLINE int64_t at_most(int64_t value, int64_t limit) {
  return value < limit ? value : limit;
}

ASSAY_INLINE int64_t padded_groups(const PackedMatrix& matrix) {
  return (matrix.cols + 127) / 128 * 4;
}

/// The codes of a group of 16 tokens, 32 bytes a token. As rows of the model's width they would lie a power
/// of two apart, in the same few sets of the first-level cache.
constexpr int64_t kBlockGroupBytes = kBlockTokens * 32;

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
  int64_t block_bytes() const { return groups * kBlockGroupBytes + (2 * groups + scale_lines) * 64; }
  uint8_t* block(uint8_t* scratch, int64_t index) const {
    return scratch + strips * strip_bytes + index * block_bytes();
  }
  uint8_t* lanes(uint8_t* scratch) const { return block(scratch, kTileBlocks); }
  int64_t bytes() const {
    return strips * strip_bytes + kTileBlocks * block_bytes() +
           kTileStrips * kTileBlocks * 4 * kBlockTokens * kStripRows * 4;
  }
};

/// 16 tokens, group by group. Absent ones repeat the last.
struct TokenBlock {
  int8_t* codes;     ///< [groups, 16, 32]
  float* scales;     ///< [groups, 16]
  float* sums;       ///< [groups, 16]: scale * sum of codes
  int32_t* offsets;  ///< [groups (halves), 16]: -offset * sum of codes
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

/// block.offsets of a format with scales of halves.
inline void sum_halves(const TokenBlock& block, int64_t groups, int shift) {
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t t = 0; t < kBlockTokens; ++t)
      for (int64_t h = 0; h < 2; ++h) {
        const __m128i codes = load128(block.codes + group * kBlockGroupBytes + 32 * t + 16 * h);
        const __m128i total = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), codes);
        const __m128i pairs = _mm_add_epi32(total, _mm_shuffle_epi32(total, 0x4e));
        const __m128i sum = _mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0xb1));
        block.offsets[(2 * group + h) * kBlockTokens + t] = -(_mm_cvtsi128_si32(sum) << shift);
      }
}

inline void copy_codes(const QuantizedRow* rows, int64_t count, int64_t groups, int8_t* to) {
  for (int64_t t = 0; t < kBlockTokens; ++t) {
    const int8_t* from = rows[t < count ? t : count - 1].codes;
    for (int64_t g = 0; g < groups; ++g)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + g * kBlockGroupBytes + 32 * t),
                          load256(from + 32 * g));
  }
}

/// Fills the arrays of a block of rows[0 .. count).
inline TokenBlock open_block(const QuantizedRow* rows, int64_t count, const PackedMatrix& matrix,
                             const FormatLoops& loops, bool offsets, uint8_t* scratch) {
  const int64_t groups = matrix.cols / 32, padded = padded_groups(matrix);
  auto* lines = reinterpret_cast<float*>(scratch + padded * kBlockGroupBytes);
  const TokenBlock block{reinterpret_cast<int8_t*>(scratch), lines, lines + padded * 16,
                         reinterpret_cast<int32_t*>(lines + 2 * padded * 16)};
  copy_codes(rows, count, groups, block.codes);
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

/// The four lanes of the sums of one strip and one block.
using Lanes = float[4][kBlockTokens][kStripRows];

/// lanes to out[token * out_stride + row] for `count` tokens and the rows of the mask.
inline void store_sums(const Lanes& lanes, int64_t count, __mmask16 rows, float* out, int64_t out_stride) {
  for (int64_t t = 0; t < count; ++t) {
    const __m512 even = _mm512_add_ps(_mm512_load_ps(lanes[0][t]), _mm512_load_ps(lanes[2][t]));
    const __m512 odd = _mm512_add_ps(_mm512_load_ps(lanes[1][t]), _mm512_load_ps(lanes[3][t]));
    _mm512_mask_storeu_ps(out + t * out_stride, rows, _mm512_add_ps(even, odd));
  }
}

/// Some strips times some blocks. A few groups of them all stay in the first-level cache while they multiply
/// each other.
template <class Product>
void multiply_tile(const Strip* strips, int64_t n_strips, const TokenBlock* blocks, int64_t n_blocks,
                   int64_t groups, Lanes* lanes) noexcept {
  std::memset(lanes, 0, sizeof(Lanes) * kTileStrips * kTileBlocks);
  Product product;
  for (int64_t begin = 0; begin < groups; begin += kBlockGroups) {
    const int64_t end = groups - begin < kBlockGroups ? groups : begin + kBlockGroups;
    for (int64_t lane = 0; lane < 4 && begin + lane < end; ++lane)
      for (int64_t s = 0; s < n_strips; ++s)
        for (int64_t b = 0; b < n_blocks; ++b)
          product.add(strips[s], blocks[b], begin + lane, end, lanes[s * kTileBlocks + b][lane]);
  }
  product.finish();
}

/// IsaTable::matmul_panels of a format that Product takes.
template <class Product>
void multiply_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                     int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept {
  const FormatLoops& loops = loops_of(matrix);
  const PanelLayout layout(matrix);
  const int64_t panel_rows = layout.strips * kStripRows, groups = matrix.cols / 32;
  auto* lanes = reinterpret_cast<Lanes*>(layout.lanes(scratch));
  Product::start();
  for (int64_t first = row_begin; first < row_end; first += panel_rows) {
    const int64_t end = row_end - first < panel_rows ? row_end : first + panel_rows;
    for (int64_t row = first; row < end; row += kStripRows)
      loops.unpack(matrix, row, at_most(end - row, kStripRows), Product::kCentered,
                   layout.strip(scratch, (row - first) / kStripRows));
    for (int64_t token = 0; token < tokens; token += kTileBlocks * kBlockTokens) {
      TokenBlock blocks[kTileBlocks];
      int64_t n_blocks = 0;
      for (int64_t t = token; n_blocks < kTileBlocks && t < tokens; t += kBlockTokens, ++n_blocks)
        blocks[n_blocks] = open_block(rows + t, at_most(tokens - t, kBlockTokens), matrix, loops,
                                      !Product::kCentered, layout.block(scratch, n_blocks));
      Product::finish_stores();
      for (int64_t row = first; row < end; row += kTileStrips * kStripRows) {
        Strip strips[kTileStrips];
        int64_t n_strips = 0;
        for (int64_t r = row; n_strips < kTileStrips && r < end; r += kStripRows, ++n_strips)
          strips[n_strips] = layout.strip(scratch, (r - first) / kStripRows);
        multiply_tile<Product>(strips, n_strips, blocks, n_blocks, groups, lanes);
        for (int64_t s = 0; s < n_strips; ++s)
          for (int64_t b = 0; b < n_blocks; ++b) {
            const int64_t r = row + s * kStripRows, t = token + b * kBlockTokens;
            const int64_t there = at_most(end - r, kStripRows);
            store_sums(lanes[s * kTileBlocks + b], at_most(tokens - t, kBlockTokens), first_lanes(there),
                       out + t * out_stride + r, out_stride);
          }
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
