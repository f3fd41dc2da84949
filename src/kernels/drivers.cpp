#include "kernels/drivers.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/aligned.hpp"
#include "formats/format.hpp"
#include "kernels/scalar/lanes.hpp"

namespace assay {
namespace {

constexpr int kLanes = scalar::kLanes;

ScaleType scale_type_of(DType type) noexcept {
  return type == DType::kF16 ? ScaleType::kF16 : type == DType::kBF16 ? ScaleType::kBF16 : ScaleType::kF32;
}

PackedMatrix packed_matrix(const WeightFormat& format, const PackedRow& row, int64_t cols) noexcept {
  const RowBytes bytes = row_bytes(format, cols);
  return {.layout = layout_of(format),
          .scale_type = scale_type_of(format.scale_type),
          .bits = format.bits,
          .group_size = format.group_size,
          .cols = cols,
          .codes = reinterpret_cast<const uint8_t*>(row.codes),
          .scales = reinterpret_cast<const uint8_t*>(row.scales),
          .biases = reinterpret_cast<const uint8_t*>(row.biases),
          .codes_stride = static_cast<int64_t>(bytes.codes),
          .scales_stride = static_cast<int64_t>(bytes.scales),
          .biases_stride = static_cast<int64_t>(bytes.biases)};
}

PackedMatrix packed_matrix(const WeightView& weight) noexcept {
  return packed_matrix(weight.format, {weight.codes.data(), weight.scales.data(), weight.biases.data()},
                       weight.cols);
}

/// One weight whose rows are decoded piece by piece, by the instruction set or, for kOther, by formats/.
struct RowDecoder {
  const IsaTable& isa;
  const WeightView& weight;
  PackedMatrix matrix = packed_matrix(weight);
  const FormatOps* ops = matrix.layout == Layout::kOther ? &format_ops(weight.format) : nullptr;

  void decode(int64_t row, int64_t begin, int64_t count, float* out) const {
    if (ops == nullptr) return isa.decode(matrix, row, begin, count, out);
    PackedRow piece = packed_row(weight, row);
    piece.codes += row_bytes(weight.format, begin).codes;
    ops->dequantize_row(weight.format, piece, count, out);
  }
};

/// Quantized activations as floats.
void decode_activations(const QuantizedRow& row, int64_t cols, float* x) {
  for (int64_t e = 0; e < cols; ++e) x[e] = row.scales[e / 32] * static_cast<float>(row.codes[e]);
}

/// dot(row, token) for up to kDecodedRows rows and kTokenTile tokens. Rows that the last tile lacks count as
/// zeros and are left out of the result.
void dot_tile(const RowDecoder& decoder, int64_t row, int64_t rows, const float* x, int64_t tokens,
              float* out, int64_t out_stride) {
  alignas(64) float w[kDecodedRows * kDecodedStride] = {};
  alignas(64) float lanes[kDecodedRows * kTokenTile * kLanes] = {};
  const int64_t cols = decoder.weight.cols;
  for (int64_t begin = 0; begin < cols; begin += kDecodedStride) {
    const int64_t count = std::min(kDecodedStride, cols - begin);
    for (int64_t r = 0; r < rows; ++r) decoder.decode(row + r, begin, count, w + kDecodedStride * r);
    decoder.isa.accumulate(w, x + begin, cols, tokens, count, lanes);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t t = 0; t < tokens; ++t)
      out[t * out_stride + row + r] = scalar::reduce_lanes(lanes + (kTokenTile * r + t) * kLanes);
}

/// The same for any number of rows.
void dot_rows(const RowDecoder& decoder, int64_t row_begin, int64_t row_end, const float* x, int64_t tokens,
              float* out, int64_t out_stride) {
  for (int64_t row = row_begin; row < row_end; row += kDecodedRows)
    dot_tile(decoder, row, std::min(kDecodedRows, row_end - row), x, tokens, out, out_stride);
}

/// Bytes of a panel of decoded rows: half of a second-level cache, which the activations pass through.
int64_t float_panel_bytes() noexcept {
  static const int64_t kBytes = [] {
    const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where the system does not tell
    return std::clamp<int64_t>(cache / 2, 128 << 10, 1 << 20);
  }();
  return kBytes;
}

/// Up to kFloatTileRows rows, decoded to one tile of a panel.
void decode_tile(const RowDecoder& decoder, int64_t row, int64_t rows, float* tile) {
  alignas(64) float w[kFloatTileRows * kDecodedStride] = {};
  for (int64_t begin = 0; begin < decoder.weight.cols; begin += kDecodedStride) {
    const int64_t count = std::min(kDecodedStride, decoder.weight.cols - begin);
    for (int64_t r = 0; r < rows; ++r) decoder.decode(row + r, begin, count, w + kDecodedStride * r);
    for (int64_t e = 0; e < count; e += kLanes)
      for (int64_t r = 0; r < kFloatTileRows; ++r, tile += kLanes)
        std::copy_n(w + kDecodedStride * r + e, kLanes, tile);
  }
}

/// The same for many tokens: decodes panels of rows once for all of them.
void multiply_decoded(const RowDecoder& decoder, int64_t row_begin, int64_t row_end, const float* x,
                      int64_t tokens, float* out, int64_t out_stride) {
  const int64_t cols = decoder.weight.cols, tile_floats = cols * kFloatTileRows;
  const int64_t tiles = std::max<int64_t>(float_panel_bytes() / (tile_floats * 4), 1);
  const int64_t panel_rows = tiles * kFloatTileRows, panel_floats = tiles * tile_floats;
  thread_local AlignedVector<float> scratch;  // a thread keeps what its largest product needed
  scratch.resize(
      std::max(scratch.size(), static_cast<size_t>(panel_floats + panel_rows * kLanes * kFloatTileTokens)));
  for (int64_t row = row_begin; row < row_end; row += panel_rows) {
    const int64_t end = std::min(row + panel_rows, row_end);
    for (int64_t r = row; r < end; r += kFloatTileRows)
      decode_tile(decoder, r, std::min(kFloatTileRows, end - r), scratch.data() + (r - row) * cols);
    decoder.isa.multiply_float_panel({.panel = scratch.data(),
                                      .rows = end - row,
                                      .cols = cols,
                                      .x = x,
                                      .tokens = tokens,
                                      .out = out + row,
                                      .out_stride = out_stride,
                                      .lanes = scratch.data() + panel_floats});
  }
}

}  // namespace

Layout layout_of(const WeightFormat& format) noexcept {
  switch (format.kind) {
    case WeightKind::kF32:
      return Layout::kF32;
    case WeightKind::kF16:
      return Layout::kF16;
    case WeightKind::kBF16:
      return Layout::kBF16;
    case WeightKind::kQ4_0:
      return Layout::kQ4_0;
    case WeightKind::kQ4_1:
      return Layout::kQ4_1;
    case WeightKind::kQ5_0:
      return Layout::kQ5_0;
    case WeightKind::kQ5_1:
      return Layout::kQ5_1;
    case WeightKind::kQ8_0:
      return Layout::kQ8_0;
    case WeightKind::kQ4_K:
      return Layout::kQ4_K;
    case WeightKind::kQ5_K:
      return Layout::kQ5_K;
    case WeightKind::kQ6_K:
      return Layout::kQ6_K;
    case WeightKind::kMlxAffine:
      return Layout::kMlx;
    default:
      return Layout::kOther;
  }
}

bool has_integer_products(const WeightFormat& format) noexcept {
  const Layout layout = layout_of(format);
  return layout >= Layout::kQ4_0 && layout <= Layout::kMlx;
}

void drive_dequantize(const IsaTable& isa, const WeightFormat& format, PackedRow row, int64_t cols,
                      float* out) {
  const PackedMatrix matrix = packed_matrix(format, row, cols);
  if (matrix.layout == Layout::kOther) return format_ops(format).dequantize_row(format, row, cols, out);
  isa.decode(matrix, 0, 0, cols, out);
}

void drive_exact(const IsaTable& isa, const WeightView& weight, int64_t row_begin, int64_t row_end,
                 const float* x, int64_t tokens, float* out, int64_t out_stride) {
  const RowDecoder decoder{isa, weight};
  if (isa.multiply_float_panel != nullptr && tokens >= kPanelTokens && weight.cols % kLanes == 0)
    return multiply_decoded(decoder, row_begin, row_end, x, tokens, out, out_stride);
  if (decoder.matrix.layout <= Layout::kBF16)
    return isa.matmul_plain(decoder.matrix, row_begin, row_end, x, tokens, out, out_stride);
  for (int64_t first = 0; first < tokens; first += kTokenTile)
    dot_rows(decoder, row_begin, row_end, x + first * weight.cols, std::min(kTokenTile, tokens - first),
             out + first * out_stride, out_stride);
}

void drive_fast(const IsaTable& isa, const WeightView& weight, int64_t row_begin, int64_t row_end,
                const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride) {
  if (!has_integer_products(weight.format)) {
    thread_local AlignedVector<float> x;
    x.resize(static_cast<size_t>(tokens * weight.cols));
    for (int64_t t = 0; t < tokens; ++t) decode_activations(rows[t], weight.cols, x.data() + t * weight.cols);
    return drive_exact(isa, weight, row_begin, row_end, x.data(), tokens, out, out_stride);
  }
  const PackedMatrix matrix = packed_matrix(weight);
  if (tokens < kPanelTokens || isa.matmul_panels == nullptr)
    return isa.matmul_fast(matrix, row_begin, row_end, rows, tokens, out, out_stride);
  thread_local AlignedVector<uint8_t> scratch;  // a thread keeps what its largest product needed
  scratch.resize(std::max(scratch.size(), isa.panel_bytes(matrix)));
  isa.matmul_panels(matrix, row_begin, row_end, rows, tokens, out, out_stride, scratch.data());
}

}  // namespace assay
