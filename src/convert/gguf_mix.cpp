#include "convert/gguf_mix.hpp"

#include <tuple>

namespace assay {
namespace {

using Kind = WeightKind;
using Role = TensorRole;

bool rule_applies(LayerRule rule, int layer, int n_layers) {
  switch (rule) {
    case LayerRule::kNone:
      return false;
    case LayerRule::kMoreBits:
      return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
    case LayerRule::kFirstEighth:
      return layer < n_layers / 8;
    case LayerRule::kFirstFour:
      return layer < 4;
  }
  return false;
}

/// llama.cpp calls these 70B and gives attn_v, which 8 heads share there, more bits.
bool is_70b(const ModelConfig& config) {
  if (config.n_layers != 80) return false;
  return config.architecture == "qwen2" ||
         (config.architecture != "qwen3" && config.n_heads != config.n_kv_heads);
}

std::string name_of(Kind kind) {
  return format_name(ggml_format(kind));
}

int block_of(Kind kind) {
  return block_length(ggml_format(kind));
}

GgufChoice choose_by_role(const GgufMix& mix, const TensorSlot& slot, const ModelConfig& config) {
  const int n_layers = static_cast<int>(config.n_layers);
  if (slot.role == Role::kOutput) return {mix.output, "output head"};
  if (slot.role == Role::kTokenEmbedding && config.tied_embeddings)
    return {mix.output, "embedding is the output head too"};
  // llama-quantize takes every model without output.weight for one with tied embeddings.
  if (slot.role == Role::kTokenEmbedding && config.encoder)
    return {mix.output, "llama.cpp gives an embedding without output head the head's format"};
  if (slot.role == Role::kAttnV) {
    GgufChoice choice{mix.base, {}};
    if (rule_applies(mix.attn_v.rule, slot.layer, n_layers))
      choice = {mix.attn_v.kind, "attn_v of this layer gets more bits"};
    if (is_70b(config) && choice.kind == Kind::kQ4_K)
      choice = {Kind::kQ5_K, "attn_v of a 70B model gets more bits"};
    return choice;
  }
  if (slot.role == Role::kFfnDown && rule_applies(mix.ffn_down.rule, slot.layer, n_layers))
    return {mix.ffn_down.kind, "ffn_down of this layer gets more bits"};
  return {mix.base, {}};
}

/// The kind llama.cpp takes when a row is no whole number of blocks.
Kind fall_back(Kind kind) {
  switch (kind) {
    case Kind::kQ4_K:
      return Kind::kQ5_0;
    case Kind::kQ5_K:
      return Kind::kQ5_1;
    case Kind::kQ6_K:
      return Kind::kQ8_0;
    default:
      return kind;
  }
}

}  // namespace

GgufChoice choose_gguf_kind(const GgufMix& mix, const TensorSlot& slot, const ModelConfig& config) {
  if (slot.shape.size() < 2 || !slot.gguf_name.ends_with(".weight"))
    return {Kind::kF32, mix.base == Kind::kF32 ? "" : "norms, biases and factors stay F32"};
  if (slot.role == Role::kPositionEmbedding || slot.role == Role::kTypeEmbedding)
    return {Kind::kF32, mix.base == Kind::kF32 ? "" : "llama.cpp keeps position and type tables F32"};
  // ggml drops the dimension of a single row, and keeps what then has one dimension.
  if (config.encoder && slot.shape[0] == 1)
    return {Kind::kF32, mix.base == Kind::kF32 ? "" : "a single row stays F32"};
  if (!is_quantized(ggml_format(mix.base))) return {mix.base, {}};
  GgufChoice choice = choose_by_role(mix, slot, config);
  if (choice.kind == mix.base) choice.reason.clear();
  const int64_t cols = slot.shape.back();
  if (cols % block_of(choice.kind) == 0) return choice;
  const std::string why = std::to_string(cols) + " columns are no multiple of " +
                          std::to_string(block_of(choice.kind)) + ", which " + name_of(choice.kind) +
                          " needs";
  choice.kind = fall_back(choice.kind);
  if (cols % block_of(choice.kind) != 0) choice.kind = Kind::kF16;
  choice.reason = why;
  return choice;
}

bool gguf_name_less(const TensorSlot& a, const TensorSlot& b) noexcept {
  return std::tie(a.layer, a.gguf_name) < std::tie(b.layer, b.gguf_name);
}

}  // namespace assay
