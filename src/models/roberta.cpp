#include "models/roberta.hpp"

#include "models/encoder_reader.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"roberta", "xlm-roberta", "camembert"};
constexpr std::string_view kPretraining[] = {"lm_head."};

// Names and order: transformers modeling_roberta.py.
constexpr EncoderNames kNames{
    .prefix = "roberta.",
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
    .head_dense = "classifier.dense",
    .head_norm = {},
    .sequence_classifier = "classifier.out_proj",
    .token_classifier = "classifier",
    .question_classifier = "qa_outputs",
    .pretraining = kPretraining,
};

// transformers modeling_roberta.py: positions are counted from pad_token_id + 1
// (create_position_ids_from_input_ids); the sequence head brings its own dense and tanh, no pooler.
ModelConfig read_config(const nlohmann::json& config) {
  EncoderKeys keys;
  keys.default_pad_id = 1;
  ModelConfig model = read_encoder_config(config, "roberta", keys);
  const ConfigFields fields(config);
  EncoderTraits& traits = *model.encoder;
  read_position_table(fields, int64_t{traits.pad_id} + 1, model);
  traits.type_rows = fields.has("type_vocab_size") ? fields.dimension("type_vocab_size", 1 << 20) : 2;
  EncoderHead& head = traits.head;
  head.has_pooler = head.kind == EncoderHeadKind::kNone;
  if (head.kind == EncoderHeadKind::kSequence) {
    head.has_dense = true;
    head.dense_activation = Activation::kTanh;
  }
  return model;
}

}  // namespace

const Architecture kRoberta{
    .name = "roberta",
    .model_types = kModelTypes,
    .gguf_name = "bert",
    .read_config = read_config,
    .gguf_permutes_qk = false,
    .encoder = &kNames,
};

}  // namespace assay
