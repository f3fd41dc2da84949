#pragma once
#include <vector>

#include "engine/linear.hpp"
#include "models/model_file.hpp"

namespace assay {

/// The weights of one layer, by role. Absent norms and biases are empty.
struct LayerWeights {
  std::vector<float> attn_norm, ffn_norm;  ///< [hidden_dim]
  std::vector<float> q_norm, k_norm;       ///< [head_dim]
  Linear q, k, v, o;                       ///< rows n_heads·head_dim, n_kv_heads·head_dim twice, hidden_dim
  Linear gate, up, down;                   ///< rows ffn_dim twice, hidden_dim
};

struct DecoderWeights {
  WeightView token_embedding;  ///< [vocab_size, hidden_dim]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;
  Linear output;  ///< [vocab_size, hidden_dim]; the embedding itself when tied
};

/// Gathers the weights of an opened model. Throws Error when one is in a format assay cannot decode.
DecoderWeights gather_weights(const ModelFile& model);

}  // namespace assay
