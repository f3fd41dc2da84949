#include "models/distilbert.hpp"

#include "models/encoder_reader.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"distilbert"};
constexpr std::string_view kPretraining[] = {"vocab_transform.", "vocab_layer_norm.", "vocab_projector."};

// Names and order: transformers modeling_distilbert.py.
constexpr EncoderNames kNames{
    .prefix = "distilbert.",
    .word_embedding = "embeddings.word_embeddings",
    .position_embedding = "embeddings.position_embeddings",
    .type_embedding = {},
    .embedding_norm = "embeddings.LayerNorm",
    .layer = "transformer.layer.",
    .q = "attention.q_lin",
    .k = "attention.k_lin",
    .v = "attention.v_lin",
    .qkv = {},
    .attn_output = "attention.out_lin",
    .attn_norm = "sa_layer_norm",
    .ffn_up = "ffn.lin1",
    .ffn_down = "ffn.lin2",
    .ffn_norm = "output_layer_norm",
    .final_norm = {},
    .relative_bias = {},
    .pooler = {},
    .head_dense = "pre_classifier",
    .head_norm = {},
    .sequence_classifier = "classifier",
    .token_classifier = "classifier",
    .question_classifier = "qa_outputs",
    .pretraining = kPretraining,
};

/// Its own key, or the alias that configuration_distilbert.py (attribute_map) reads in its place.
std::string_view key_or_alias(const ConfigFields& fields, std::string_view key, std::string_view alias) {
  return fields.has(key) || !fields.has(alias) ? key : alias;
}

// Every norm has the fixed eps 1e-12; sinusoidal position tables are stored like learned ones.
ModelConfig read_config(const nlohmann::json& config) {
  const ConfigFields fields(config);
  EncoderKeys keys;
  keys.layers = key_or_alias(fields, "n_layers", "num_hidden_layers");
  keys.hidden = key_or_alias(fields, "dim", "hidden_size");
  keys.heads = key_or_alias(fields, "n_heads", "num_attention_heads");
  keys.ffn = "hidden_dim";
  keys.activation = "activation";
  ModelConfig model = read_encoder_config(config, "distilbert", keys);
  model.norm_eps = 1e-12;
  read_position_table(fields, 0, model);
  EncoderHead& head = model.encoder->head;
  if (head.kind == EncoderHeadKind::kSequence) {
    head.has_dense = true;
    head.dense_activation = Activation::kRelu;
  }
  return model;
}

}  // namespace

const Architecture kDistilBert{
    .name = "distilbert",
    .model_types = kModelTypes,
    .gguf_name = "bert",
    .read_config = read_config,
    .gguf_permutes_qk = false,
    .encoder = &kNames,
};

}  // namespace assay
