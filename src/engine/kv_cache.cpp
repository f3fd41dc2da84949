#include "engine/kv_cache.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace assay {

KvCache::KvCache(const ModelConfig& config, Compute compute, int64_t max_positions)
    : n_layers_(config.n_layers),
      n_kv_heads_(config.n_kv_heads),
      head_dim_(config.head_dim),
      max_positions_(max_positions),
      compute_(compute) {}

uint64_t KvCache::bytes_per_position(const ModelConfig& config, Compute compute) noexcept {
  const auto values = static_cast<uint64_t>(2 * config.n_layers * config.n_kv_heads * config.head_dim);
  return values * (compute == Compute::kExact ? sizeof(float) : sizeof(uint16_t));
}

uint64_t KvCache::bytes() const noexcept {
  return f32_.size() * sizeof(float) + f16_.size() * sizeof(uint16_t);
}

template <typename T>
void KvCache::regrow(AlignedVector<T>& store, int64_t capacity) {
  const int64_t heads = n_layers_ * 2 * n_kv_heads_;
  AlignedVector<T> grown(static_cast<size_t>(heads * capacity * head_dim_));
  for (int64_t head = 0; head < heads && length_ > 0; ++head)
    std::copy_n(store.begin() + head * capacity_ * head_dim_, length_ * head_dim_,
                grown.begin() + head * capacity * head_dim_);
  store.swap(grown);
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
  const int64_t capacity = std::min(max_positions_, std::max({needed, 2 * capacity_, kSmallest}));
  if (compute_ == Compute::kExact) {
    regrow(f32_, capacity);
  } else {
    regrow(f16_, capacity);
  }
  capacity_ = capacity;
}

}  // namespace assay
