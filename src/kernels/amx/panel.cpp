#include "kernels/avx512/panel.hpp"

// Panels by TDPBSSD (codes with their sign) and TDPBSUD (codes of formats with minima, unsigned): a tile of
// 16 tokens × 32 codes, straight from the tokens' rows, times a strip's group gives 16 tokens × 16 rows.
//
//     tiles 0 and 1   sums, taking turns        tiles 2 and 3   tokens        tiles 4 and 5   strip

namespace assay::amx {
namespace {

using namespace avx512;

/// The operand of LDTILECFG (Intel SDM, "AMX tile architecture", palette 1).
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

/// Sums of one group (half) of a block and a strip.
using Sums = int32_t[kBlockTokens][kStripRows];

template <bool kHalves, bool kMin>
struct TileProduct {
  static constexpr bool kCentered = true;  // the offset of a format with minima is 0
  static constexpr int64_t kRuns = kHalves ? 2 : 1, kColumns = 32 / kRuns;
  const Strip& strip;
  const TokenBlock& block;

  /// Orders the stores before the tile loads after it, which GCC's intrinsics do not.
  static void finish_stores() { __asm__ volatile("" ::: "memory"); }

  /// Shapes this thread's tiles for blocks of `tokens`.
  static void shape(int64_t tokens) {
    TileShapes shapes;
    for (int turn = 0; turn < 2; ++turn) {
      shapes.rows[turn] = shapes.rows[2 + turn] = static_cast<uint8_t>(tokens);
      shapes.row_bytes[turn] = shapes.row_bytes[4 + turn] = 64;
      shapes.row_bytes[2 + turn] = static_cast<uint16_t>(kColumns);
      shapes.rows[4 + turn] = static_cast<uint8_t>(kColumns / 4);
    }
    // GCC's intrinsic names only the first bytes of its operand: without this the others would not be
    // written.
    __asm__ volatile("" ::"r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
  }

  /// Run n of those from `group` on, every fourth group.
  template <int kTurn>
  ASSAY_INLINE void multiply(int64_t group, int64_t n, Sums& sums) const {
    const int64_t g = group + n / kRuns * 4, h = n % kRuns;
    const int8_t* codes = block.codes + 32 * g + kColumns * h;
    const uint8_t* lines = strip.codes + g * kStripGroupBytes + 256 * h;
    if constexpr (kTurn == 0) {
      _tile_zero(0);
      _tile_loadd(2, codes, block.stride);
      _tile_loadd(4, lines, 64);
      if constexpr (kMin)
        _tile_dpbsud(0, 2, 4);
      else
        _tile_dpbssd(0, 2, 4);
      _tile_stored(0, sums, 64);
    } else {
      _tile_zero(1);
      _tile_loadd(3, codes, block.stride);
      _tile_loadd(5, lines, 64);
      if constexpr (kMin)
        _tile_dpbsud(1, 3, 5);
      else
        _tile_dpbssd(1, 3, 5);
      _tile_stored(1, sums, 64);
    }
  }

  ASSAY_INLINE void add_run(int64_t group, int64_t n, const Sums& sums, __m512 (&acc)[kBlockTokens]) const {
    const int64_t g = group + n / kRuns * 4, run = kRuns * g + n % kRuns;
    add_group<kBlockTokens, kMin>(
        [&](int t) __attribute__((always_inline)) { return load512(sums[t]); },
        _mm512_loadu_ps(strip.scales + run * kStripRows), block.scales + g * kBlockTokens,
        _mm512_loadu_ps(strip.mins + g * kStripRows), block.sums + g * kBlockTokens, acc);
  }

  /// While one run's sums are on their way to memory the next one's are made.
  void add(int64_t group, int64_t end, float (&lanes)[kBlockTokens][kStripRows]) const {
    alignas(64) Sums sums[2];
    __m512 acc[kBlockTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kBlockTokens; ++t) acc[t] = _mm512_load_ps(lanes[t]);
    const int64_t runs = (end - group + 3) / 4 * kRuns;
    multiply<0>(group, 0, sums[0]);
    int64_t n = 0;
    for (; n + 2 < runs; n += 2) {
      multiply<1>(group, n + 1, sums[1]);
      add_run(group, n, sums[0], acc);
      multiply<0>(group, n + 2, sums[0]);
      add_run(group, n + 1, sums[1], acc);
    }
    if (n + 1 < runs) multiply<1>(group, n + 1, sums[1]);
    add_run(group, n, sums[0], acc);
    if (n + 1 < runs) add_run(group, n + 1, sums[1], acc);
#pragma GCC unroll 16
    for (int t = 0; t < kBlockTokens; ++t) _mm512_store_ps(lanes[t], acc[t]);
  }
};

}  // namespace

void matmul_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                   int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept {
  multiply_panels_of<TileProduct>(matrix, row_begin, row_end, rows, tokens, out, out_stride, scratch);
  _tile_release();
}

}  // namespace assay::amx
