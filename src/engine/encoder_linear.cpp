#include "engine/encoder_linear.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/half.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

/// Sums of int8 products stay exact in i32 up to this many columns (encoder_kernels.hpp).
constexpr int64_t kMaxIntegerCols = int64_t{1} << 17;
/// Rows of int8 activations lie a multiple of this apart (Int8Tokens).
constexpr int64_t kCodesAlignment = 64;
/// Tokens that are worth handing to another thread for quantization.
constexpr int64_t kQuantizeGrain = 16;

int64_t count_rows(std::span<const WeightView> parts) {
  int64_t rows = 0;
  for (const WeightView& part : parts) rows += part.rows;
  return rows;
}

/// -128 has no negative in int8, and kernels that move signs between factors rely on that.
bool holds_unusable_code(const WeightView& weight) {
  return std::find(weight.codes.begin(), weight.codes.end(), std::byte{0x80}) != weight.codes.end();
}

PackedLinear::Form choose_form(std::span<const WeightView> parts, Compute compute) {
  const WeightFormat& first = parts.front().format;
  const bool same =
      std::all_of(parts.begin(), parts.end(), [&](const WeightView& part) { return part.format == first; });
  if (compute == Compute::kExact || !same || parts.front().cols > kMaxIntegerCols)
    return PackedLinear::Form::kF32;
  if (first.kind == WeightKind::kInt8)
    return std::any_of(parts.begin(), parts.end(), holds_unusable_code) ? PackedLinear::Form::kF32
                                                                        : PackedLinear::Form::kInt8;
  return first.kind == WeightKind::kInt4 ? PackedLinear::Form::kInt4 : PackedLinear::Form::kF32;
}

/// What EncoderKernels calls row_sums: of every row the sum over groups in order, in double and rounded once,
/// of scale * sum of codes, which is exact. code(i) is that of element i of the joined weight.
template <class Code>
std::vector<float> sum_rows(const PackedLinear& linear, int64_t group, Code code) {
  std::vector<float> sums(static_cast<size_t>(linear.rows));
  size_t at = 0, scale = 0;
  for (float& row_sum : sums) {
    double sum = 0.0;
    for (int64_t c = 0; c < linear.cols; c += group) {
      int64_t of_group = 0;
      for (int64_t i = 0; i < group; ++i) of_group += code(at++);
      sum += double{linear.scales[scale++]} * static_cast<double>(of_group);
    }
    row_sum = static_cast<float>(sum);
  }
  return sums;
}

/// The codes of all parts below each other.
std::vector<std::byte> join_codes(std::span<const WeightView> parts) {
  std::vector<std::byte> codes;
  for (const WeightView& part : parts) codes.insert(codes.end(), part.codes.begin(), part.codes.end());
  return codes;
}

void pack_f32(std::span<const WeightView> parts, const EncoderKernels& kernels, PackedLinear& out) {
  std::vector<float> values;
  for (const WeightView& part : parts) {
    const std::vector<float> rows = decode_rows(part);
    values.insert(values.end(), rows.begin(), rows.end());
  }
  out.panels.resize(kernels.f32_panel_bytes(out.rows, out.cols));
  kernels.pack_f32(values.data(), out.rows, out.cols, out.panels.data());
}

void pack_int8(std::span<const WeightView> parts, const EncoderKernels& kernels, PackedLinear& out) {
  for (const WeightView& part : parts) {
    const size_t first = out.scales.size();
    out.scales.resize(first + static_cast<size_t>(part.rows));
    std::memcpy(out.scales.data() + first, part.scales.data(),
                static_cast<size_t>(part.rows) * sizeof(float));
  }
  const std::vector<std::byte> codes = join_codes(parts);
  out.row_sums = sum_rows(out, out.cols, [&](size_t i) { return static_cast<int8_t>(codes[i]); });
  out.panels.resize(kernels.int8_panel_bytes(out.rows, out.cols));
  kernels.pack_int8(reinterpret_cast<const int8_t*>(codes.data()), out.rows, out.cols, out.panels.data());
}

void pack_int4(std::span<const WeightView> parts, const EncoderKernels& kernels, PackedLinear& out) {
  out.group_size = parts.front().format.group_size;
  for (const WeightView& part : parts) {
    const size_t count = static_cast<size_t>(part.rows * (part.cols / out.group_size));
    for (size_t i = 0; i < count; ++i) {
      uint16_t bits;
      std::memcpy(&bits, part.scales.data() + i * sizeof bits, sizeof bits);
      out.scales.push_back(float_from_f16(bits));
    }
  }
  const std::vector<std::byte> codes = join_codes(parts);
  out.row_sums = sum_rows(out, out.group_size, [&](size_t i) {
    return (std::to_integer<int>(codes[i / 2]) >> (i % 2 ? 4 : 0) & 0x0f) - 8;
  });
  out.panels.resize(kernels.int4_panel_bytes(out.rows, out.cols));
  kernels.pack_int4(reinterpret_cast<const uint8_t*>(codes.data()), out.rows, out.cols, out.panels.data());
}

void multiply_range(const PackedLinear& linear, const ProductInput& x, const Int8Tokens* codes,
                    ProductRange range, const Epilogue& epilogue, float* out, int64_t out_stride,
                    const EncoderKernels& kernels) {
  switch (linear.form) {
    case PackedLinear::Form::kF32:
      return kernels.multiply_f32(linear.panels.data(), linear.rows, linear.cols, x.values(), x.stride(),
                                  range, epilogue, out, out_stride);
    case PackedLinear::Form::kInt8:
      return kernels.multiply_int8(linear.panels.data(), linear.scales.data(), linear.row_sums.data(),
                                   linear.rows, linear.cols, *codes, range, epilogue, out, out_stride);
    case PackedLinear::Form::kInt4:
      return kernels.multiply_int4(linear.panels.data(), linear.scales.data(), linear.row_sums.data(),
                                   linear.group_size, linear.rows, linear.cols, *codes, range, epilogue, out,
                                   out_stride);
  }
}

}  // namespace

WeightView slice_rows(const WeightView& weight, int64_t begin, int64_t end) {
  ASSAY_CHECK(begin >= 0 && begin <= end && end <= weight.rows);
  const RowBytes row = row_bytes(weight.format, weight.cols);
  const auto part = [&](std::span<const std::byte> bytes, size_t row_size) {
    return bytes.subspan(static_cast<size_t>(begin) * row_size, static_cast<size_t>(end - begin) * row_size);
  };
  WeightView out = weight;
  out.rows = end - begin;
  out.codes = part(weight.codes, row.codes);
  out.scales = part(weight.scales, row.scales);
  out.biases = part(weight.biases, row.biases);
  return out;
}

std::vector<float> decode_rows(const WeightView& weight) {
  const FormatOps& ops = format_ops(weight.format);
  std::vector<float> values(static_cast<size_t>(weight.rows * weight.cols));
  for (int64_t r = 0; r < weight.rows; ++r)
    ops.dequantize_row(weight.format, packed_row(weight, r), weight.cols, values.data() + r * weight.cols);
  return values;
}

PackedLinear pack_linear(std::span<const WeightView> parts, std::vector<float> bias, Compute compute,
                         const EncoderKernels& kernels) {
  ASSAY_CHECK(!parts.empty());
  PackedLinear out;
  out.form = choose_form(parts, compute);
  out.rows = count_rows(parts);
  out.cols = parts.front().cols;
  out.bias = std::move(bias);
  ASSAY_CHECK(out.bias.empty() || static_cast<int64_t>(out.bias.size()) == out.rows);
  for (const WeightView& part : parts) ASSAY_CHECK(part.cols == out.cols);
  switch (out.form) {
    case PackedLinear::Form::kF32:
      pack_f32(parts, kernels, out);
      break;
    case PackedLinear::Form::kInt8:
      pack_int8(parts, kernels, out);
      break;
    case PackedLinear::Form::kInt4:
      pack_int4(parts, kernels, out);
      break;
  }
  return out;
}

void ProductInput::set(const float* x, int64_t stride, int64_t tokens, int64_t cols) noexcept {
  x_ = x;
  stride_ = stride;
  tokens_ = tokens;
  cols_ = cols;
  is_quantized_ = false;
}

const Int8Tokens& ProductInput::quantized(const EncoderKernels& kernels, const Team& team) {
  if (is_quantized_) return view_;
  const int64_t stride = (cols_ + kCodesAlignment - 1) / kCodesAlignment * kCodesAlignment;
  // Only ever grown: shrinking and growing again would clear the bytes each time.
  if (const auto size = static_cast<size_t>(tokens_ * stride); codes_.size() < size) codes_.resize(size);
  if (const auto size = static_cast<size_t>(tokens_); scales_.size() < size) {
    scales_.resize(size);
    offsets_.resize(size);
  }
  team.run_ranges(tokens_, kQuantizeGrain, [&](int64_t begin, int64_t end) {
    kernels.quantize_tokens(x_ + begin * stride_, stride_, end - begin, cols_, codes_.data() + begin * stride,
                            stride, scales_.data() + begin, offsets_.data() + begin);
  });
  view_ = {codes_.data(), scales_.data(), offsets_.data(), stride};
  is_quantized_ = true;
  return view_;
}

void multiply(const PackedLinear& linear, ProductInput& x, ProductRows rows, Epilogue epilogue, float* out,
              int64_t out_stride, const EncoderKernels& kernels, const Team& team) {
  epilogue.bias = linear.bias.empty() ? nullptr : linear.bias.data();
  const Int8Tokens* codes = linear.multiplies_integers() ? &x.quantized(kernels, team) : nullptr;
  team.run_ranges(rows.end - rows.begin, kPanelRows, [&](int64_t begin, int64_t end) {
    multiply_range(linear, x, codes, {0, x.tokens(), rows.begin + begin, rows.begin + end}, epilogue, out,
                   out_stride, kernels);
  });
}

void multiply(const PackedLinear& linear, ProductInput& x, const Epilogue& epilogue, float* out,
              int64_t out_stride, const EncoderKernels& kernels, const Team& team) {
  multiply(linear, x, {0, linear.rows}, epilogue, out, out_stride, kernels, team);
}

}  // namespace assay
