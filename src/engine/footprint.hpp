#pragma once
#include <cstdint>
#include <span>

#include "engine/compute.hpp"
#include "models/model_file.hpp"

namespace assay {

/// One weight by what it does and what it takes, from a file or from a plan.
struct TensorSize {
  TensorRole role;
  int64_t rows = 1, cols = 0;
  uint64_t bytes = 0;  ///< packed: codes, scales and biases
};

/// What a decoder's weights cost, known from their shapes and formats alone.
struct Footprint {
  uint64_t weight_bytes = 0;  ///< of all tensors
  /// Weights that one decoded token reads: all but an embedding table that is not the head too, of which it
  /// reads one row.
  uint64_t decoded_bytes = 0;
  uint64_t layer_macs = 0;  ///< multiply-adds with weights for a token, in the layers
  uint64_t head_macs = 0;   ///< and of the output head, which a prompt needs for its last token alone
};

Footprint footprint_of(std::span<const TensorSize> tensors, bool tied_embeddings);
Footprint footprint_of(const ModelFile& model);

/// Bytes of keys and values that `tokens` single decoding steps read, the first of them at position `first`:
/// every position seen so far, as wide as the model's windows.
uint64_t kv_bytes_read(const ModelConfig& config, KvFormat kv, int64_t first, int64_t tokens);

}  // namespace assay
