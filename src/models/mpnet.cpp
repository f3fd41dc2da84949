#include "models/mpnet.hpp"

#include "models/encoder_reader.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"mpnet"};
constexpr std::string_view kPretraining[] = {"lm_head."};

// modeling_mpnet.py counts positions from a padding_idx of 1 whatever pad_token_id says, and sorts distances
// into 32 buckets up to 128 whatever the table's rows (MPNetEncoder.relative_position_bucket).
constexpr int64_t kFirstPosition = 2, kBuckets = 32, kMaxDistance = 128;

// Names and order: transformers modeling_mpnet.py.
constexpr EncoderNames kNames{
    .prefix = "mpnet.",
    .word_embedding = "embeddings.word_embeddings",
    .position_embedding = "embeddings.position_embeddings",
    .type_embedding = {},
    .embedding_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer.",
    .q = "attention.attn.q",
    .k = "attention.attn.k",
    .v = "attention.attn.v",
    .qkv = {},
    .attn_output = "attention.attn.o",
    .attn_norm = "attention.LayerNorm",
    .ffn_up = "intermediate.dense",
    .ffn_down = "output.dense",
    .ffn_norm = "output.LayerNorm",
    .final_norm = {},
    .relative_bias = "encoder.relative_attention_bias",
    .pooler = "pooler.dense",
    .head_dense = "classifier.dense",
    .head_norm = {},
    .sequence_classifier = "classifier.out_proj",
    .token_classifier = "classifier",
    .question_classifier = "qa_outputs",
    .pretraining = kPretraining,
};

ModelConfig read_config(const nlohmann::json& config) {
  EncoderKeys keys;
  keys.default_pad_id = 1;
  ModelConfig model = read_encoder_config(config, "mpnet", keys);
  const ConfigFields fields(config);
  read_position_table(fields, kFirstPosition, model);
  EncoderTraits& traits = *model.encoder;
  if (fields.integer_or("relative_attention_num_buckets", kBuckets) != kBuckets)
    fields.fail("relative_attention_num_buckets", std::to_string(kBuckets));
  traits.relative_buckets = kBuckets;
  traits.relative_max_distance = kMaxDistance;
  EncoderHead& head = traits.head;
  head.has_pooler = head.kind == EncoderHeadKind::kNone;
  if (head.kind == EncoderHeadKind::kSequence) {
    head.has_dense = true;
    head.dense_activation = Activation::kTanh;
  }
  return model;
}

}  // namespace

const Architecture kMPNet{
    .name = "mpnet",
    .model_types = kModelTypes,
    .gguf_name = {},
    .read_config = read_config,
    .gguf_permutes_qk = false,
    .encoder = &kNames,
};

}  // namespace assay
