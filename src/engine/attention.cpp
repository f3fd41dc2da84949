#include "engine/attention.hpp"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

void prepare_head(float* head, const float* norm, const RopeAngles& angles, const ModelConfig& config,
                  const KernelTable& kernels) {
  const int64_t dim = config.head_dim;
  if (norm != nullptr) kernels.rms_norm(head, norm, static_cast<float>(config.norm_eps), dim, head);
  rotate_head({head, static_cast<size_t>(dim)}, angles, config.rope.interleaved);
}

/// One token's keys and values of one kv head into the cache at `position`.
void store_head(const float* key, const float* value, int64_t layer, int64_t head, int64_t position,
                int64_t dim, KvCache& cache, const KernelTable& kernels) {
  if (cache.compute() == Compute::kExact) {
    std::copy_n(key, dim, cache.f32_keys(layer, head) + position * dim);
    std::copy_n(value, dim, cache.f32_values(layer, head) + position * dim);
  } else {
    kernels.f16_from_f32(key, dim, cache.f16_keys(layer, head) + position * dim);
    kernels.f16_from_f32(value, dim, cache.f16_values(layer, head) + position * dim);
  }
}

void prepare_token(const AttentionStep& step, int64_t token, const ModelConfig& config, KvCache& cache,
                   const KernelTable& kernels) {
  const int64_t dim = config.head_dim;
  const RopeAngles& angles = (*step.angles)[static_cast<size_t>(token)];
  for (int64_t head = 0; head < config.n_heads; ++head)
    prepare_head(step.queries + (token * config.n_heads + head) * dim, step.q_norm, angles, config, kernels);
  for (int64_t head = 0; head < config.n_kv_heads; ++head) {
    const int64_t offset = (token * config.n_kv_heads + head) * dim;
    prepare_head(step.keys + offset, step.k_norm, angles, config, kernels);
    store_head(step.keys + offset, step.values + offset, step.layer, head, cache.length() + token, dim, cache,
               kernels);
  }
}

/// softmax(q·K / √dim) V over the positions [first, last] of one kv head, for the queries that share it.
template <typename Element>
void attend_group(const Queries& queries, const Element* keys, const Element* values, int64_t first,
                  int64_t last,
                  void (*score)(const Queries&, const Element*, int64_t, float, float*, int64_t),
                  void (*mix)(const float*, int64_t, int64_t, const Element*, int64_t, int64_t, float*,
                              int64_t),
                  const KernelTable& kernels, std::vector<float>& scores, float* out) {
  const int64_t count = last - first + 1, dim = queries.dim;
  scores.resize(static_cast<size_t>(queries.count * count));
  score(queries, keys + first * dim, count, 1.0f / std::sqrt(static_cast<float>(dim)), scores.data(), count);
  for (int64_t i = 0; i < queries.count; ++i) kernels.softmax(scores.data() + i * count, count);
  mix(scores.data(), count, queries.count, values + first * dim, count, dim, out, queries.stride);
}

}  // namespace

void attend(const AttentionStep& step, const ModelConfig& config, KvCache& cache, const KernelTable& kernels,
            ThreadPool& pool) {
  const int64_t dim = config.head_dim;
  pool.run_ranges(step.tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) prepare_token(step, token, config, cache, kernels);
  });
  const int64_t window =
      config.sliding_window.empty() ? 0 : config.sliding_window[static_cast<size_t>(step.layer)];
  const int64_t group = config.n_heads / config.n_kv_heads;
  // Heads outside, tokens inside: later tokens cost more, and so every range gets some of each.
  pool.run_ranges(step.tokens * config.n_kv_heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t token = i % step.tokens, head = i / step.tokens;
      const int64_t last = cache.length() + token;
      const int64_t first = window > 0 ? std::max<int64_t>(0, last - window + 1) : 0;
      const int64_t offset = (token * config.n_heads + head * group) * dim;
      const Queries queries{step.queries + offset, dim, group, dim};
      float* out = step.out + offset;
      if (cache.compute() == Compute::kExact) {
        attend_group<float>(queries, cache.f32_keys(step.layer, head), cache.f32_values(step.layer, head),
                            first, last, kernels.score, kernels.mix, kernels, scores, out);
      } else {
        attend_group<uint16_t>(queries, cache.f16_keys(step.layer, head), cache.f16_values(step.layer, head),
                               first, last, kernels.score_f16, kernels.mix_f16, kernels, scores, out);
      }
    }
  });
}

}  // namespace assay
