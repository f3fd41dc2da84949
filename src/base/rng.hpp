#pragma once
#include <array>
#include <cstdint>

namespace assay {

/// xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018): small, fast and the same everywhere.
class Rng {
 public:
  explicit Rng(uint64_t seed) noexcept;
  uint64_t next() noexcept;
  /// Uniform in [0, 1) with 53 random bits.
  double uniform() noexcept;
  /// Uniform in [0, bound); bound > 0. Unbiased (Lemire's rejection).
  uint64_t below(uint64_t bound) noexcept;
  /// Standard normal (Box-Muller, one value per call).
  double normal() noexcept;

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace assay
