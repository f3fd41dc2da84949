#pragma once
#include "base/aligned.hpp"
#include "engine/linear.hpp"
#include "models/model_config.hpp"

namespace assay {

/// Buffers of one step; [tokens, …] rows each.
struct DecoderWorkspace {
  AlignedVector<float> hidden;    ///< residual stream, [tokens, hidden_dim]; of absorb() the whole text's
  AlignedVector<float> normed;    ///< [tokens, hidden_dim]
  AlignedVector<float> queries;   ///< [tokens, n_heads · head_dim]
  AlignedVector<float> keys;      ///< [tokens, n_kv_heads · head_dim]
  AlignedVector<float> values;    ///< [tokens, n_kv_heads · head_dim]
  AlignedVector<float> attended;  ///< [tokens, n_heads · head_dim]
  AlignedVector<float> gate, up;  ///< [tokens, ffn_dim]
  AlignedVector<float> added;     ///< [tokens, hidden_dim], what a sublayer adds to the stream
  AlignedVector<float> logits;
  Activations activations;

  /// For steps of `tokens` at most, of a text whose stream is `kept` rows.
  void resize(const ModelConfig& config, int64_t tokens, int64_t kept) {
    const auto fit = [&](AlignedVector<float>& buffer, int64_t width) {
      buffer.resize(static_cast<size_t>(tokens * width));
    };
    hidden.resize(static_cast<size_t>(kept * config.hidden_dim));
    for (auto* buffer : {&normed, &added}) fit(*buffer, config.hidden_dim);
    for (auto* buffer : {&queries, &attended}) fit(*buffer, config.n_heads * config.head_dim);
    for (auto* buffer : {&keys, &values}) fit(*buffer, config.n_kv_heads * config.head_dim);
    for (auto* buffer : {&gate, &up}) fit(*buffer, config.ffn_dim);
  }
};

}  // namespace assay
