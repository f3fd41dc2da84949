#pragma once
#include <cstdint>
#include <vector>

#include "base/thread_pool.hpp"
#include "engine/kv_cache.hpp"
#include "engine/rope.hpp"
#include "kernels/kernels.hpp"
#include "models/model_config.hpp"

namespace assay {

/// What one attention step works on. Rows are [tokens, heads · head_dim].
struct AttentionStep {
  int64_t layer = 0;
  int64_t tokens = 0;
  float* queries = nullptr;  ///< rotated in place
  float* keys = nullptr;     ///< rotated in place, then stored
  const float* values = nullptr;
  const float* q_norm = nullptr;  ///< [head_dim] or null
  const float* k_norm = nullptr;
  const std::vector<RopeAngles>* angles = nullptr;  ///< one per token
  float* out = nullptr;                             ///< [tokens, n_heads · head_dim]
};

/// Norms and rotates queries and keys, stores keys and values at the cache's reserved positions, and attends:
/// every query sees itself, its past and, with a sliding window, only the last `window` positions.
void attend(const AttentionStep& step, const ModelConfig& config, KvCache& cache, const KernelTable& kernels,
            ThreadPool& pool);

}  // namespace assay
