#include "kernels/integer_peak.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)  // as in src/kernels/avx512/intrinsics.hpp
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

namespace assay {
namespace {

constexpr int kChains = 12;  ///< independent sums: enough to hide the latency of every instruction here

// Each returns the multiply-adds of one turn. The empty assembly keeps the compiler from proving that the
// sums are not needed or that the turns are alike.

__attribute__((target("avx2"))) int64_t turn_avx2(int64_t turns) {
  __m256i sums[kChains] = {};
  __m256i a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(1);
  const __m256i kOnes = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < turns; ++i) {
    __asm__ volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      const __m256i pairs = _mm256_maddubs_epi16(a, _mm256_sign_epi8(b, a));
      sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(pairs, kOnes));
      __asm__ volatile("" : "+x"(sums[c]), "+x"(a));
    }
  }
  return int64_t{kChains} * 32;
}

__attribute__((target("avx2,avxvnni"))) int64_t turn_avx_vnni(int64_t turns) {
  __m256i sums[kChains] = {};
  __m256i a = _mm256_set1_epi8(1), b = a;
  for (int64_t i = 0; i < turns; ++i) {
    __asm__ volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      sums[c] = _mm256_dpbusd_avx_epi32(sums[c], a, b);
      __asm__ volatile("" : "+x"(sums[c]));
    }
  }
  return int64_t{kChains} * 32;
}

__attribute__((target("avx512f,avx512vnni"))) int64_t turn_avx512(int64_t turns) {
  __m512i sums[kChains] = {};
  __m512i a = _mm512_set1_epi32(0x01010101), b = a;
  for (int64_t i = 0; i < turns; ++i) {
    __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      sums[c] = _mm512_dpbusd_epi32(sums[c], a, b);
      __asm__ volatile("" : "+v"(sums[c]));
    }
  }
  return int64_t{kChains} * 64;
}

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

__attribute__((target("amx-tile,amx-int8"))) int64_t turn_amx(int64_t turns) {
  const TileShapes shapes;
  __asm__ volatile("" ::"r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t i = 0; i < turns; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return int64_t{4} * 16 * 16 * 64;
}

int64_t turn_nothing(int64_t) {
  return 0;
}

auto loop_of(std::string_view isa) {
  return isa == "avx2"         ? turn_avx2
         : isa == "avxvnni"    ? turn_avx_vnni
         : isa == "avx512vnni" ? turn_avx512
         : isa == "amx"        ? turn_amx
                               : turn_nothing;
}

}  // namespace
}  // namespace assay
#else
namespace assay {
namespace {

int64_t turn_nothing(int64_t) {
  return 0;
}
auto loop_of(std::string_view) {
  return turn_nothing;
}

}  // namespace
}  // namespace assay
#endif

namespace assay {

int64_t run_integer_products(std::string_view isa, int64_t turns) noexcept {
  return loop_of(isa)(turns) * turns;
}

double measure_integer_peak(std::string_view isa) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kTurns = 100'000;
  double best = 0.0;
  for (int round = 0; round < 8; ++round) {
    const auto start = Clock::now();
    const int64_t products = run_integer_products(isa, kTurns);
    if (products == 0) return 0.0;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(products) / seconds);
  }
  return best;
}

}  // namespace assay
