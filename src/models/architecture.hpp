#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "io/gguf.hpp"
#include "models/encoder_names.hpp"
#include "models/model_config.hpp"
#include "tensor/tensor_view.hpp"

namespace assay {

/// What a tensor does in the model. Recipes choose formats by role; the engine fetches weights by role.
enum class TensorRole : uint8_t {
  kTokenEmbedding,
  kOutputNorm,
  kOutput,
  kAttnNorm,
  kAttnQ,
  kAttnK,
  kAttnV,
  kAttnOutput,
  kAttnQBias,
  kAttnKBias,
  kAttnVBias,
  kAttnOutputBias,
  kAttnQNorm,
  kAttnKNorm,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnDown,
  kFfnGateBias,
  kFfnUpBias,
  kFfnDownBias,
  kRopeFactors,
  // Encoders alone.
  kPositionEmbedding,
  kTypeEmbedding,
  kEmbeddingNorm,
  kEmbeddingNormBias,
  kAttnQkv,
  kAttnQkvBias,
  kAttnNormBias,
  kFfnNormBias,
  kOutputNormBias,
  kRelativeBias,
  kPooler,
  kPoolerBias,
  kHeadDense,
  kHeadDenseBias,
  kHeadNorm,
  kHeadNormBias,
  kClassifier,
  kClassifierBias,
};

/// "attn_q", for messages and manifests.
std::string_view role_name(TensorRole role) noexcept;

/// One tensor the architecture expects, under the names of both worlds.
struct TensorSlot {
  TensorRole role;
  int layer = -1;         ///< -1 outside the layers
  std::string hf_name;    ///< "model.layers.0.self_attn.q_proj.weight"; empty when it exists in GGUF only
  std::string gguf_name;  ///< "blk.0.attn_q.weight"
  Shape shape;            ///< as in the checkpoint: [rows, cols] or [n]
  /// Heads whose rows llama.cpp stores interleaved (llama-architecture q and k); 0 where rows keep their
  /// order.
  int64_t permuted_heads = 0;
};

/// An architecture: how to read its configuration and which tensors it has. One file each in models/.
struct Architecture {
  std::string_view name;                          ///< registry name
  std::span<const std::string_view> model_types;  ///< config.json "model_type" values it answers to
  std::string_view gguf_name;                     ///< general.architecture; empty where llama.cpp has none
  /// Throws Error naming the key when config.json lacks it or contradicts itself.
  ModelConfig (*read_config)(const nlohmann::json& config);
  /// True when llama.cpp runs this architecture with interleaved rope, so q and k rows are permuted in GGUF.
  bool gguf_permutes_qk;
  /// How an encoder's modules are called; null for decoders, which share one set of names.
  const EncoderNames* encoder = nullptr;
};

/// Every architecture, in a list a reader can see (registry.cpp).
std::span<const Architecture> architectures() noexcept;
/// Throws Error listing what is supported when no architecture answers.
const Architecture& find_architecture(const nlohmann::json& config);
const Architecture& find_gguf_architecture(std::string_view gguf_name);
const Architecture& architecture_named(std::string_view name);

/// Every tensor of the model in checkpoint order: embedding, layers, norm, head (absent when tied). All
/// decoders share one set of names; encoders are told by Architecture::encoder. Flags of `config` switch
/// biases, norms, poolers and heads.
///
/// Roles of encoders: kAttnNorm and kFfnNorm are a layer's norms, behind attention and feed-forward or before
/// them (EncoderTraits::pre_norm); kFfnUp is [ffn, hidden], and [2 ffn, hidden] where gated_mlp; kOutputNorm
/// is the norm after the last layer; kAttnQkv is [3 hidden, hidden].
std::vector<TensorSlot> tensor_slots(const Architecture& architecture, const ModelConfig& config);

/// Reads a directory's config.json (and generation config when not null).
ModelConfig read_model_config(const nlohmann::json& config, const nlohmann::json& generation_config);
/// Reads the {arch}.* keys of a GGUF file; names follow llama.cpp.
ModelConfig read_gguf_config(const GgufMetadata& metadata);
/// The {arch}.* keys llama.cpp needs to load the model, in its converter's order.
void write_gguf_config(const ModelConfig& config, GgufMetadata& metadata);

/// dim/2 divisors of the base frequencies that llama.cpp expects as rope_freqs.weight for llama3 scaling.
std::vector<float> llama3_rope_factors(const RopeConfig& rope);

}  // namespace assay
