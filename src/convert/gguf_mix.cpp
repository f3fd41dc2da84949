#include "convert/gguf_mix.hpp"

#include <tuple>

namespace assay {
namespace {

using Kind = WeightKind;
using Role = TensorRole;

/// What a mix's rules depend on besides role and kind.
struct RuleInput {
  int layer, n_layers;
  bool is_shared, has_imatrix;
};

bool rule_applies(KindRule rule, const RuleInput& in) {
  const int layer = in.layer, eighth = in.n_layers / 8;
  switch (rule) {
    case KindRule::kAlways:
      return true;
    case KindRule::kMoreBits:
      return layer < eighth || layer >= 7 * in.n_layers / 8 || (layer - eighth) % 3 == 2;
    case KindRule::kFirstEighth:
      return layer < eighth;
    case KindRule::kFirstSixteenth:
      return layer < in.n_layers / 16;
    case KindRule::kFirstFour:
      return layer < 4;
    case KindRule::kFirstTwo:
      return layer < 2;
    case KindRule::kShared:
      return in.is_shared;
    case KindRule::kFirstEighthPlain:
      return !in.has_imatrix && layer < eighth;
    case KindRule::kFirstEighthWeighted:
      return in.has_imatrix && layer < eighth;
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

GgufChoice choose_by_role(const GgufMix& mix, const TensorSlot& slot, const ModelConfig& config,
                          bool has_imatrix) {
  if (slot.role == Role::kOutput) return {mix.output, "output head"};
  if (slot.role == Role::kTokenEmbedding && config.tied_embeddings)
    return {mix.output, "embedding is the output head too"};
  // llama-quantize takes every model without output.weight for one with tied embeddings.
  if (slot.role == Role::kTokenEmbedding && config.encoder)
    return {mix.output, "llama.cpp gives an embedding without output head the head's format"};
  const RuleInput input{slot.layer, static_cast<int>(config.n_layers),
                        config.n_kv_heads > 0 && config.n_heads / config.n_kv_heads >= 4, has_imatrix};
  GgufChoice choice{mix.base, {}};
  for (const std::optional<RoleKind>& role : mix.roles) {
    if (!role || role->role != slot.role || !rule_applies(role->rule, input)) continue;
    choice = {role->kind, std::string(role_name(slot.role)) +
                              (role->rule == KindRule::kAlways   ? " gets another format in this mix"
                               : role->rule == KindRule::kShared ? " of several query heads gets more bits"
                                                                 : " of this layer gets more bits")};
    break;
  }
  if (slot.role == Role::kAttnV && is_70b(config) &&
      (choice.kind == Kind::kQ3_K || choice.kind == Kind::kQ4_K))
    choice = {Kind::kQ5_K, "attn_v of a 70B model gets more bits"};
  return choice;
}

/// The kind llama.cpp takes when a row is no whole number of blocks.
Kind fall_back(Kind kind) {
  switch (kind) {
    case Kind::kIQ4_XS:
      return Kind::kIQ4_NL;
    case Kind::kQ2_K:
    case Kind::kQ3_K:
    case Kind::kTQ1_0:
    case Kind::kTQ2_0:
      return Kind::kQ4_0;
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

GgufChoice fit_to_row(GgufChoice choice, int64_t cols) {
  if (cols % block_of(choice.kind) == 0) return choice;
  choice.reason = std::to_string(cols) + " columns are no multiple of " +
                  std::to_string(block_of(choice.kind)) + ", which " + name_of(choice.kind) + " needs";
  choice.kind = fall_back(choice.kind);
  if (cols % block_of(choice.kind) != 0) choice.kind = Kind::kF16;
  return choice;
}

GgufChoice choose_gguf_kind(const GgufMix& mix, const TensorSlot& slot, const ModelConfig& config,
                            bool has_imatrix) {
  if (slot.shape.size() < 2 || !slot.gguf_name.ends_with(".weight"))
    return {Kind::kF32, mix.base == Kind::kF32 ? "" : "norms, biases and factors stay F32"};
  if (slot.role == Role::kPositionEmbedding || slot.role == Role::kTypeEmbedding)
    return {Kind::kF32, mix.base == Kind::kF32 ? "" : "llama.cpp keeps position and type tables F32"};
  // ggml drops the dimension of a single row, and keeps what then has one dimension.
  if (config.encoder && slot.shape[0] == 1)
    return {Kind::kF32, mix.base == Kind::kF32 ? "" : "a single row stays F32"};
  if (!is_quantized(ggml_format(mix.base))) return {mix.base, {}};
  GgufChoice choice = choose_by_role(mix, slot, config, has_imatrix);
  if (choice.kind == mix.base) choice.reason.clear();
  return fit_to_row(std::move(choice), slot.shape.back());
}

bool gguf_name_less(const TensorSlot& a, const TensorSlot& b) noexcept {
  return std::tie(a.layer, a.gguf_name) < std::tie(b.layer, b.gguf_name);
}

}  // namespace assay
