#include "kernels/avx512/panel.hpp"

// Panels by TDPBSSD (codes with their sign) and TDPBSUD (codes of formats with minima, unsigned): a tile of
// 16 tokens × 32 codes, times a strip's group gives 16 tokens × 16 rows.
//
//     tiles 0 to 3   sums of four groups        tiles 4 and 5   tokens        tiles 6 and 7   strip
//
// From loading a tile to its sums in memory more than 100 cycles pass. So the tiles start on four groups,
// then the registers add the four groups before them to the results, and then the tiles are stored.

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

/// The numbers of tiles must be literals for GCC's intrinsics.
#define ASSAY_START_TILES(sum, tokens, rows) \
  do {                                       \
    _tile_zero(sum);                         \
    _tile_loadd(tokens, codes, 32);          \
    _tile_loadd(rows, lines, 64);            \
    if constexpr (kMin)                      \
      _tile_dpbsud(sum, tokens, rows);       \
    else                                     \
      _tile_dpbssd(sum, tokens, rows);       \
  } while (false)

template <bool kHalves, bool kMin>
class TileProduct {
 public:
  static constexpr bool kCentered = true;  // the offset of a format with minima is 0

  /// Orders the stores before the tile loads after it, which GCC's intrinsics do not.
  static void finish_stores() { __asm__ volatile("" ::: "memory"); }

  /// Shapes this thread's tiles.
  static void start() {
    TileShapes shapes;
    for (int sum = 0; sum < kBatch; ++sum) {
      shapes.rows[sum] = kBlockTokens;
      shapes.row_bytes[sum] = 64;
    }
    for (int turn = 0; turn < 2; ++turn) {
      shapes.rows[4 + turn] = kBlockTokens;
      shapes.row_bytes[4 + turn] = static_cast<uint16_t>(kColumns);
      shapes.rows[6 + turn] = static_cast<uint8_t>(kColumns / 4);
      shapes.row_bytes[6 + turn] = 64;
    }
    // GCC's intrinsic names only the first bytes of its operand: without this the others would not be
    // written.
    __asm__ volatile("" ::"r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
  }

  ASSAY_INLINE void add(const Strip& strip, const TokenBlock& block, int64_t group, int64_t end,
                        float (&lane)[kBlockTokens][kStripRows]) {
    for (; group < end; group += kBatchGroups * 4) {
      const int64_t left = (end - group + 3) / 4 * kRuns;
      const Batch batch{strip, block, group, left < kBatch ? left : kBatch, lane};
      if (batch.runs == kBatch) {
        multiply<0>(batch);
        multiply<1>(batch);
        multiply<2>(batch);
        multiply<3>(batch);
        finish();
        store<0>();
        store<1>();
        store<2>();
        store<3>();
      } else {
        multiply<0>(batch);
        if (batch.runs > 1) multiply<1>(batch);
        if (batch.runs > 2) multiply<2>(batch);
        finish();
        store<0>();
        if (batch.runs > 1) store<1>();
        if (batch.runs > 2) store<2>();
      }
      pending_ = batch;
    }
  }

  /// Adds the sums that are still on their way.
  ASSAY_INLINE void finish() {
    const Batch batch = pending_;
    if (batch.runs == 0) return;
    __m512 acc[kBlockTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kBlockTokens; ++t) acc[t] = _mm512_load_ps(batch.lane[t]);
    for (int64_t n = 0; n < batch.runs; ++n) {
      const int64_t g = batch.group + n / kRuns * 4, run = kRuns * g + n % kRuns;
      add_group<kBlockTokens, kMin>(
          [sums = sums_[n]](int t) __attribute__((always_inline)) { return load512(sums[t]); },
          _mm512_loadu_ps(batch.strip.scales + run * kStripRows), batch.block.scales + g * kBlockTokens,
          _mm512_loadu_ps(batch.strip.mins + g * kStripRows), batch.block.sums + g * kBlockTokens, acc);
    }
#pragma GCC unroll 16
    for (int t = 0; t < kBlockTokens; ++t) _mm512_store_ps(batch.lane[t], acc[t]);
  }

 private:
  static constexpr int64_t kRuns = kHalves ? 2 : 1;  ///< of a group
  static constexpr int64_t kColumns = 32 / kRuns, kBatch = 4, kBatchGroups = kBatch / kRuns;

  /// Up to kBatch runs: every fourth group from `group` on.
  struct Batch {
    Strip strip;
    TokenBlock block;
    int64_t group, runs;
    float (*lane)[kStripRows];
  };

  template <int kSum>
  ASSAY_INLINE void multiply(const Batch& batch) const {
    const int64_t g = batch.group + kSum / kRuns * 4, h = kSum % kRuns;
    const int8_t* codes = batch.block.codes + g * kBlockGroupBytes + kColumns * h;
    const uint8_t* lines = batch.strip.codes + g * kStripGroupBytes + 256 * h;
    if constexpr (kSum == 0) ASSAY_START_TILES(0, 4, 6);
    if constexpr (kSum == 1) ASSAY_START_TILES(1, 5, 7);
    if constexpr (kSum == 2) ASSAY_START_TILES(2, 4, 6);
    if constexpr (kSum == 3) ASSAY_START_TILES(3, 5, 7);
  }
  template <int kSum>
  ASSAY_INLINE void store() {
    if constexpr (kSum == 0) _tile_stored(0, sums_[0], 64);
    if constexpr (kSum == 1) _tile_stored(1, sums_[1], 64);
    if constexpr (kSum == 2) _tile_stored(2, sums_[2], 64);
    if constexpr (kSum == 3) _tile_stored(3, sums_[3], 64);
  }

  Batch pending_{};
  alignas(64) Sums sums_[kBatch];
};
#undef ASSAY_START_TILES

}  // namespace

void matmul_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                   int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept {
  multiply_panels_of<TileProduct>(matrix, row_begin, row_end, rows, tokens, out, out_stride, scratch);
  _tile_release();
}

}  // namespace assay::amx
