#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "models/config_fields.hpp"
#include "models/model_config.hpp"

namespace assay {

/// What a family calls its numbers in config.json, and what its configuration class assumes for absent ones.
struct EncoderKeys {
  std::string_view layers = "num_hidden_layers", hidden = "hidden_size", heads = "num_attention_heads",
                   ffn = "intermediate_size", activation = "hidden_act", eps = "layer_norm_eps";
  double default_eps = 1e-12;
  int64_t default_pad_id = 0;
};

/// Layers, widths, heads, vocabulary, norm_eps, activation and pad id; full attention without rope in every
/// layer. Leaves max_context and the tables to the family. Throws Error naming the key that is missing, out
/// of bounds or contradicts another, and for a position_embedding_type that is not "absolute".
ModelConfig read_encoder_config(const nlohmann::json& config, std::string_view architecture,
                                const EncoderKeys& keys);

/// Rows of the position table from max_position_embeddings; texts start at row `offset`, which leaves
/// max_context = rows - offset.
void read_position_table(const ConfigFields& fields, int64_t offset, ModelConfig& model);

/// Which head config.json announces in `architectures`, its labels and its problem. Throws Error for a head
/// that nothing here runs (multiple choice) and for labels that are not numbered from 0.
EncoderHead read_encoder_head(const nlohmann::json& config);

/// activation_from_config() of a key, with the key named in the Error.
Activation read_activation(const ConfigFields& fields, std::string_view key, std::string_view fallback);

}  // namespace assay
