#include "engine/encoder_weights.hpp"

#include <algorithm>
#include <functional>
#include <string>

#include "base/error.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

/// Fetches and packs the weights of one model. Matrices are noted first and packed together at the end, so
/// that all threads have work.
class Gatherer {
 public:
  Gatherer(const ModelFile& model, Compute compute, const EncoderKernels& kernels)
      : model_(model), compute_(compute), kernels_(kernels) {}

  const ModelTensor& require(TensorRole role, int layer) const {
    const ModelTensor* tensor = model_.find(role, layer);
    if (tensor == nullptr)
      throw Error({"a weight of the encoder is missing",
                   model_.path().string(),
                   std::string(role_name(role)) + (layer < 0 ? "" : " of layer " + std::to_string(layer)),
                   "no such tensor",
                   {}});
    format_ops(tensor->weight.format);  // throws here, naming the format, rather than inside a loop
    return *tensor;
  }

  /// All values of a small tensor; empty when the model has none.
  std::vector<float> read_values(TensorRole role, int layer) const {
    const ModelTensor* tensor = model_.find(role, layer);
    return tensor == nullptr ? std::vector<float>() : decode_rows(tensor->weight);
  }

  NormWeights read_norm(TensorRole weight, TensorRole bias, int layer) const {
    return {read_values(weight, layer), read_values(bias, layer)};
  }

  /// One matrix, or a range of its rows.
  void pack(PackedLinear& out, TensorRole role, TensorRole bias_role, int layer, int64_t begin = 0,
            int64_t end = -1) {
    const ModelTensor& tensor = require(role, layer);
    if (end < 0) end = tensor.weight.rows;
    std::vector<float> bias = read_values(bias_role, layer);
    if (!bias.empty()) bias = std::vector<float>(bias.begin() + begin, bias.begin() + end);
    note(out, {slice_rows(tensor.weight, begin, end)}, std::move(bias), {&tensor});
  }

  void pack_qkv(PackedLinear& out, bool fused, int layer) {
    using enum TensorRole;
    if (fused) return pack(out, kAttnQkv, kAttnQkvBias, layer);
    std::vector<WeightView> parts;
    std::vector<const ModelTensor*> tensors;
    std::vector<float> bias;
    bool any_bias = false;
    const std::pair<TensorRole, TensorRole> roles[] = {
        {kAttnQ, kAttnQBias}, {kAttnK, kAttnKBias}, {kAttnV, kAttnVBias}};
    for (const auto& [role, bias_role] : roles) {
      const ModelTensor& tensor = require(role, layer);
      parts.push_back(tensor.weight);
      tensors.push_back(&tensor);
      std::vector<float> part = read_values(bias_role, layer);
      any_bias = any_bias || !part.empty();
      part.resize(static_cast<size_t>(tensor.weight.rows));
      bias.insert(bias.end(), part.begin(), part.end());
    }
    if (!any_bias) bias.clear();
    note(out, std::move(parts), std::move(bias), std::move(tensors));
  }

  void pack_noted(ThreadPool& pool) {
    pool.run(static_cast<int64_t>(jobs_.size()), [&](int64_t i) { jobs_[static_cast<size_t>(i)](); });
    jobs_.clear();
  }

 private:
  void note(PackedLinear& out, std::vector<WeightView> parts, std::vector<float> bias,
            std::vector<const ModelTensor*> tensors) {
    jobs_.push_back(
        [this, &out, parts = std::move(parts), bias = std::move(bias), tensors = std::move(tensors)] {
          out = pack_linear(parts, bias, compute_, kernels_);
          for (const ModelTensor* tensor : tensors) model_.release(*tensor);
        });
  }

  const ModelFile& model_;
  Compute compute_;
  const EncoderKernels& kernels_;
  std::vector<std::function<void()>> jobs_;
};

void gather_layer(Gatherer& gatherer, const ModelConfig& config, int layer, EncoderLayerWeights& out) {
  using enum TensorRole;
  const EncoderTraits& traits = *config.encoder;
  out.attn_norm = gatherer.read_norm(kAttnNorm, kAttnNormBias, layer);
  out.ffn_norm = gatherer.read_norm(kFfnNorm, kFfnNormBias, layer);
  gatherer.pack_qkv(out.qkv, traits.fused_qkv, layer);
  gatherer.pack(out.output, kAttnOutput, kAttnOutputBias, layer);
  if (traits.gated_mlp) {
    gatherer.pack(out.gate, kFfnUp, kFfnUpBias, layer, 0, config.ffn_dim);
    gatherer.pack(out.up, kFfnUp, kFfnUpBias, layer, config.ffn_dim, 2 * config.ffn_dim);
  } else {
    gatherer.pack(out.up, kFfnUp, kFfnUpBias, layer);
  }
  gatherer.pack(out.down, kFfnDown, kFfnDownBias, layer);
}

void gather_head(Gatherer& gatherer, const EncoderHead& head, EncoderHeadWeights& out) {
  using enum TensorRole;
  if (head.has_pooler) gatherer.pack(out.pooler, kPooler, kPoolerBias, -1);
  if (head.has_dense) gatherer.pack(out.dense, kHeadDense, kHeadDenseBias, -1);
  if (head.has_norm) out.norm = gatherer.read_norm(kHeadNorm, kHeadNormBias, -1);
  if (head.kind != EncoderHeadKind::kNone) gatherer.pack(out.classifier, kClassifier, kClassifierBias, -1);
}

uint64_t norm_bytes(const NormWeights& norm) {
  return sizeof(float) * (norm.weight.size() + norm.bias.size());
}

}  // namespace

uint64_t EncoderWeights::bytes() const noexcept {
  uint64_t total = word.bytes() + position.bytes() + sizeof(float) * (types.size() + relative.size());
  total += norm_bytes(embedding_norm) + norm_bytes(final_norm) + norm_bytes(head.norm);
  total += head.pooler.bytes() + head.dense.bytes() + head.classifier.bytes();
  for (const EncoderLayerWeights& layer : layers) {
    total += norm_bytes(layer.attn_norm) + norm_bytes(layer.ffn_norm);
    for (const PackedLinear* linear : {&layer.qkv, &layer.output, &layer.gate, &layer.up, &layer.down})
      total += linear->bytes();
  }
  return total;
}

EncoderWeights gather_encoder_weights(const ModelFile& model, Compute compute, const EncoderKernels& kernels,
                                      ThreadPool& pool) {
  using enum TensorRole;
  const ModelConfig& config = model.config();
  const EncoderTraits& traits = *config.encoder;
  Gatherer gatherer(model, compute, kernels);
  EncoderWeights weights;
  weights.word = gatherer.require(kTokenEmbedding, -1).weight;
  if (traits.position_rows > 0) weights.position = gatherer.require(kPositionEmbedding, -1).weight;
  weights.types = gatherer.read_values(kTypeEmbedding, -1);
  weights.embedding_norm = gatherer.read_norm(kEmbeddingNorm, kEmbeddingNormBias, -1);
  weights.final_norm = gatherer.read_norm(kOutputNorm, kOutputNormBias, -1);
  weights.relative = gatherer.read_values(kRelativeBias, -1);
  weights.layers.resize(static_cast<size_t>(config.n_layers));  // in place: jobs point into it
  for (int layer = 0; layer < config.n_layers; ++layer)
    gather_layer(gatherer, config, layer, weights.layers[static_cast<size_t>(layer)]);
  gather_head(gatherer, traits.head, weights.head);
  gatherer.pack_noted(pool);
  return weights;
}

}  // namespace assay
