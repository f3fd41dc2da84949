#include "models/architecture.hpp"
#include "models/encoder_slots.hpp"

namespace assay {
namespace {

using Role = TensorRole;

/// Collects the slots of one model; `layer_` is -1 outside the layers.
class SlotList {
 public:
  SlotList(const Architecture& architecture, const ModelConfig& config)
      : architecture_(architecture), config_(config) {}

  std::vector<TensorSlot> build() {
    add(Role::kTokenEmbedding, "model.embed_tokens.weight", "token_embd.weight",
        {config_.vocab_size, config_.hidden_dim});
    for (layer_ = 0; layer_ < config_.n_layers; ++layer_) add_layer();
    layer_ = -1;
    add(Role::kOutputNorm, "model.norm.weight", "output_norm.weight", {config_.hidden_dim});
    if (!config_.tied_embeddings)
      add(Role::kOutput, "lm_head.weight", "output.weight", {config_.vocab_size, config_.hidden_dim});
    if (needs_rope_factors()) add(Role::kRopeFactors, "", "rope_freqs.weight", {config_.rope.dim / 2});
    return std::move(slots_);
  }

 private:
  void add_layer() {
    const int64_t hidden = config_.hidden_dim, ffn = config_.ffn_dim;
    const int64_t q = config_.n_heads * config_.head_dim, kv = config_.n_kv_heads * config_.head_dim;
    add(Role::kAttnNorm, "input_layernorm.weight", "attn_norm.weight", {hidden});
    add_linear(Role::kAttnQ, Role::kAttnQBias, "self_attn.q_proj", "attn_q", q, hidden, config_.qkv_bias);
    add_linear(Role::kAttnK, Role::kAttnKBias, "self_attn.k_proj", "attn_k", kv, hidden, config_.qkv_bias);
    add_linear(Role::kAttnV, Role::kAttnVBias, "self_attn.v_proj", "attn_v", kv, hidden, config_.qkv_bias);
    add_linear(Role::kAttnOutput, Role::kAttnOutputBias, "self_attn.o_proj", "attn_output", hidden, q,
               config_.output_bias);
    if (config_.qk_norm) {
      add(Role::kAttnQNorm, "self_attn.q_norm.weight", "attn_q_norm.weight", {config_.head_dim});
      add(Role::kAttnKNorm, "self_attn.k_norm.weight", "attn_k_norm.weight", {config_.head_dim});
    }
    add(Role::kFfnNorm, "post_attention_layernorm.weight", "ffn_norm.weight", {hidden});
    add_linear(Role::kFfnGate, Role::kFfnGateBias, "mlp.gate_proj", "ffn_gate", ffn, hidden,
               config_.mlp_bias);
    add_linear(Role::kFfnUp, Role::kFfnUpBias, "mlp.up_proj", "ffn_up", ffn, hidden, config_.mlp_bias);
    add_linear(Role::kFfnDown, Role::kFfnDownBias, "mlp.down_proj", "ffn_down", hidden, ffn,
               config_.mlp_bias);
  }

  void add_linear(Role weight, Role bias, const std::string& hf, const std::string& gguf, int64_t rows,
                  int64_t cols, bool has_bias) {
    add(weight, hf + ".weight", gguf + ".weight", {rows, cols});
    if (has_bias) add(bias, hf + ".bias", gguf + ".bias", {rows});
  }

  void add(Role role, const std::string& hf, const std::string& gguf, Shape shape) {
    const std::string number = std::to_string(layer_);
    const bool in_layer = layer_ >= 0;
    slots_.push_back({role, static_cast<int>(layer_), in_layer ? "model.layers." + number + "." + hf : hf,
                      in_layer ? "blk." + number + "." + gguf : gguf, std::move(shape),
                      count_permuted_heads(role)});
  }

  int64_t count_permuted_heads(Role role) const {
    if (!architecture_.gguf_permutes_qk) return 0;
    if (role == Role::kAttnQ || role == Role::kAttnQBias) return config_.n_heads;
    if (role == Role::kAttnK || role == Role::kAttnKBias) return config_.n_kv_heads;
    return 0;
  }

  // llama.cpp looks for the factors in its llama graph alone.
  bool needs_rope_factors() const {
    using Scaling = RopeConfig::Scaling;
    return architecture_.gguf_permutes_qk &&
           (config_.rope.scaling == Scaling::kLlama3 || config_.rope.scaling == Scaling::kFactors);
  }

  const Architecture& architecture_;
  const ModelConfig& config_;
  int64_t layer_ = -1;
  std::vector<TensorSlot> slots_;
};

}  // namespace

std::vector<TensorSlot> tensor_slots(const Architecture& architecture, const ModelConfig& config) {
  return architecture.encoder != nullptr ? encoder_slots(architecture, config)
                                         : SlotList(architecture, config).build();
}

std::string_view role_name(TensorRole role) noexcept {
  switch (role) {
    case Role::kTokenEmbedding:
      return "token_embedding";
    case Role::kOutputNorm:
      return "output_norm";
    case Role::kOutput:
      return "output";
    case Role::kAttnNorm:
      return "attn_norm";
    case Role::kAttnQ:
      return "attn_q";
    case Role::kAttnK:
      return "attn_k";
    case Role::kAttnV:
      return "attn_v";
    case Role::kAttnOutput:
      return "attn_output";
    case Role::kAttnQBias:
      return "attn_q_bias";
    case Role::kAttnKBias:
      return "attn_k_bias";
    case Role::kAttnVBias:
      return "attn_v_bias";
    case Role::kAttnOutputBias:
      return "attn_output_bias";
    case Role::kAttnQNorm:
      return "attn_q_norm";
    case Role::kAttnKNorm:
      return "attn_k_norm";
    case Role::kFfnNorm:
      return "ffn_norm";
    case Role::kFfnGate:
      return "ffn_gate";
    case Role::kFfnUp:
      return "ffn_up";
    case Role::kFfnDown:
      return "ffn_down";
    case Role::kFfnGateBias:
      return "ffn_gate_bias";
    case Role::kFfnUpBias:
      return "ffn_up_bias";
    case Role::kFfnDownBias:
      return "ffn_down_bias";
    case Role::kRopeFactors:
      return "rope_factors";
    case Role::kPositionEmbedding:
      return "position_embedding";
    case Role::kTypeEmbedding:
      return "type_embedding";
    case Role::kEmbeddingNorm:
      return "embedding_norm";
    case Role::kEmbeddingNormBias:
      return "embedding_norm_bias";
    case Role::kAttnQkv:
      return "attn_qkv";
    case Role::kAttnQkvBias:
      return "attn_qkv_bias";
    case Role::kAttnNormBias:
      return "attn_norm_bias";
    case Role::kFfnNormBias:
      return "ffn_norm_bias";
    case Role::kOutputNormBias:
      return "output_norm_bias";
    case Role::kRelativeBias:
      return "relative_bias";
    case Role::kPooler:
      return "pooler";
    case Role::kPoolerBias:
      return "pooler_bias";
    case Role::kHeadDense:
      return "head_dense";
    case Role::kHeadDenseBias:
      return "head_dense_bias";
    case Role::kHeadNorm:
      return "head_norm";
    case Role::kHeadNormBias:
      return "head_norm_bias";
    case Role::kClassifier:
      return "classifier";
    case Role::kClassifierBias:
      return "classifier_bias";
  }
  return "unknown";
}

}  // namespace assay
