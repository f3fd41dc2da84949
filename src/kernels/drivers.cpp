#include "kernels/drivers.hpp"

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

/// A chunk of quantized activations as floats.
void decode_activations(const QuantizedRow& row, int64_t begin, int64_t count, float* x) {
  for (int64_t e = begin; e < begin + count; ++e)
    x[e - begin] = row.scales[e / 32] * static_cast<float>(row.codes[e]);
}

struct Columns {
  const float* x;
  int64_t stride;  ///< between tokens
};

/// dot(row, token) for up to kDecodedRows rows and kTokenTile tokens; load_x(begin, count) gives the Columns.
/// Rows that the last tile lacks count as zeros and are left out of the result.
template <class LoadX>
void dot_tile(const RowDecoder& decoder, int64_t row, int64_t rows, int64_t tokens, LoadX load_x, float* out,
              int64_t out_stride) {
  alignas(64) float w[kDecodedRows * kDecodedStride] = {};
  alignas(64) float lanes[kDecodedRows * kTokenTile * kLanes] = {};
  for (int64_t begin = 0; begin < decoder.weight.cols; begin += kDecodedStride) {
    const int64_t count = std::min(kDecodedStride, decoder.weight.cols - begin);
    for (int64_t r = 0; r < rows; ++r) decoder.decode(row + r, begin, count, w + kDecodedStride * r);
    const Columns columns = load_x(begin, count);
    decoder.isa.accumulate(w, columns.x, columns.stride, tokens, count, lanes);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t t = 0; t < tokens; ++t)
      out[t * out_stride + row + r] = scalar::reduce_lanes(lanes + (kTokenTile * r + t) * kLanes);
}

/// The same for any number of rows.
template <class LoadX>
void dot_rows(const RowDecoder& decoder, int64_t row_begin, int64_t row_end, int64_t tokens, LoadX load_x,
              float* out, int64_t out_stride) {
  for (int64_t row = row_begin; row < row_end; row += kDecodedRows)
    dot_tile(decoder, row, std::min(kDecodedRows, row_end - row), tokens, load_x, out, out_stride);
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
  if (decoder.matrix.layout <= Layout::kBF16)
    return isa.matmul_plain(decoder.matrix, row_begin, row_end, x, tokens, out, out_stride);
  for (int64_t first = 0; first < tokens; first += kTokenTile) {
    const int64_t count = std::min(kTokenTile, tokens - first);
    const auto load_x = [&](int64_t begin, int64_t) {
      return Columns{x + first * weight.cols + begin, weight.cols};
    };
    dot_rows(decoder, row_begin, row_end, count, load_x, out + first * out_stride, out_stride);
  }
}

void drive_fast(const IsaTable& isa, const WeightView& weight, int64_t row_begin, int64_t row_end,
                const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride) {
  if (has_integer_products(weight.format)) {
    const PackedMatrix matrix = packed_matrix(weight);
    if (tokens < kPanelTokens || isa.matmul_panels == nullptr)
      return isa.matmul_fast(matrix, row_begin, row_end, rows, tokens, out, out_stride);
    thread_local AlignedVector<uint8_t> scratch;  // a thread keeps what its largest product needed
    scratch.resize(std::max(scratch.size(), isa.panel_bytes(matrix)));
    return isa.matmul_panels(matrix, row_begin, row_end, rows, tokens, out, out_stride, scratch.data());
  }
  const RowDecoder decoder{isa, weight};
  alignas(64) float x[kDecodedStride];
  for (int64_t t = 0; t < tokens; ++t) {
    const auto load_x = [&](int64_t begin, int64_t count) {
      decode_activations(rows[t], begin, count, x);
      return Columns{x, 0};
    };
    dot_rows(decoder, row_begin, row_end, 1, load_x, out + t * out_stride, out_stride);
  }
}

}  // namespace assay
