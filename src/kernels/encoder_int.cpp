#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/encoder_int_isa.hpp"

namespace assay {
namespace {

constexpr int64_t kGroup = 4;  ///< columns of a row that lie together

int64_t padded(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

void interleave(const int8_t* codes, int64_t rows, int64_t cols, uint8_t flip, std::byte* panels) {
  std::memset(panels, flip, interleaved_int8_bytes(rows, cols));
  const int64_t panel_bytes = kPanelRows * padded(cols, kStepCols);
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t* row = codes + r * cols;
    std::byte* to = panels + r / kPanelRows * panel_bytes + r % kPanelRows / kHalfRows * kHalfBytes +
                    r % kHalfRows * kGroup;
    for (int64_t c = 0; c < cols; ++c)
      to[c / kStepCols * kStepBytes + c % kStepCols / kGroup * kLineBytes + c % kGroup] =
          static_cast<std::byte>(static_cast<uint8_t>(row[c]) ^ flip);
  }
}

struct Scratch {
  static constexpr std::align_val_t kAlignment{64};
  std::byte* bytes = nullptr;
  size_t size = 0;

  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { ::operator delete(bytes, kAlignment); }

  std::byte* reserve(size_t wanted) {
    if (wanted <= size) return bytes;
    auto* grown = static_cast<std::byte*>(::operator new(wanted, kAlignment));
    ::operator delete(bytes, kAlignment);
    bytes = grown;
    size = wanted;
    return bytes;
  }
};

}  // namespace

size_t interleaved_int8_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>(padded(rows, kPanelRows) * padded(cols, kStepCols));
}

size_t interleaved_int4_bytes(int64_t rows, int64_t cols) {
  return interleaved_int8_bytes(rows, cols) / 2;
}

void interleave_int8(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels) {
  interleave(codes, rows, cols, 0, panels);
}

void interleave_int8_unsigned(const int8_t* codes, int64_t rows, int64_t cols, std::byte* panels) {
  interleave(codes, rows, cols, 0x80, panels);
}

void interleave_int4(const uint8_t* codes, int64_t rows, int64_t cols, std::byte* panels) {
  constexpr uint8_t kZeros = 0x88;
  std::memset(panels, kZeros, interleaved_int4_bytes(rows, cols));
  const int64_t panel_bytes = kPanelRows * padded(cols, kStepCols) / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* from = codes + r * cols / 2;
    std::byte* row = panels + r / kPanelRows * panel_bytes + r % kPanelRows / kHalfRows * (kHalfBytes / 2) +
                     r % kHalfRows * kGroup;
    // Columns c .. c + 3 become the low nibbles of four bytes, c + 4 .. c + 7 the high ones.
    for (int64_t c = 0; c < cols; c += 8, from += 4) {
      std::byte* to = row + c / kStepCols * (kStepBytes / 2) + c % kStepCols / 8 * kLineBytes;
      to[0] = static_cast<std::byte>((from[0] & 0x0f) | (from[2] & 0x0f) << 4);
      to[1] = static_cast<std::byte>(from[0] >> 4 | (from[2] & 0xf0));
      to[2] = static_cast<std::byte>((from[1] & 0x0f) | (from[3] & 0x0f) << 4);
      to[3] = static_cast<std::byte>(from[1] >> 4 | (from[3] & 0xf0));
    }
  }
}

std::byte* product_scratch(size_t bytes) {
  thread_local Scratch scratch;
  return scratch.reserve(bytes);
}

}  // namespace assay
