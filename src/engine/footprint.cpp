#include "engine/footprint.hpp"

#include <algorithm>
#include <vector>

#include "engine/kv_cache.hpp"

namespace assay {

Footprint footprint_of(std::span<const TensorSize> tensors, bool tied_embeddings) {
  Footprint footprint;
  for (const TensorSize& tensor : tensors) {
    footprint.weight_bytes += tensor.bytes;
    const bool table = tensor.role == TensorRole::kTokenEmbedding;
    const auto rows = static_cast<uint64_t>(tensor.rows), cols = static_cast<uint64_t>(tensor.cols);
    footprint.decoded_bytes += table && !tied_embeddings ? tensor.bytes / rows : tensor.bytes;
    if (tensor.rows < 2) continue;  // norms and biases
    if (tensor.role == TensorRole::kOutput || (table && tied_embeddings))
      footprint.head_macs += rows * cols;
    else if (!table)
      footprint.layer_macs += rows * cols;
  }
  return footprint;
}

Footprint footprint_of(const ModelFile& model) {
  std::vector<TensorSize> tensors;
  for (const ModelTensor& tensor : model.tensors())
    tensors.push_back({tensor.slot.role, tensor.slot.shape.size() < 2 ? 1 : tensor.weight.rows,
                       tensor.weight.cols, tensor.weight.bytes()});
  return footprint_of(tensors, model.output().slot.role == TensorRole::kTokenEmbedding);
}

uint64_t kv_bytes_read(const ModelConfig& config, KvFormat kv, int64_t first, int64_t tokens) {
  const uint64_t layer_bytes =
      KvCache::bytes_per_position(config, kv) / static_cast<uint64_t>(config.n_layers);
  uint64_t positions = 0;
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    const int64_t window =
        config.sliding_window.empty() ? 0 : config.sliding_window[static_cast<size_t>(layer)];
    for (int64_t t = 0; t < tokens; ++t)
      positions += static_cast<uint64_t>(window > 0 ? std::min(first + t + 1, window) : first + t + 1);
  }
  return positions * layer_bytes;
}

}  // namespace assay
