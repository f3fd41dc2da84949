#include "models/modernbert.hpp"

#include <cmath>

#include "models/encoder_reader.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"modernbert"};
constexpr std::string_view kPretraining[] = {"head.", "decoder."};

// Names and order: transformers modeling_modernbert.py.
constexpr EncoderNames kNames{
    .prefix = "model.",
    .word_embedding = "embeddings.tok_embeddings",
    .position_embedding = {},
    .type_embedding = {},
    .embedding_norm = "embeddings.norm",
    .layer = "layers.",
    .q = {},
    .k = {},
    .v = {},
    .qkv = "attn.Wqkv",
    .attn_output = "attn.Wo",
    .attn_norm = "attn_norm",
    .ffn_up = "mlp.Wi",
    .ffn_down = "mlp.Wo",
    .ffn_norm = "mlp_norm",
    .final_norm = "final_norm",
    .relative_bias = {},
    .pooler = {},
    .head_dense = "head.dense",
    .head_norm = "head.norm",
    .sequence_classifier = "classifier",
    .token_classifier = "classifier",
    .question_classifier = "classifier",
    .pretraining = kPretraining,
};

constexpr double kGlobalBase = 160000.0, kLocalBase = 10000.0;

double read_base(const ConfigFields& fields, std::string_view key, double fallback) {
  const double base = fields.number_or(key, fallback);
  if (!(base > 0.0)) fields.fail(key, "a number above 0");
  return base;
}

/// The base of one kind of layer: rope_parameters.<kind>.rope_theta, else the older key.
double read_layer_base(const ConfigFields& fields, const char* kind, std::string_view old_key,
                       double fallback) {
  const double base = read_base(fields, old_key, fallback);
  const nlohmann::json& all = fields.at("rope_parameters");
  if (all.is_null()) return base;
  const ConfigFields kinds(all, "config.json: rope_parameters");
  if (!kinds.has(kind)) return base;
  const ConfigFields rope(kinds.at(kind), kinds.where() + ": " + kind);
  if (rope.string_or("rope_type", "default") != "default") rope.fail("rope_type", "\"default\"");
  return read_base(rope, "rope_theta", base);
}

bool is_local(const ConfigFields& fields, const nlohmann::json& types, size_t layer, int64_t every) {
  if (types.is_null()) return static_cast<int64_t>(layer) % every != 0;
  if (types[layer] == "sliding_attention") return true;
  if (types[layer] != "full_attention")
    fields.fail("layer_types", "\"full_attention\" or \"sliding_attention\"");
  return false;
}

/// configuration_modernbert.py: layer_types, else a full layer every global_attn_every_n_layers. A key is
/// seen at a distance of at most local_attention / 2.
void read_layers(const ConfigFields& fields, EncoderTraits& traits) {
  if (fields.has("rope_scaling")) fields.fail("rope_scaling", "null", "ModernBERT rotates unscaled");
  const double global = read_layer_base(fields, "full_attention", "global_rope_theta", kGlobalBase);
  // modeling_modernbert.py before layer_types: a null local_rope_theta means the global one.
  const bool shares = fields.mentions("local_rope_theta") && !fields.has("local_rope_theta");
  const double local =
      read_layer_base(fields, "sliding_attention", "local_rope_theta", shares ? global : kLocalBase);
  const int64_t window =
      fields.has("local_attention") ? fields.dimension("local_attention", int64_t{1} << 30) : 128;
  const int64_t every =
      fields.has("global_attn_every_n_layers") ? fields.dimension("global_attn_every_n_layers", 1 << 20) : 3;
  if (window < 2) fields.fail("local_attention", "at least 2");
  const nlohmann::json& types = fields.at("layer_types");
  if (!types.is_null() && (!types.is_array() || types.size() != traits.layers.size()))
    fields.fail("layer_types", "one entry for each of " + std::to_string(traits.layers.size()) + " layers");
  for (size_t layer = 0; layer < traits.layers.size(); ++layer) {
    const bool is_windowed = is_local(fields, types, layer, every);
    traits.layers[layer] = {.window = is_windowed ? window : 0, .rope_base = is_windowed ? local : global};
  }
}

/// ModernBertPredictionHead stands before every classifier: dense, activation, norm.
void read_head(const ConfigFields& fields, EncoderHead& head) {
  if (head.kind == EncoderHeadKind::kNone) return;
  head.has_dense = head.has_norm = true;
  head.dense_bias = fields.boolean_or("classifier_bias", false);
  head.norm_bias = fields.boolean_or("norm_bias", false);
  head.dense_activation = read_activation(fields, "classifier_activation", "gelu");
  const std::string pooling = fields.string_or("classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean") fields.fail("classifier_pooling", "\"cls\" or \"mean\"");
  head.pools_mean = head.kind == EncoderHeadKind::kSequence && pooling == "mean";
}

ModelConfig read_config(const nlohmann::json& config) {
  EncoderKeys keys;
  keys.activation = "hidden_activation";
  keys.eps = "norm_eps";
  keys.default_eps = 1e-5;
  keys.default_pad_id = 50283;
  ModelConfig model = read_encoder_config(config, "modernbert", keys);
  const ConfigFields fields(config);
  if (model.head_dim % 2 != 0) fields.fail("hidden_size", "heads of an even size, for rope rotates pairs");
  model.max_context = fields.has("max_position_embeddings")
                          ? fields.dimension("max_position_embeddings", int64_t{1} << 26)
                          : 8192;
  EncoderTraits& traits = *model.encoder;
  traits.pre_norm = traits.first_norm_is_identity = traits.fused_qkv = traits.gated_mlp = true;
  traits.norm_bias = traits.embedding_norm_bias = fields.boolean_or("norm_bias", false);
  traits.attention_bias = fields.boolean_or("attention_bias", false);
  traits.mlp_bias = fields.boolean_or("mlp_bias", false);
  read_layers(fields, traits);
  read_head(fields, traits.head);
  return model;
}

}  // namespace

const Architecture kModernBert{
    .name = "modernbert",
    .model_types = kModelTypes,
    .gguf_name = "modern-bert",
    .read_config = read_config,
    .gguf_permutes_qk = false,
    .encoder = &kNames,
};

}  // namespace assay
