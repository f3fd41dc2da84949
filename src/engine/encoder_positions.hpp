#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/rope.hpp"
#include "models/model_config.hpp"

namespace assay {

/// Bucket of a distance in a bidirectional table of `buckets` rows: the first half for keys before the query
/// (or at it), the second for keys behind; half of each exact, the rest logarithmic up to `max_distance`.
/// Source: transformers modeling_mpnet.py, relative_position_bucket.
int64_t relative_bucket(int64_t key_minus_query, int64_t buckets, int64_t max_distance) noexcept;

/// What an encoder knows of positions beyond its embedding table: rotary angles per base, and relative biases
/// per head. Grows to the longest text seen.
class EncoderPositions {
 public:
  /// relative: [buckets, heads] or empty.
  EncoderPositions(const ModelConfig& config, std::span<const float> relative);
  /// Must have been called with at least a text's length before that text is asked about.
  void reserve(int64_t length);

  /// Angles of each position for a layer; null where it does not rotate.
  const std::vector<RopeAngles>* angles(int64_t layer) const;
  /// [2 * length - 1] biases of a head, as AttentionJob::relative; null without.
  const float* relative(int64_t head, int64_t length) const noexcept;

 private:
  const ModelConfig& config_;
  int64_t length_ = 0;
  std::map<double, std::vector<RopeAngles>> angles_;  ///< by base
  std::vector<float> table_;                          ///< [buckets, heads]
  std::vector<float> expanded_;                       ///< [heads, 2 * length_ - 1]
};

}  // namespace assay
