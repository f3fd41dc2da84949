#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace assay {

/// out[32 b + i] = f32(code i of block b) * f32(scale of block b) for `blocks` blocks of Q8_0 (an f16 scale,
/// then 32 codes), as KernelTable::dequantize_row gives them, but made for rows that were packed a moment ago
/// and are read again and again.
using UnpackQ8 = void (*)(const std::byte* rows, int64_t blocks, float* out) noexcept;

/// The function for a table's `isa` (KernelTable::isa); the scalar one where that has none of its own.
UnpackQ8 q8_unpacker(std::string_view isa) noexcept;

namespace scalar {
void unpack_q8(const std::byte* rows, int64_t blocks, float* out) noexcept;
}
namespace avx2 {
void unpack_q8(const std::byte* rows, int64_t blocks, float* out) noexcept;
}
namespace avx512 {
void unpack_q8(const std::byte* rows, int64_t blocks, float* out) noexcept;
}

}  // namespace assay
