#include "models/bert.hpp"

#include "models/encoder_reader.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"bert"};
constexpr std::string_view kPretraining[] = {"cls."};

// Names and order: transformers modeling_bert.py.
constexpr EncoderNames kNames{
    .prefix = "bert.",
    .word_embedding = "embeddings.word_embeddings",
    .position_embedding = "embeddings.position_embeddings",
    .type_embedding = "embeddings.token_type_embeddings",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer.",
    .q = "attention.self.query",
    .k = "attention.self.key",
    .v = "attention.self.value",
    .qkv = {},
    .attn_output = "attention.output.dense",
    .attn_norm = "attention.output.LayerNorm",
    .ffn_up = "intermediate.dense",
    .ffn_down = "output.dense",
    .ffn_norm = "output.LayerNorm",
    .final_norm = {},
    .relative_bias = {},
    .pooler = "pooler.dense",
    .head_dense = {},
    .head_norm = {},
    .sequence_classifier = "classifier",
    .token_classifier = "classifier",
    .question_classifier = "qa_outputs",
    .pretraining = kPretraining,
};

// transformers configuration_bert.py. A sequence classifier stands on the pooler: dense and tanh of [CLS].
ModelConfig read_config(const nlohmann::json& config) {
  ModelConfig model = read_encoder_config(config, "bert", {});
  const ConfigFields fields(config);
  read_position_table(fields, 0, model);
  EncoderTraits& traits = *model.encoder;
  traits.type_rows = fields.has("type_vocab_size") ? fields.dimension("type_vocab_size", 1 << 20) : 2;
  traits.head.has_pooler = traits.head.kind != EncoderHeadKind::kToken;
  return model;
}

}  // namespace

const Architecture kBert{
    .name = "bert",
    .model_types = kModelTypes,
    .gguf_name = "bert",
    .read_config = read_config,
    .gguf_permutes_qk = false,
    .encoder = &kNames,
};

}  // namespace assay
