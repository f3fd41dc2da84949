#include "kernels/avx512/panel.hpp"

// Panels by VPDPBUSD: codes as stored (unsigned) times the tokens' (signed), broadcast four at a time.

namespace assay::avx512 {
namespace {

template <bool kHalves, bool kMin>
struct VnniProduct {
  static constexpr bool kCentered = false;
  static constexpr int kTokens = 8;  ///< of a block at a time: as many integer sums as float ones

  static void finish_stores() {}
  static void start() {}
  void finish() const {}

  /// One group (half) of the strip and eight tokens.
  template <int kLines>
  ASSAY_INLINE static void multiply(const uint8_t* lines, const int8_t* codes, __m512i (&sums)[kTokens]) {
#pragma GCC unroll 8
    for (int j = 0; j < kLines; ++j) {
      const __m512i line = load512(lines + 64 * j);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        const auto* four = reinterpret_cast<Bytes>(codes + 32 * t + 4 * j);
        sums[t] = _mm512_dpbusd_epi32(sums[t], line, _mm512_set1_epi32(load_i32(four)));
      }
    }
  }

  ASSAY_INLINE static void add_tokens(const Strip& strip, const TokenBlock& block, int64_t first,
                                      int64_t group, int64_t end, float (*lane)[kStripRows]) {
    __m512 acc[kTokens];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      acc[t] = _mm512_load_ps(lane[t]);
    }
    constexpr int kRuns = kHalves ? 2 : 1;
    for (; group < end; group += 4) {
#pragma GCC unroll 2
      for (int h = 0; h < kRuns; ++h) {
        const int64_t run = kRuns * group + h;
        __m512i sums[kTokens];
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t)
          sums[t] = kMin ? _mm512_setzero_si512()
                         : _mm512_set1_epi32(block.offsets[run * kBlockTokens + first + t]);
        multiply<8 / kRuns>(strip.codes + group * kStripGroupBytes + 256 * h,
                            block.codes + group * kBlockGroupBytes + 32 * first + 16 * h, sums);
        add_group<kTokens, kMin>(
            [&](int t) __attribute__((always_inline)) { return sums[t]; },
            _mm512_loadu_ps(strip.scales + run * kStripRows), block.scales + group * kBlockTokens + first,
            _mm512_loadu_ps(strip.mins + group * kStripRows), block.sums + group * kBlockTokens + first, acc);
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) _mm512_store_ps(lane[t], acc[t]);
  }

  static void add(const Strip& strip, const TokenBlock& block, int64_t group, int64_t end,
                  float (&lane)[kBlockTokens][kStripRows]) {
    for (int64_t first = 0; first < kBlockTokens; first += kTokens)
      add_tokens(strip, block, first, group, end, lane + first);
  }
};

}  // namespace

size_t panel_bytes(const PackedMatrix& matrix) noexcept {
  return static_cast<size_t>(PanelLayout(matrix).bytes());
}

void matmul_panels(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                   int64_t tokens, float* out, int64_t out_stride, uint8_t* scratch) noexcept {
  multiply_panels_of<VnniProduct>(matrix, row_begin, row_end, rows, tokens, out, out_stride, scratch);
}

}  // namespace assay::avx512
