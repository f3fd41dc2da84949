#include "kernels/avx512/encoder_int.hpp"

// Integer products by TDPBSSD: a tile of 16 tokens × 64 codes, straight from the rows of an Int8Tokens, times
// a tile of the panel gives 16 tokens × 16 rows. Compiled with the flags of avx512/ and -mamx-tile
// -mamx-int8.
//
//     tiles 0 1      sums of tokens  0..15 with the panel's two halves     tiles 4 5   tokens
//     tiles 2 3      sums of tokens 16..31 with them                       tiles 6 7   halves of the panel

namespace assay::amx {
namespace {

using namespace avx512;

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileBytes = 64;  ///< of a row
constexpr int64_t kBlockTokens = 2 * kTileRows;
constexpr int64_t kCodeBudget = 1 << 20;  ///< bytes of codes that stay in the L2 cache beside a panel

/// The operand of LDTILECFG (Intel SDM, "AMX tile architecture", palette 1).
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

/// Shapes this thread's tiles as drawn above for `tokens` (1..32) and `columns` (64 or 32) of a step.
void shape_tiles(int64_t tokens, int64_t columns) {
  TileShapes shapes;
  const int64_t low = tokens < kTileRows ? tokens : kTileRows;
  const int64_t high = tokens > kTileRows ? tokens - kTileRows : kTileRows;
  const auto set = [&shapes](int tile, int64_t rows, int64_t bytes) {
    shapes.rows[tile] = static_cast<uint8_t>(rows);
    shapes.row_bytes[tile] = static_cast<uint16_t>(bytes);
  };
  for (const int half : {0, 1}) {
    set(half, low, kTileBytes);
    set(2 + half, high, kTileBytes);
    set(6 + half, columns / 4, kTileBytes);
  }
  set(4, low, columns);
  set(5, high, columns);
  // GCC's intrinsic names only the first bytes of its operand: without this the others would not be written.
  __asm__ volatile("" ::"r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}

/// Orders the stores before the tile loads after it, which GCC's intrinsics do not.
ASSAY_INLINE void finish_stores() {
  __asm__ volatile("" ::: "memory");
}

struct TilesInUse {
  TilesInUse() = default;
  TilesInUse(const TilesInUse&) = delete;
  TilesInUse& operator=(const TilesInUse&) = delete;
  ~TilesInUse() { _tile_release(); }
};

/// Sums of a block of tokens and a panel, on their way to the output. They go there while the tiles multiply
/// the next block: converting and storing them takes as long as the multiplications of some 400 columns.
struct PendingSums {
  alignas(64) int32_t sums[kBlockTokens][kPanelRows];
  const HalfPanel* halves = nullptr;  ///< [2]
  int64_t token = 0;                  ///< of sums[0]
  int64_t next = 0, count = 0;        ///< tokens that are done, and all of them
};

/// The work on pending sums for gelu (erf), no activation (kPlain) or any other: what it reads for every
/// token then stays in registers, and tile loads have the ports.
template <bool kGelu, bool kPlain>
struct Finisher {
  /// The values of some tokens, from `token` of the pending ones on.
  template <int kTokens>
  ASSAY_INLINE static void finish(const Destination& to, const PendingSums& pending, int64_t token) {
    __m512 values[kTokens][2];
#pragma GCC unroll 2
    for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const HalfPanel& half = pending.halves[h];
        const int64_t at = pending.token + token + t;
        values[t][h] = int8_value(to, half, at, load512(pending.sums[token + t] + h * kHalfRows));
        if constexpr (kGelu) values[t][h] = gelu_coarse<Ops>(values[t][h]);
      }
#pragma GCC unroll 2
    for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const HalfPanel& half = pending.halves[h];
        const int64_t at = pending.token + token + t;
        if constexpr (kGelu || kPlain)
          to.add_and_store(values[t][h], at, half.row, half.lanes);
        else
          to.store(values[t][h], at, half.row, half.lanes);
      }
  }

  /// Up to `tokens` more.
  __attribute__((noinline)) static void run(const Destination& to, PendingSums& pending,
                                            int64_t tokens) noexcept {
    int64_t t = pending.next;
    const int64_t end = t + tokens < pending.count ? t + tokens : pending.count;
    for (; t + 2 <= end; t += 2) finish<2>(to, pending, t);
    if (t < end) finish<1>(to, pending, t++);
    pending.next = t;
  }
};

struct Int8Product {
  const Int8Tokens& x;
  Destination to;
  int64_t steps;
  PendingSums* pending;  ///< [2], taking turns
  void (*finish)(const Destination& to, PendingSums& pending, int64_t tokens) noexcept;

  /// Multiplies a block of tokens (kTall: more than 16) with one panel into `sums` and finishes `before`.
  /// Every step asks for `lines` lines from `later` on.
  template <bool kTall>
  ASSAY_INLINE void sum(const int8_t* codes, Bytes panel, int32_t (&sums)[kBlockTokens][kPanelRows],
                        PendingSums& before, Bytes later, int64_t lines) const {
    constexpr int64_t kSumsStride = kPanelRows * sizeof(int32_t);
    const int64_t stride = x.stride, share = ((before.count + steps - 1) / steps + 1) / 2 * 2;
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kTall) {
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t s = 0; s < steps; ++s, codes += kStepCols, panel += kStepBytes) {
      _tile_loadd(4, codes, stride);
      _tile_loadd(6, panel, kTileBytes);
      _tile_loadd(7, panel + kHalfBytes, kTileBytes);
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      if constexpr (kTall) {
        _tile_loadd(5, codes + kTileRows * stride, stride);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
      }
      for (int64_t line = 0; line < lines; ++line, later += kLineBytes) _mm_prefetch(later, _MM_HINT_T0);
      if (before.next < before.count) finish(to, before, share);
    }
    _tile_stored(0, sums[0], kSumsStride);
    _tile_stored(1, sums[0] + kHalfRows, kSumsStride);
    if constexpr (kTall) {
      _tile_stored(2, sums[kTileRows], kSumsStride);
      _tile_stored(3, sums[kTileRows] + kHalfRows, kSumsStride);
    }
  }

  /// `turn` counts the calls; halves stay where they are until the next but one.
  void run(Bytes panel, const HalfPanel* halves, int64_t token, int64_t count, int64_t turn, Bytes later,
           int64_t lines) const noexcept {
    PendingSums &before = pending[(turn + 1) % 2], &after = pending[turn % 2];
    const int8_t* codes = x.codes + token * x.stride;
    if (count > kTileRows)
      sum<true>(codes, panel, after.sums, before, later, lines);
    else
      sum<false>(codes, panel, after.sums, before, later, lines);
    after.halves = halves;
    after.token = token;
    after.next = 0;
    after.count = count;
  }
};

auto choose_finisher(Activation activation) {
  if (activation == Activation::kGeluErf) return Finisher<true, false>::run;
  return activation == Activation::kNone ? Finisher<false, true>::run : Finisher<false, false>::run;
}

/// Tokens whose codes fill the budget, whole blocks of them.
int64_t tokens_at_a_time(int64_t stride) {
  const int64_t blocks = kCodeBudget / (stride * kBlockTokens);
  return (blocks > 0 ? blocks : 1) * kBlockTokens;
}

void multiply_int8(const std::byte* panels, const float* scales, const float* row_sums, int64_t /*rows*/,
                   int64_t cols, const Int8Tokens& x, ProductRange range, const Epilogue& epilogue,
                   float* out, int64_t out_stride) {
  const TilesInUse tiles;
  PendingSums pending[2];
  const Int8Product product{x,
                            {x, epilogue, out, out_stride},
                            (cols + kStepCols - 1) / kStepCols,
                            pending,
                            choose_finisher(epilogue.activation)};
  HalfPanel halves[2][2] = {};
  int64_t turn = 0;
  const auto run = [&](int64_t begin, int64_t end, int64_t block) {
    shape_tiles(block, kStepCols);
    for (int64_t row = range.row_begin; row < range.row_end; row += kPanelRows) {
      HalfPanel* of_panel = halves[row / kPanelRows % 2];
      for (const int h : {0, 1})
        of_panel[h] = HalfPanel(scales, row_sums, epilogue, row + h * kHalfRows, range.row_end);
      const Bytes panel = reinterpret_cast<Bytes>(panels) + row * product.steps * kStepCols;
      // Every block asks for its share of the next panel, which may lie behind the second-level cache.
      const int64_t next = row + kPanelRows < range.row_end ? row + kPanelRows : range.row_begin;
      Bytes later = reinterpret_cast<Bytes>(panels) + next * product.steps * kStepCols;
      const int64_t blocks = (end - begin + block - 1) / block,
                    lines = (kStepBytes / kLineBytes + blocks - 1) / blocks;
      for (int64_t t = begin; t < end; t += block, later += product.steps * lines * kLineBytes)
        product.run(panel, of_panel, t, block, turn++, later, lines);
    }
    // The next shapes may come with other halves in the same places.
    product.finish(product.to, pending[(turn + 1) % 2], block);
  };
  const int64_t whole = range.token_end - (range.token_end - range.token_begin) % kBlockTokens;
  const int64_t most = tokens_at_a_time(x.stride);
  for (int64_t t = range.token_begin; t < whole; t += most)
    run(t, whole - t < most ? whole : t + most, kBlockTokens);
  if (whole < range.token_end) run(whole, range.token_end, range.token_end - whole);
}

/// int4: the panel's codes as int8 tiles and its scales turned, in this thread's scratch.
struct Int4Panel {
  int8_t* codes;  ///< as a panel of int8, cols of it
  float* scales;  ///< [groups, 32]

  void decode(Bytes panel, int64_t steps) const {
    const __m512i kNibble = _mm512_set1_epi8(0x0f), kZero = _mm512_set1_epi8(8);
    int8_t* line = codes;
    for (int64_t i = 0; i < steps * kStepLines; ++i, line += 2 * kLineBytes) {
      const __m512i pair = load512(panel + i * kLineBytes);
      const __m512i low = _mm512_and_si512(pair, kNibble);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(pair, 4), kNibble);
      _mm512_store_si512(line, _mm512_sub_epi8(low, kZero));
      _mm512_store_si512(line + kLineBytes, _mm512_sub_epi8(high, kZero));
    }
  }
};

template <int kGroup>
struct Int4Product {
  const Int8Tokens& x;
  Destination to;
  int64_t groups;
  Int4Panel panel;

  /// The sums of group g of 16 tokens and one half of the panel. Two tiles take turns, so that one group's
  /// sums are on their way to memory while the next one's are made.
  template <bool kOdd>
  ASSAY_INLINE void sum(const int8_t* codes, const int8_t* half, int64_t g,
                        int32_t (&sums)[kTileRows][kHalfRows]) const {
    const int64_t column = g * kGroup;
    const int8_t* weights = half + column / kStepCols * kStepBytes + column % kStepCols / 4 * kLineBytes;
    if constexpr (kOdd) {
      _tile_loadd(4, codes + column, x.stride);
      _tile_loadd(6, weights, kTileBytes);
      _tile_zero(0);
      _tile_dpbssd(0, 4, 6);
      _tile_stored(0, sums[0], kTileBytes);
    } else {
      _tile_loadd(4, codes + column, x.stride);
      _tile_loadd(7, weights, kTileBytes);
      _tile_zero(1);
      _tile_dpbssd(1, 4, 7);
      _tile_stored(1, sums[0], kTileBytes);
    }
  }

  ASSAY_INLINE static void add(const int32_t (&sums)[kTileRows][kHalfRows], const float* scales,
                               __m512 (&totals)[kTileRows]) {
    const __m512 scale = _mm512_loadu_ps(scales);
#pragma GCC unroll 16
    for (int t = 0; t < kTileRows; ++t)
      totals[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(load512(sums[t])), scale, totals[t]);
  }

  void run(const HalfPanel& half, int h, int64_t token, int64_t count) const noexcept {
    alignas(64) int32_t sums[2][kTileRows][kHalfRows] = {};
    const int8_t* codes = x.codes + token * x.stride;
    const int8_t* weights = panel.codes + h * kHalfBytes;
    const float* scales = panel.scales + h * kHalfRows;
    __m512 totals[kTileRows];
#pragma GCC unroll 16
    for (int t = 0; t < kTileRows; ++t) totals[t] = _mm512_setzero_ps();
    sum<false>(codes, weights, 0, sums[0]);
    int64_t g = 0;
    for (; g + 2 < groups; g += 2) {
      sum<true>(codes, weights, g + 1, sums[1]);
      add(sums[0], scales + g * kPanelRows, totals);
      sum<false>(codes, weights, g + 2, sums[0]);
      add(sums[1], scales + (g + 1) * kPanelRows, totals);
    }
    if (g + 1 < groups) sum<true>(codes, weights, g + 1, sums[1]);
    add(sums[0], scales + g * kPanelRows, totals);
    if (g + 1 < groups) add(sums[1], scales + (g + 1) * kPanelRows, totals);
    alignas(64) float copy[kTileRows][kHalfRows];
#pragma GCC unroll 16
    for (int t = 0; t < kTileRows; ++t) _mm512_store_ps(copy[t], totals[t]);
    for (int64_t t = 0; t < count; ++t) finish_int4(to, half, token + t, _mm512_load_ps(copy[t]));
  }
};

template <int kGroup>
void multiply_groups(const std::byte* panels, const float* scales, const float* row_sums, int64_t cols,
                     const Int8Tokens& x, ProductRange range, const Epilogue& epilogue, float* out,
                     int64_t out_stride) {
  const TilesInUse tiles;
  const int64_t steps = (cols + kStepCols - 1) / kStepCols, groups = cols / kGroup;
  auto* codes = reinterpret_cast<int8_t*>(product_scratch(
      static_cast<size_t>(steps * kStepBytes) + static_cast<size_t>(groups * kPanelRows) * sizeof(float)));
  const Int4Panel panel{codes, reinterpret_cast<float*>(codes + steps * kStepBytes)};
  const Int4Product<kGroup> product{x, {x, epilogue, out, out_stride}, groups, panel};
  const int64_t whole = range.token_end - (range.token_end - range.token_begin) % kTileRows;
  const int64_t rest = range.token_end - whole;
  for (int64_t row = range.row_begin; row < range.row_end; row += kPanelRows) {
    panel.decode(reinterpret_cast<Bytes>(panels) + row * steps * kStepCols / 2, steps);
    turn_scales(scales, groups, row, range.row_end, panel.scales);
    finish_stores();
    const HalfPanel halves[2] = {{nullptr, row_sums, epilogue, row, range.row_end},
                                 {nullptr, row_sums, epilogue, row + kHalfRows, range.row_end}};
    const auto run = [&](int64_t token, int64_t count) {
      for (const int h : {0, 1}) product.run(halves[h], h, token, count);
    };
    if (row == range.row_begin || rest > 0) shape_tiles(kTileRows, kGroup);
    for (int64_t t = range.token_begin; t < whole; t += kTileRows) run(t, kTileRows);
    if (rest > 0) {
      shape_tiles(rest, kGroup);
      run(whole, rest);
    }
  }
}

void multiply_int4(const std::byte* panels, const float* scales, const float* row_sums, int64_t group_size,
                   int64_t /*rows*/, int64_t cols, const Int8Tokens& x, ProductRange range,
                   const Epilogue& epilogue, float* out, int64_t out_stride) {
  const auto multiply = group_size == kStepCols ? multiply_groups<64> : multiply_groups<32>;
  multiply(panels, scales, row_sums, cols, x, range, epilogue, out, out_stride);
}

}  // namespace
}  // namespace assay::amx

namespace assay {

const EncoderIntIsa kAmxEncoderInt = {
    .int8_panel_bytes = interleaved_int8_bytes,
    .int4_panel_bytes = interleaved_int4_bytes,
    .pack_int8 = interleave_int8,
    .pack_int4 = interleave_int4,
    .quantize_tokens = avx512::quantize_tokens,
    .multiply_int8 = amx::multiply_int8,
    .multiply_int4 = amx::multiply_int4,
};

}  // namespace assay
