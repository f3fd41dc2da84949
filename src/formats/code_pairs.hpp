#pragma once
#include <cstdint>

namespace assay {

/// The two low bits of 256 codes as Q2_K and Q3_K lay them out: 128 values in 32 bytes, bits 2k, 2k+1 of byte
/// l for value 32k + l.
inline void pack_code_pairs(const uint8_t* codes, uint8_t* packed) noexcept {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* run = codes + half * 128;
    for (int l = 0; l < 32; ++l) {
      packed[half * 32 + l] = static_cast<uint8_t>((run[l] & 3) | (run[l + 32] & 3) << 2 |
                                                   (run[l + 64] & 3) << 4 | (run[l + 96] & 3) << 6);
    }
  }
}

}  // namespace assay
