#include "kernels/scalar/unpack.hpp"

#include <algorithm>
#include <cstring>

#include "base/half.hpp"

// Block layouts: ggml-common.h; MLX bitstream: mlx/backend/cpu/quantized.cpp.

namespace assay::scalar {
namespace {

constexpr int kGroup = 32;

template <class T>
T load(const uint8_t* bytes) noexcept {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float load_f16(const uint8_t* bytes) noexcept {
  return float_from_f16(load<uint16_t>(bytes));
}

/// Nibbles of 16 bytes: the low ones are values 0..15, the high ones values 16..31.
void unpack_nibbles(const uint8_t* bytes, int16_t* codes) noexcept {
  for (int i = 0; i < 16; ++i) {
    codes[i] = static_cast<int16_t>(bytes[i] & 15);
    codes[i + 16] = static_cast<int16_t>(bytes[i] >> 4);
  }
}

/// Bit i of `bits` is the fifth bit of code i.
void add_fifth_bits(uint32_t bits, int16_t* codes) noexcept {
  for (int i = 0; i < kGroup; ++i) codes[i] = static_cast<int16_t>(codes[i] | (bits >> i & 1u) << 4);
}

void subtract(int16_t offset, int16_t* codes) noexcept {
  for (int i = 0; i < kGroup; ++i) codes[i] = static_cast<int16_t>(codes[i] - offset);
}

void unpack_q4_0(const uint8_t* block, int g, Quad& out) noexcept {
  out.scales[g] = load_f16(block);
  unpack_nibbles(block + 2, out.codes + kGroup * g);
  subtract(8, out.codes + kGroup * g);
}

void unpack_q4_1(const uint8_t* block, int g, Quad& out) noexcept {
  out.scales[g] = load_f16(block);
  out.mins[g] = load_f16(block + 2);
  unpack_nibbles(block + 4, out.codes + kGroup * g);
}

void unpack_q5_0(const uint8_t* block, int g, Quad& out) noexcept {
  out.scales[g] = load_f16(block);
  unpack_nibbles(block + 6, out.codes + kGroup * g);
  add_fifth_bits(load<uint32_t>(block + 2), out.codes + kGroup * g);
  subtract(16, out.codes + kGroup * g);
}

void unpack_q5_1(const uint8_t* block, int g, Quad& out) noexcept {
  out.scales[g] = load_f16(block);
  out.mins[g] = load_f16(block + 2);
  unpack_nibbles(block + 8, out.codes + kGroup * g);
  add_fifth_bits(load<uint32_t>(block + 4), out.codes + kGroup * g);
}

void unpack_q8_0(const uint8_t* block, int g, Quad& out) noexcept {
  out.scales[g] = load_f16(block);
  for (int i = 0; i < kGroup; ++i) out.codes[kGroup * g + i] = load<int8_t>(block + 2 + i);
}

/// The 6-bit scale and minimum of group j (0..7) from the 12 packed bytes of Q4_K and Q5_K.
void unpack_scale_min(const uint8_t* bytes, int j, int& scale, int& min) noexcept {
  if (j < 4) {
    scale = bytes[j] & 63;
    min = bytes[j + 4] & 63;
  } else {
    scale = (bytes[j + 4] & 15) | (bytes[j - 4] >> 6) << 4;
    min = bytes[j + 4] >> 4 | (bytes[j] >> 6) << 4;
  }
}

/// Groups j (low nibbles) and j + 1 (high nibbles) share 32 bytes of codes.
void unpack_k_group(const uint8_t* block, const uint8_t* nibbles, const uint8_t* fifth_bits, int j, int g,
                    Quad& out) noexcept {
  int scale = 0, min = 0;
  unpack_scale_min(block + 4, j, scale, min);
  out.scales[g] = load_f16(block) * static_cast<float>(scale);
  out.mins[g] = -(load_f16(block + 2) * static_cast<float>(min));
  const uint8_t* bytes = nibbles + 32 * (j / 2);
  for (int i = 0; i < kGroup; ++i) {
    int code = bytes[i] >> 4 * (j % 2) & 15;
    if (fifth_bits != nullptr) code |= (fifth_bits[i] >> j & 1) << 4;
    out.codes[kGroup * g + i] = static_cast<int16_t>(code);
  }
}

/// Run j (0..7) of 32 values: runs come in fours that share 64 bytes of low nibbles and 32 of high bits.
void unpack_q6_k_group(const uint8_t* block, int j, int g, Quad& out) noexcept {
  const uint8_t* low = block + 64 * (j / 4) + 32 * (j % 2);
  const uint8_t* high = block + 128 + 32 * (j / 4);
  const int run = j % 4;
  for (int i = 0; i < kGroup; ++i) {
    const int code = (low[i] >> 4 * (run / 2) & 15) | (high[i] >> 2 * run & 3) << 4;
    out.codes[kGroup * g + i] = static_cast<int16_t>(code - 32);
  }
  out.scales[g] = load_f16(block + 208);
  for (int half = 0; half < 2; ++half)
    out.sub_scales[2 * g + half] = load<int8_t>(block + 192 + 2 * j + half);
}

float load_scale(const uint8_t* scales, ScaleType type, int64_t index) noexcept {
  switch (type) {
    case ScaleType::kF16:
      return load_f16(scales + 2 * index);
    case ScaleType::kBF16:
      return float_from_bf16(load<uint16_t>(scales + 2 * index));
    case ScaleType::kF32:
      break;
  }
  return load<float>(scales + 4 * index);
}

/// `group` counts groups of 32 from the start of the row, whatever the MLX group size.
void unpack_mlx_group(const PackedMatrix& matrix, int64_t row, int64_t group, int g, Quad& out) noexcept {
  const int64_t index = group * kGroup / matrix.group_size;
  out.scales[g] = load_scale(matrix.scales + row * matrix.scales_stride, matrix.scale_type, index);
  out.mins[g] = load_scale(matrix.biases + row * matrix.biases_stride, matrix.scale_type, index);
  const uint8_t* bytes = matrix.codes + row * matrix.codes_stride + group * 4 * matrix.bits;
  const uint32_t mask = (1u << matrix.bits) - 1;
  for (int i = 0; i < kGroup; i += 8) {
    uint64_t stream = 0;  // eight codes fill `bits` bytes
    std::memcpy(&stream, bytes + i / 8 * matrix.bits, static_cast<size_t>(matrix.bits));
    for (int k = 0; k < 8; ++k)
      out.codes[kGroup * g + i + k] = static_cast<int16_t>(stream >> k * matrix.bits & mask);
  }
}

void unpack_group(const PackedMatrix& matrix, int64_t row, int64_t group, int g, Quad& out) noexcept {
  const uint8_t* bytes = matrix.codes + row * matrix.codes_stride;
  const uint8_t* super_block = bytes + group / 8 *
                                           (matrix.layout == Layout::kQ4_K   ? 144
                                            : matrix.layout == Layout::kQ5_K ? 176
                                                                             : 210);
  const int j = static_cast<int>(group % 8);
  switch (matrix.layout) {
    case Layout::kQ4_0:
      return unpack_q4_0(bytes + group * 18, g, out);
    case Layout::kQ4_1:
      return unpack_q4_1(bytes + group * 20, g, out);
    case Layout::kQ5_0:
      return unpack_q5_0(bytes + group * 22, g, out);
    case Layout::kQ5_1:
      return unpack_q5_1(bytes + group * 24, g, out);
    case Layout::kQ8_0:
      return unpack_q8_0(bytes + group * 34, g, out);
    case Layout::kQ4_K:
      return unpack_k_group(super_block, super_block + 16, nullptr, j, g, out);
    case Layout::kQ5_K:
      return unpack_k_group(super_block, super_block + 48, super_block + 16, j, g, out);
    case Layout::kQ6_K:
      return unpack_q6_k_group(super_block, j, g, out);
    default:
      return unpack_mlx_group(matrix, row, group, g, out);
  }
}

}  // namespace

bool has_min(Layout layout) noexcept {
  return layout == Layout::kQ4_1 || layout == Layout::kQ5_1 || layout == Layout::kQ4_K ||
         layout == Layout::kQ5_K || layout == Layout::kMlx;
}

void unpack_quad(const PackedMatrix& matrix, int64_t row, int64_t quad, Quad& out) noexcept {
  const int64_t groups = std::min<int64_t>(4, matrix.cols / kGroup - 4 * quad);
  if (groups < 4) std::memset(&out, 0, sizeof out);
  for (int16_t& sub_scale : out.sub_scales) sub_scale = 1;
  for (int g = 0; g < groups; ++g) unpack_group(matrix, row, 4 * quad + g, g, out);
}

}  // namespace assay::scalar
