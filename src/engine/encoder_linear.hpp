#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "engine/compute.hpp"
#include "engine/encoder_team.hpp"
#include "kernels/encoder_kernels.hpp"
#include "tensor/weight_format.hpp"

namespace assay {

/// y = x Wᵀ + b with W packed once for the products of one instruction set.
struct PackedLinear {
  enum class Form : uint8_t { kF32, kInt8, kInt4 };
  Form form = Form::kF32;
  int64_t rows = 0, cols = 0;
  int64_t group_size = 0;           ///< of int4
  AlignedVector<std::byte> panels;  ///< 4, 1 or 1/2 byte a weight
  std::vector<float> scales;        ///< int8: [rows]; int4: [rows, cols / group_size]
  std::vector<float> row_sums;      ///< [rows] of int8 and int4, empty otherwise
  std::vector<float> bias;          ///< [rows] or empty

  bool empty() const noexcept { return rows == 0; }
  bool multiplies_integers() const noexcept { return form != Form::kF32; }
  uint64_t bytes() const noexcept {
    return panels.size() + sizeof(float) * (scales.size() + row_sums.size() + bias.size());
  }
};

/// Rows [begin, end) of a weight where they lie.
WeightView slice_rows(const WeightView& weight, int64_t begin, int64_t end);

/// The values of a row-major weight, [rows, cols]. Throws Error for a format assay cannot decode.
std::vector<float> decode_rows(const WeightView& weight);

/// Packs weights of equal width below each other. Fast compute keeps int8 and int4 as integers where all
/// parts have the same format; everything else is decoded to f32 panels, which take 4 bytes a weight whatever
/// the file holds. bias: [rows] or empty. Throws Error for a format assay cannot decode.
PackedLinear pack_linear(std::span<const WeightView> parts, std::vector<float> bias, Compute compute,
                         const EncoderKernels& kernels);

/// Rows of activations, [tokens, cols], and their int8 form once a product has asked for it.
class ProductInput {
 public:
  /// x: rows `stride` floats apart; must outlive the products.
  void set(const float* x, int64_t stride, int64_t tokens, int64_t cols) noexcept;
  /// The int8 form, made on first use.
  const Int8Tokens& quantized(const EncoderKernels& kernels, const Team& team);

  const float* values() const noexcept { return x_; }
  int64_t stride() const noexcept { return stride_; }
  int64_t tokens() const noexcept { return tokens_; }

 private:
  const float* x_ = nullptr;
  int64_t stride_ = 0, tokens_ = 0, cols_ = 0;
  bool is_quantized_ = false;
  AlignedVector<int8_t> codes_;
  AlignedVector<float> scales_, offsets_;
  Int8Tokens view_{};
};

/// Rows [row_begin, row_end) of a product, for all tokens of its input; a team shares them by panels.
struct ProductRows {
  int64_t begin = 0, end = 0;
};
/// out[t * out_stride + r] = activation(W x + b)[r] + residual; out is the address of row 0. The bias of
/// `epilogue` is the linear's own.
void multiply(const PackedLinear& linear, ProductInput& x, ProductRows rows, Epilogue epilogue, float* out,
              int64_t out_stride, const EncoderKernels& kernels, const Team& team);
/// All rows.
void multiply(const PackedLinear& linear, ProductInput& x, const Epilogue& epilogue, float* out,
              int64_t out_stride, const EncoderKernels& kernels, const Team& team);

}  // namespace assay
