#include "kernels/q8_rows.hpp"

#include <cstring>

#include "base/half.hpp"

namespace assay::scalar {

void unpack_q8(const std::byte* rows, int64_t blocks, float* out) noexcept {
  for (int64_t b = 0; b < blocks; ++b) {
    const std::byte* block = rows + 34 * b;
    uint16_t bits;
    std::memcpy(&bits, block, sizeof bits);
    const float scale = float_from_f16(bits);
    for (int64_t i = 0; i < 32; ++i)
      out[32 * b + i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * scale;
  }
}

}  // namespace assay::scalar
