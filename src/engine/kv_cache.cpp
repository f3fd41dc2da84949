#include "engine/kv_cache.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "formats/format.hpp"
#include "kernels/q8_rows.hpp"

namespace assay {
namespace {

WeightFormat format_of_rows(KvFormat format) noexcept {
  return ggml_format(format == KvFormat::kF32   ? WeightKind::kF32
                     : format == KvFormat::kF16 ? WeightKind::kF16
                                                : WeightKind::kQ8_0);
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, KvFormat format, int64_t max_positions)
    : n_layers_(config.n_layers),
      n_kv_heads_(config.n_kv_heads),
      head_dim_(config.head_dim),
      max_positions_(max_positions),
      kv_format_(format),
      row_format_(format_of_rows(format)),
      row_dim_(row_dim(config, format)),
      row_bytes_(assay::row_bytes(row_format_, row_dim_).codes) {}

KvCache KvCache::of_one_layer(const ModelConfig& config, KvFormat format, int64_t max_positions) {
  KvCache cache(config, format, max_positions);
  cache.n_layers_ = 1;
  return cache;
}

int64_t KvCache::row_dim(const ModelConfig& config, KvFormat format) noexcept {
  const int64_t group = block_length(format_of_rows(format));
  return (config.head_dim + group - 1) / group * group;
}

uint64_t KvCache::bytes_per_position(const ModelConfig& config, KvFormat format) noexcept {
  const size_t row = assay::row_bytes(format_of_rows(format), row_dim(config, format)).codes;
  return static_cast<uint64_t>(2 * config.n_layers * config.n_kv_heads) * row;
}

void KvCache::regrow(int64_t capacity) {
  const auto heads = static_cast<size_t>(n_layers_ * 2 * n_kv_heads_);
  const size_t from = static_cast<size_t>(capacity_) * row_bytes_,
               to = static_cast<size_t>(capacity) * row_bytes_;
  AlignedVector<std::byte> grown(heads * to);
  for (size_t head = 0; head < heads && length_ > 0; ++head)
    std::memcpy(grown.data() + head * to, store_.data() + head * from,
                static_cast<size_t>(length_) * row_bytes_);
  store_.swap(grown);
  capacity_ = capacity;
}

void KvCache::reserve(int64_t positions) {
  const int64_t needed = length_ + positions;
  if (needed > max_positions_)
    throw Error({"the text is longer than the context",
                 {},
                 "at most " + std::to_string(max_positions_) + " tokens",
                 std::to_string(needed),
                 {}});
  if (needed <= capacity_) return;
  constexpr int64_t kSmallest = 256;
  regrow(std::min(max_positions_, std::max({needed, 2 * capacity_, kSmallest})));
}

void KvCache::write(Part part, int64_t layer, int64_t head, int64_t position, const float* values,
                    const KernelTable& kernels) {
  std::byte* row = store_.data() + offset(part, layer, head, position);
  if (kv_format_ == KvFormat::kF32) {
    std::memcpy(row, values, static_cast<size_t>(head_dim_) * sizeof(float));
  } else if (kv_format_ == KvFormat::kF16) {
    kernels.f16_from_f32(values, head_dim_, reinterpret_cast<uint16_t*>(row));
  } else {
    const FormatOps& ops = format_ops(row_format_);
    const int64_t group = block_length(row_format_), whole = head_dim_ / group * group;
    ops.quantize_row(row_format_, values, whole, nullptr, {row, nullptr, nullptr});
    if (whole == head_dim_) return;
    float last[32] = {};
    std::copy(values + whole, values + head_dim_, last);
    ops.quantize_row(row_format_, last, group, nullptr,
                     {row + assay::row_bytes(row_format_, whole).codes, nullptr, nullptr});
  }
}

const float* KvCache::read(Part part, int64_t layer, int64_t head, int64_t first, int64_t count,
                           float* scratch, const KernelTable& kernels) const {
  const std::byte* rows = store_.data() + offset(part, layer, head, first);
  if (kv_format_ == KvFormat::kF32) return reinterpret_cast<const float*>(rows);
  if (kv_format_ == KvFormat::kF16)
    kernels.dequantize_row(row_format_, {rows, nullptr, nullptr}, count * row_dim_, scratch);
  else
    q8_unpacker(kernels.isa)(rows, count * row_dim_ / block_length(row_format_), scratch);
  return scratch;
}

std::span<std::byte> KvCache::packed(Part part, int64_t layer, int64_t head, int64_t count) noexcept {
  return {store_.data() + offset(part, layer, head, 0), static_cast<size_t>(count) * row_bytes_};
}

}  // namespace assay
