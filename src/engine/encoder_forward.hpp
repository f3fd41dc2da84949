#pragma once
#include <cstdint>
#include <span>

#include "engine/encoder_batch.hpp"
#include "engine/encoder_positions.hpp"
#include "engine/encoder_weights.hpp"

namespace assay {

/// Everything a forward pass reads. Shared by all threads; nothing in it changes while batches run.
struct EncoderModelParts {
  const ModelConfig& config;
  const EncoderKernels& kernels;
  const EncoderWeights& weights;
  const EncoderPositions& positions;

  const EncoderTraits& traits() const noexcept { return *config.encoder; }
};

/// Buffers of a block of tokens on their way through one layer.
struct BlockWorkspace {
  ProductInput input;
  AlignedVector<float> normed;     ///< [tokens, hidden_dim], pre-norm encoders
  AlignedVector<float> gate, up;   ///< [tokens, ffn_dim]
  AlignedVector<float> row;        ///< [hidden_dim]
  AlignedVector<float> attention;  ///< scratch of EncoderKernels::attend
};

/// Buffers of a batch.
struct BatchWorkspace {
  AlignedVector<float> hidden;    ///< the residual stream, [tokens, hidden_dim]
  AlignedVector<float> qkv;       ///< [tokens, 3 · attention width]
  AlignedVector<float> attended;  ///< [tokens, attention width]
  AlignedVector<float> first;     ///< [texts, hidden_dim]: the stream of first tokens in the last layer
  AlignedVector<float> queries;   ///< [texts, attention width], likewise
  AlignedVector<float> pooled, dense, logits;  ///< of the head
};

enum class WantedRows : uint8_t { kAll, kFirst };

/// Runs all layers over one batch. Returns the final hidden states of all tokens, or of each text's first
/// token, in `work`; rows are in the batch's order.
std::span<float> run_encoder_layers(const EncoderModelParts& model, std::span<const Encoding> texts,
                                    const EncoderBatch& batch, WantedRows wanted, BatchWorkspace& work,
                                    Shelf<BlockWorkspace>& blocks, const Team& team);

/// layer_norm of `tokens` rows; out may be x.
void norm_rows(const EncoderModelParts& model, const NormWeights& norm, const float* x, int64_t tokens,
               float* out, const Team& team);

}  // namespace assay
