#include "engine/decoder_weights.hpp"

#include "base/error.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

const ModelTensor& require(const ModelFile& model, TensorRole role, int layer) {
  const ModelTensor* tensor = model.find(role, layer);
  ASSAY_CHECK(tensor != nullptr);  // ModelFile::open has checked that every slot is filled
  return *tensor;
}

/// A small vector (norm, bias) as f32; empty when the model has none.
std::vector<float> read_vector(const ModelFile& model, TensorRole role, int layer) {
  const ModelTensor* tensor = model.find(role, layer);
  if (tensor == nullptr) return {};
  std::vector<float> values(static_cast<size_t>(tensor->weight.cols));
  format_ops(tensor->weight.format)
      .dequantize_row(tensor->weight.format, packed_row(tensor->weight, 0), tensor->weight.cols,
                      values.data());
  return values;
}

WeightView decodable(const ModelTensor& tensor) {
  if (find_format_ops(tensor.weight.format) == nullptr)
    throw Error({"assay cannot run this weight format yet",
                 tensor.stored_name,
                 {},
                 format_name(tensor.weight.format),
                 {}});
  return tensor.weight;
}

Linear read_linear(const ModelFile& model, TensorRole role, TensorRole bias_role, int layer) {
  return {decodable(require(model, role, layer)), read_vector(model, bias_role, layer)};
}

LayerWeights gather_layer(const ModelFile& model, int layer) {
  using enum TensorRole;
  return {.attn_norm = read_vector(model, kAttnNorm, layer),
          .ffn_norm = read_vector(model, kFfnNorm, layer),
          .q_norm = read_vector(model, kAttnQNorm, layer),
          .k_norm = read_vector(model, kAttnKNorm, layer),
          .q = read_linear(model, kAttnQ, kAttnQBias, layer),
          .k = read_linear(model, kAttnK, kAttnKBias, layer),
          .v = read_linear(model, kAttnV, kAttnVBias, layer),
          .o = read_linear(model, kAttnOutput, kAttnOutputBias, layer),
          .gate = read_linear(model, kFfnGate, kFfnGateBias, layer),
          .up = read_linear(model, kFfnUp, kFfnUpBias, layer),
          .down = read_linear(model, kFfnDown, kFfnDownBias, layer)};
}

}  // namespace

DecoderWeights gather_weights(const ModelFile& model) {
  DecoderWeights weights;
  weights.token_embedding = decodable(require(model, TensorRole::kTokenEmbedding, -1));
  weights.output_norm = read_vector(model, TensorRole::kOutputNorm, -1);
  weights.output = {decodable(model.output()), {}};
  for (int layer = 0; layer < model.config().n_layers; ++layer)
    weights.layers.push_back(gather_layer(model, layer));
  return weights;
}

}  // namespace assay
