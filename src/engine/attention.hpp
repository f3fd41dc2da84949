#pragma once
#include <cstdint>
#include <span>

#include "base/thread_pool.hpp"
#include "engine/kv_cache.hpp"
#include "engine/rope.hpp"
#include "kernels/kernels.hpp"
#include "models/model_config.hpp"

namespace assay {

/// Where a token stands: which sequence, at which of its reserved positions.
struct TokenPlace {
  KvCache* cache = nullptr;
  int64_t position = 0;
  RopeAngles angles;
};

/// What one attention step works on. Rows are [tokens, heads · head_dim].
struct AttentionStep {
  int64_t layer = 0;
  std::span<const TokenPlace> places;  ///< one per token; those of a sequence together and in order
  float* queries = nullptr;            ///< rotated in place
  float* keys = nullptr;               ///< rotated in place, then stored
  const float* values = nullptr;
  const float* q_norm = nullptr;  ///< [head_dim] or null
  const float* k_norm = nullptr;
  float* out = nullptr;  ///< [tokens, n_heads · head_dim]
};

/// Norms and rotates queries and keys, stores keys and values at their places, and attends: every query sees
/// itself, its sequence's past and, with a sliding window, only the last `window` positions. What a token
/// gets depends on its own sequence alone, and not on how its tokens are split over steps.
void attend(const AttentionStep& step, const ModelConfig& config, const KernelTable& kernels,
            ThreadPool& pool);

}  // namespace assay
