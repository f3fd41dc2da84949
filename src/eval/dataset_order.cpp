#include "eval/dataset_order.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <random>

#include "base/rng.hpp"

namespace assay {
namespace {

/// Gives std::mt19937 the state that CPython's random.seed(int) makes: init_by_array over the seed's 32-bit
/// digits, lowest first (Matsumoto and Nishimura's mt19937ar.c; CPython Modules/_randommodule.c).
class CpythonSeed {
 public:
  using result_type = uint32_t;
  explicit CpythonSeed(uint64_t seed) noexcept
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        key_length_(seed >> 32 == 0 ? 1 : 2) {}

  template <typename Iterator>
  void generate(Iterator begin, Iterator end) const {
    std::array<uint32_t, 624> state{};
    state[0] = 19650218u;
    for (uint32_t i = 1; i < 624; ++i) state[i] = 1812433253u * mixed(state, i) + i;
    uint32_t i = 1, j = 0;
    const auto step = [&] {
      if (++i < 624) return;
      state[0] = state[623];
      i = 1;
    };
    for (int k = 0; k < 624; ++k) {
      state[i] = (state[i] ^ mixed(state, i) * 1664525u) + key_[j] + j;
      j = (j + 1) % key_length_;
      step();
    }
    for (int k = 0; k < 623; ++k) {
      state[i] = (state[i] ^ mixed(state, i) * 1566083941u) - i;
      step();
    }
    state[0] = 0x80000000u;
    std::copy_n(state.begin(), end - begin, begin);
  }

 private:
  static uint32_t mixed(const std::array<uint32_t, 624>& state, uint32_t i) noexcept {
    return state[i - 1] ^ state[i - 1] >> 30;
  }
  std::array<uint32_t, 2> key_;
  uint32_t key_length_;
};

/// random.Random._randbelow: as many high bits as the bound has, again until they are below it.
uint32_t below(std::mt19937& generator, uint32_t bound) {
  const int bits = std::bit_width(bound);
  uint32_t value;
  do {
    value = static_cast<uint32_t>(generator()) >> (32 - bits);
  } while (value >= bound);
  return value;
}

}  // namespace

std::vector<size_t> row_order(size_t rows, RowOrder order, uint64_t seed) {
  std::vector<size_t> indices(rows);
  std::iota(indices.begin(), indices.end(), size_t{0});
  if (order == RowOrder::kCpython) {
    CpythonSeed source(seed);
    std::mt19937 generator(source);
    for (size_t i = rows; i-- > 1;)
      std::swap(indices[i], indices[below(generator, static_cast<uint32_t>(i + 1))]);
  }
  if (order == RowOrder::kShuffled) {
    Rng rng(seed);
    for (size_t i = rows; i-- > 1;) std::swap(indices[i], indices[rng.below(i + 1)]);
  }
  return indices;
}

std::vector<size_t> cut_order(std::span<const size_t> order, std::span<const GuardLabel> labels, size_t limit,
                              size_t per_class) {
  std::vector<size_t> kept;
  std::array<size_t, 2> taken{};
  for (const size_t row : order) {
    if (limit > 0 && kept.size() >= limit) break;
    if (per_class > 0 && (!labels[row] || taken[*labels[row] ? 1 : 0]++ >= per_class)) continue;
    kept.push_back(row);
  }
  return kept;
}

}  // namespace assay
