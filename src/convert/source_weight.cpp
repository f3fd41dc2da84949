#include "convert/source_weight.hpp"

#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "base/half.hpp"
#include "kernels/kernels.hpp"

namespace assay {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;

int64_t permuted_index(int64_t index, int64_t head_size) noexcept {
  const int64_t head = index / head_size, within = index % head_size;
  return head * head_size + within % 2 * (head_size / 2) + within / 2;
}

}  // namespace

SourceWeight::SourceWeight(const ModelTensor& tensor, int64_t permuted_heads, std::optional<DType> cast)
    : view_(tensor.weight), permuted_heads_(permuted_heads), cast_(cast) {
  // A cast that the stored type passes unchanged is no cast.
  if (cast_ == DType::kF32 || (cast_ && view_.format == plain_format(*cast_))) cast_.reset();
}

SourceWeight::SourceWeight(std::vector<float> values) : own_(std::move(values)) {
  view_.format = plain_format(DType::kF32);
  view_.rows = 1;
  view_.cols = static_cast<int64_t>(own_.size());
  view_.codes = std::as_bytes(std::span(own_));
}

int64_t SourceWeight::source_row(int64_t row) const noexcept {
  if (permuted_heads_ == 0 || view_.rows == 1) return row;
  return permuted_index(row, view_.rows / permuted_heads_);
}

void SourceWeight::read(int64_t row, float* out) const {
  read_stored(row, out);
  cast(out);
}

void SourceWeight::read_stored(int64_t row, float* out) const {
  kernels().dequantize_row(view_.format, packed_row(view_, source_row(row)), view_.cols, out);
  if (permuted_heads_ != 0 && view_.rows == 1) {
    const std::vector<float> stored(out, out + view_.cols);
    for (int64_t i = 0; i < view_.cols; ++i)
      out[i] = stored[static_cast<size_t>(permuted_index(i, view_.cols / permuted_heads_))];
  }
}

void SourceWeight::cast(float* values) const noexcept {
  if (cast_ == DType::kF16) {
    for (int64_t i = 0; i < view_.cols; ++i) values[i] = float_from_f16(f16_from_float(values[i]));
  } else if (cast_ == DType::kBF16) {
    for (int64_t i = 0; i < view_.cols; ++i) values[i] = float_from_bf16(bf16_from_float(values[i]));
  }
}

SourceWeight source_weight(const ModelFile& file, const TensorSlot& slot, bool for_gguf,
                           std::optional<DType> cast) {
  if (slot.role == TensorRole::kRopeFactors) {
    const RopeConfig& rope = file.config().rope;
    return SourceWeight(rope.scaling == RopeConfig::Scaling::kFactors ? rope.factors
                                                                      : llama3_rope_factors(rope));
  }
  const ModelTensor* tensor = file.find(slot.role, slot.layer);
  if (tensor == nullptr) throw Error(Fault{"tensor is missing", file.path().string(), slot.hf_name, {}, {}});
  return SourceWeight(*tensor, for_gguf ? slot.permuted_heads : 0, cast);
}

int64_t find_non_finite(const float* values, int64_t n) noexcept {
  // The maximum of the magnitudes' bits finds out in one vectorized pass whether there is any.
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  if (largest < kInfinityBits) return -1;
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i])) return i;
  return -1;
}

}  // namespace assay
