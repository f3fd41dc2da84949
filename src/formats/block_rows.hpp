#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "formats/format.hpp"

namespace assay {

/// Walks over a row of blocks. A format describes itself to these templates by a struct with
///   using Block = …;                  its block in blocks.hpp
///   static constexpr int kLen;        values per block
///   static void encode(const float* x, Block&);               (only where it needs no search)
///   static void decode(const Block&, float* out);
///   static void bound(const Block&, const float* x, float* out);
///   static bool is_finite(const Block&);

template <class Block>
Block load_block(const std::byte* row, int64_t index) noexcept {
  Block block;
  std::memcpy(&block, row + index * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
  return block;
}

template <class Block>
void store_block(const Block& block, std::byte* row, int64_t index) noexcept {
  std::memcpy(row + index * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
}

template <class Format>
void encode_blocks(const float* source, int64_t cols, std::byte* row) {
  for (int64_t i = 0; i < cols / Format::kLen; ++i) {
    typename Format::Block block;
    Format::encode(source + i * Format::kLen, block);
    store_block(block, row, i);
  }
}

template <class Format>
void decode_blocks(const WeightFormat&, PackedRow row, int64_t cols, float* out) {
  for (int64_t i = 0; i < cols / Format::kLen; ++i) {
    Format::decode(load_block<typename Format::Block>(row.codes, i), out + i * Format::kLen);
  }
}

template <class Format>
void bound_blocks(const WeightFormat&, const float* source, PackedRow row, int64_t cols, float* bound) {
  for (int64_t i = 0; i < cols / Format::kLen; ++i) {
    const int64_t at = i * Format::kLen;
    Format::bound(load_block<typename Format::Block>(row.codes, i), source + at, bound + at);
  }
}

template <class Format>
bool finite_blocks(const WeightFormat&, PackedRow row, int64_t cols) {
  for (int64_t i = 0; i < cols / Format::kLen; ++i) {
    if (!Format::is_finite(load_block<typename Format::Block>(row.codes, i))) return false;
  }
  return true;
}

/// Whether a packed block keeps to the format's error bound. Importance may sacrifice columns that no
/// activation reached; a block that gave up more than the bound allows is packed again without importance.
template <class Format>
bool is_within_bound(const float* x, const typename Format::Block& block) {
  float values[Format::kLen], bound[Format::kLen];
  Format::decode(block, values);
  Format::bound(block, x, bound);
  bool within = true;
  for (int i = 0; i < Format::kLen; ++i) within &= std::abs(values[i] - x[i]) <= bound[i];
  return within;
}

/// The table row of a block format; `quantize` is null where the format is only read.
template <class Format>
FormatOps block_format_ops(WeightKind kind, decltype(FormatOps::quantize_row) quantize) noexcept {
  return {kind, quantize, decode_blocks<Format>, bound_blocks<Format>, finite_blocks<Format>};
}

}  // namespace assay
