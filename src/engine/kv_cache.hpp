#pragma once
#include <cstdint>

#include "base/aligned.hpp"
#include "engine/compute.hpp"
#include "models/model_config.hpp"

namespace assay {

/// Keys and values of every position seen so far: per layer and kv head, [capacity, head_dim], f32 for exact
/// and f16 for fast. Grows by doubling up to `max_positions`.
class KvCache {
 public:
  KvCache(const ModelConfig& config, Compute compute, int64_t max_positions);

  int64_t length() const noexcept { return length_; }
  int64_t max_positions() const noexcept { return max_positions_; }
  Compute compute() const noexcept { return compute_; }
  uint64_t bytes() const noexcept;

  /// Makes room for `positions` more. Throws Error when that passes max_positions.
  void reserve(int64_t positions);
  /// The reserved positions written since are now part of the sequence.
  void advance(int64_t positions) noexcept { length_ += positions; }
  /// Forgets every position from `length` on.
  void truncate(int64_t length) noexcept { length_ = length < length_ ? length : length_; }

  /// First key (value) of a head, `head_dim` elements a position; f32_* for exact, f16_* for fast.
  float* f32_keys(int64_t layer, int64_t head) noexcept { return f32_.data() + offset(layer, head, 0); }
  float* f32_values(int64_t layer, int64_t head) noexcept { return f32_.data() + offset(layer, head, 1); }
  uint16_t* f16_keys(int64_t layer, int64_t head) noexcept { return f16_.data() + offset(layer, head, 0); }
  uint16_t* f16_values(int64_t layer, int64_t head) noexcept { return f16_.data() + offset(layer, head, 1); }

  /// Bytes one position costs in all layers.
  static uint64_t bytes_per_position(const ModelConfig& config, Compute compute) noexcept;

 private:
  int64_t offset(int64_t layer, int64_t head, int64_t which) const noexcept {
    return ((layer * 2 + which) * n_kv_heads_ + head) * capacity_ * head_dim_;
  }
  template <typename T>
  void regrow(AlignedVector<T>& store, int64_t capacity);

  int64_t n_layers_, n_kv_heads_, head_dim_, max_positions_;
  int64_t capacity_ = 0, length_ = 0;
  Compute compute_;
  AlignedVector<float> f32_;
  AlignedVector<uint16_t> f16_;
};

}  // namespace assay
