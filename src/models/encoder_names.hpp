#pragma once
#include <span>
#include <string_view>

namespace assay {

/// How a family of encoders names its modules; empty where it has no such module. A weight is
/// prefix + module + ".weight", within a layer prefix + layer + N + "." + module + ".weight". Modules of
/// heads never carry the prefix.
struct EncoderNames {
  std::string_view prefix;  ///< of the base model inside a model with a head: "bert."; may be absent
  std::string_view word_embedding, position_embedding, type_embedding, embedding_norm;
  std::string_view layer;  ///< "encoder.layer."
  // Within a layer.
  std::string_view q, k, v, qkv, attn_output, attn_norm, ffn_up, ffn_down, ffn_norm;
  // After the layers.
  std::string_view final_norm, relative_bias, pooler;
  // Heads.
  std::string_view head_dense, head_norm, sequence_classifier, token_classifier, question_classifier;
  /// Beginnings of the names of heads that serve pretraining alone, which no task here runs.
  std::span<const std::string_view> pretraining;
};

}  // namespace assay
