#pragma once
#include <vector>

#include "engine/encoder_linear.hpp"
#include "models/model_file.hpp"

namespace assay {

/// A layer norm; empty where the model has none.
struct NormWeights {
  std::vector<float> weight, bias;  ///< [hidden_dim]; the bias may be empty
  bool empty() const noexcept { return weight.empty(); }
};

struct EncoderLayerWeights {
  NormWeights attn_norm, ffn_norm;
  PackedLinear qkv;     ///< rows of q, k and v below each other
  PackedLinear output;  ///< [hidden_dim, n_heads · head_dim]
  PackedLinear gate;    ///< gated feed-forward alone: the half that the activation sees
  PackedLinear up;      ///< [ffn_dim, hidden_dim]
  PackedLinear down;    ///< [hidden_dim, ffn_dim]
};

/// What stands on the layers; parts that the model lacks are empty.
struct EncoderHeadWeights {
  PackedLinear pooler, dense, classifier;
  NormWeights norm;
};

/// An encoder's weights as the engine holds them. Matrices of the layers and the head are packed at load, at
/// 1 byte (int8), half a byte (int4) or 4 bytes (every other format, and all of them in exact mode) a weight.
/// The embedding tables stay where they lie in the mapped file; their rows are decoded when looked up.
struct EncoderWeights {
  WeightView word, position;  ///< [vocab_size, hidden_dim], [position_rows, hidden_dim] or no rows
  std::vector<float> types;   ///< [type_rows, hidden_dim], decoded
  NormWeights embedding_norm, final_norm;
  std::vector<float> relative;  ///< MPNet: [buckets, heads], decoded
  std::vector<EncoderLayerWeights> layers;
  EncoderHeadWeights head;

  /// Bytes of everything above, the embedding tables as they are stored.
  uint64_t bytes() const noexcept;
};

/// Packs the weights of an opened encoder, on all threads of `pool`, and gives the file's pages back as it
/// goes. Throws Error when one is in a format assay cannot decode, or a part that the configuration promises
/// is missing.
EncoderWeights gather_encoder_weights(const ModelFile& model, Compute compute, const EncoderKernels& kernels,
                                      ThreadPool& pool);

}  // namespace assay
