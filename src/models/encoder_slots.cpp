#include "models/encoder_slots.hpp"

#include "base/error.hpp"

namespace assay {
namespace {

using Role = TensorRole;

/// Collects the slots of one encoder; `layer_` is -1 outside the layers.
class EncoderSlotList {
 public:
  EncoderSlotList(const Architecture& architecture, const ModelConfig& config)
      : names_(*architecture.encoder),
        has_gguf_(!architecture.gguf_name.empty()),
        config_(config),
        traits_(*config.encoder) {}

  std::vector<TensorSlot> build() {
    const int64_t hidden = config_.hidden_dim;
    add(Role::kTokenEmbedding, names_.word_embedding, "token_embd.weight", {config_.vocab_size, hidden});
    if (traits_.position_rows > 0)
      add(Role::kPositionEmbedding, names_.position_embedding, "position_embd.weight",
          {traits_.position_rows, hidden});
    if (traits_.type_rows > 0)
      add(Role::kTypeEmbedding, names_.type_embedding, "token_types.weight", {traits_.type_rows, hidden});
    add_norm(Role::kEmbeddingNorm, Role::kEmbeddingNormBias, names_.embedding_norm, "token_embd_norm",
             traits_.embedding_norm_bias);
    for (layer_ = 0; layer_ < config_.n_layers; ++layer_) add_layer();
    layer_ = -1;
    if (!names_.final_norm.empty())
      add_norm(Role::kOutputNorm, Role::kOutputNormBias, names_.final_norm, "output_norm", traits_.norm_bias);
    if (traits_.relative_buckets > 0)
      add(Role::kRelativeBias, names_.relative_bias, "", {traits_.relative_buckets, config_.n_heads});
    // llama.cpp's `cls` is a dense layer and tanh on the first row, before the classifier: BERT's pooler.
    if (traits_.head.has_pooler)
      add_linear(Role::kPooler, Role::kPoolerBias, names_.pooler, "cls", hidden, hidden, true);
    add_head();
    return std::move(slots_);
  }

 private:
  void add_layer() {
    if (traits_.pre_norm && !(layer_ == 0 && traits_.first_norm_is_identity)) add_attention_norm();
    const int64_t hidden = config_.hidden_dim, ffn = config_.ffn_dim;
    const bool has_bias = traits_.attention_bias;
    if (traits_.fused_qkv) {
      add_linear(Role::kAttnQkv, Role::kAttnQkvBias, names_.qkv, "attn_qkv", 3 * hidden, hidden, has_bias);
    } else {
      add_linear(Role::kAttnQ, Role::kAttnQBias, names_.q, "attn_q", hidden, hidden, has_bias);
      add_linear(Role::kAttnK, Role::kAttnKBias, names_.k, "attn_k", hidden, hidden, has_bias);
      add_linear(Role::kAttnV, Role::kAttnVBias, names_.v, "attn_v", hidden, hidden, has_bias);
    }
    add_linear(Role::kAttnOutput, Role::kAttnOutputBias, names_.attn_output, "attn_output", hidden, hidden,
               has_bias);
    if (!traits_.pre_norm) add_attention_norm();
    if (traits_.pre_norm) add_ffn_norm();
    add_linear(Role::kFfnUp, Role::kFfnUpBias, names_.ffn_up, "ffn_up", traits_.gated_mlp ? 2 * ffn : ffn,
               hidden, traits_.mlp_bias);
    add_linear(Role::kFfnDown, Role::kFfnDownBias, names_.ffn_down, "ffn_down", hidden, ffn,
               traits_.mlp_bias);
    if (!traits_.pre_norm) add_ffn_norm();
  }

  void add_attention_norm() {
    add_norm(Role::kAttnNorm, Role::kAttnNormBias, names_.attn_norm,
             traits_.pre_norm ? "attn_norm" : "attn_output_norm", traits_.norm_bias);
  }

  void add_ffn_norm() {
    add_norm(Role::kFfnNorm, Role::kFfnNormBias, names_.ffn_norm,
             traits_.pre_norm ? "ffn_norm" : "layer_output_norm", traits_.norm_bias);
  }

  void add_head() {
    const EncoderHead& head = traits_.head;
    if (head.kind == EncoderHeadKind::kNone) return;
    const int64_t hidden = config_.hidden_dim;
    // llama.cpp ranks and classifies texts, but has no heads for tokens.
    const bool of_text = head.kind == EncoderHeadKind::kSequence;
    if (head.has_dense)
      add_linear(Role::kHeadDense, Role::kHeadDenseBias, names_.head_dense, of_text ? "cls" : "", hidden,
                 hidden, head.dense_bias);
    if (head.has_norm)
      add_norm(Role::kHeadNorm, Role::kHeadNormBias, names_.head_norm, of_text ? "cls.norm" : "",
               head.norm_bias);
    add_linear(Role::kClassifier, Role::kClassifierBias, classifier_module(names_, head),
               of_text ? "cls.output" : "", static_cast<int64_t>(head.labels.size()), hidden,
               head.classifier_bias);
  }

  void add_linear(Role weight, Role bias, std::string_view module, const std::string& gguf, int64_t rows,
                  int64_t cols, bool has_bias) {
    add(weight, module, gguf.empty() ? gguf : gguf + ".weight", {rows, cols});
    if (has_bias) push(bias, std::string(module) + ".bias", gguf.empty() ? gguf : gguf + ".bias", {rows});
  }

  void add_norm(Role weight, Role bias, std::string_view module, const std::string& gguf, bool has_bias) {
    const bool old = traits_.old_norm_names;
    const std::string path(module);
    push(weight, path + (old ? ".gamma" : ".weight"), gguf.empty() ? gguf : gguf + ".weight",
         {config_.hidden_dim});
    if (has_bias)
      push(bias, path + (old ? ".beta" : ".bias"), gguf.empty() ? gguf : gguf + ".bias",
           {config_.hidden_dim});
  }

  void add(Role role, std::string_view module, const std::string& gguf, Shape shape) {
    push(role, std::string(module) + ".weight", gguf, std::move(shape));
  }

  void push(Role role, const std::string& name, const std::string& gguf, Shape shape) {
    ASSAY_CHECK(!name.starts_with('.'));
    const std::string number = std::to_string(layer_);
    const bool of_head = role >= Role::kHeadDense && role <= Role::kClassifierBias;
    std::string hf_name = of_head ? name : traits_.name_prefix + name;
    std::string gguf_name = has_gguf_ ? gguf : "";
    if (layer_ >= 0) {
      hf_name = traits_.name_prefix + std::string(names_.layer) + number + "." + name;
      if (!gguf_name.empty()) gguf_name = "blk." + number + "." + gguf_name;
    }
    slots_.push_back(
        {role, static_cast<int>(layer_), std::move(hf_name), std::move(gguf_name), std::move(shape), 0});
  }

  const EncoderNames& names_;
  const bool has_gguf_;
  const ModelConfig& config_;
  const EncoderTraits& traits_;
  int64_t layer_ = -1;
  std::vector<TensorSlot> slots_;
};

}  // namespace

std::string_view classifier_module(const EncoderNames& names, const EncoderHead& head) noexcept {
  if (head.kind == EncoderHeadKind::kNone) return {};
  if (head.kind == EncoderHeadKind::kSequence) return names.sequence_classifier;
  return head.answers_questions ? names.question_classifier : names.token_classifier;
}

std::vector<TensorSlot> encoder_slots(const Architecture& architecture, const ModelConfig& config) {
  ASSAY_CHECK(architecture.encoder != nullptr && config.encoder.has_value());
  return EncoderSlotList(architecture, config).build();
}

}  // namespace assay
