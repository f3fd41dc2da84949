#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned.hpp"
#include "engine/compute.hpp"
#include "kernels/kernels.hpp"
#include "models/model_config.hpp"
#include "tensor/weight_format.hpp"

namespace assay {

/// Keys and values of every position seen so far: per layer keys, then values, of each kv head, packed rows
/// [capacity, row_dim()]. Grows by doubling up to `max_positions`. A copy is a fork: both go on apart.
class KvCache {
 public:
  enum class Part { kKeys, kValues };

  KvCache(const ModelConfig& config, KvFormat format, int64_t max_positions);
  /// Room for a single layer, which all layers use in turn: for a text that is run layer by layer and read no
  /// further.
  static KvCache of_one_layer(const ModelConfig& config, KvFormat format, int64_t max_positions);

  int64_t length() const noexcept { return length_; }
  int64_t max_positions() const noexcept { return max_positions_; }
  KvFormat format() const noexcept { return kv_format_; }
  uint64_t bytes() const noexcept { return store_.size(); }

  /// Makes room for `positions` more. Throws Error when that passes max_positions.
  void reserve(int64_t positions);
  /// The reserved positions written since are now part of the sequence.
  void advance(int64_t positions) noexcept { length_ += positions; }
  /// Forgets every position from `length` on.
  void truncate(int64_t length) noexcept { length_ = length < length_ ? length : length_; }
  /// From now on there may be so many positions; not fewer than there are.
  void set_max_positions(int64_t max_positions) noexcept { max_positions_ = max_positions; }

  /// Values in a row: head_dim, and for q8 as many zeros after it as fill the last group.
  static int64_t row_dim(const ModelConfig& config, KvFormat format) noexcept;
  int64_t row_dim() const noexcept { return row_dim_; }

  /// Packs the head_dim floats of one head at a reserved position.
  void write(Part part, int64_t layer, int64_t head, int64_t position, const float* values,
             const KernelTable& kernels);
  /// `count` rows from position `first` on as floats, [count, row_dim()]: in `scratch`, or where they lie.
  const float* read(Part part, int64_t layer, int64_t head, int64_t first, int64_t count, float* scratch,
                    const KernelTable& kernels) const;
  /// The packed rows of the first `count` positions, reserved or written.
  std::span<std::byte> packed(Part part, int64_t layer, int64_t head, int64_t count) noexcept;

  /// Bytes one position costs in all layers.
  static uint64_t bytes_per_position(const ModelConfig& config, KvFormat format) noexcept;

 private:
  size_t offset(Part part, int64_t layer, int64_t head, int64_t position) const noexcept {
    const int64_t which = part == Part::kKeys ? 0 : 1;
    const int64_t row = ((layer % n_layers_ * 2 + which) * n_kv_heads_ + head) * capacity_ + position;
    return static_cast<size_t>(row) * row_bytes_;
  }
  void regrow(int64_t capacity);

  int64_t n_layers_;  ///< with room of their own
  int64_t n_kv_heads_, head_dim_, max_positions_;
  int64_t capacity_ = 0, length_ = 0;
  KvFormat kv_format_;
  WeightFormat row_format_;
  int64_t row_dim_;
  size_t row_bytes_;
  AlignedVector<std::byte> store_;
};

}  // namespace assay
