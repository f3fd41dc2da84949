// Sizes of encoders' outputs, worked out by hand from the shapes, and what plans say of them.
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "convert/plan.hpp"
#include "convert/tiny_encoder.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

/// typeform/distilbert-base-uncased-mnli.
const nlohmann::json kDistilBertMnli = nlohmann::json::parse(R"({
  "activation": "gelu", "architectures": ["DistilBertForSequenceClassification"], "attention_dropout": 0.1,
  "dim": 768, "dropout": 0.1, "hidden_dim": 3072,
  "id2label": {"0": "ENTAILMENT", "1": "NEUTRAL", "2": "CONTRADICTION"}, "initializer_range": 0.02,
  "label2id": {"CONTRADICTION": 2, "ENTAILMENT": 0, "NEUTRAL": 1}, "max_position_embeddings": 512,
  "model_type": "distilbert", "n_heads": 12, "n_layers": 6, "pad_token_id": 0, "qa_dropout": 0.1,
  "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": false, "tie_weights_": true, "vocab_size": 30522})");

// Its values and rows by what they do.
constexpr uint64_t kTables = (30522 + 512) * 768, kTableRows = 30522 + 512;
constexpr uint64_t kLinears = 6 * (4 * 768 * 768 + 2 * 768 * 3072), kLinearRows = 6 * (4 * 768 + 3072 + 768);
constexpr uint64_t kHead = 768 * 768 + 3 * 768, kHeadRows = 768 + 3;
constexpr uint64_t kVectors = 2 * 768 + 6 * (5 * 768 + 3072 + 4 * 768) + 768 + 3;

constexpr uint64_t int8_bytes(uint64_t values, uint64_t rows) {
  return values + 4 * rows;
}
constexpr uint64_t int4_bytes(uint64_t values, uint64_t group) {
  return values / 2 + values / group * 2;
}

Plan plan_of(const nlohmann::json& config, const char* recipe) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "config.json") << config.dump();
  return make_plan(ConversionSource::open(folder.path()), parse_recipe(recipe));
}

bool has_note(const Plan& plan, const char* part) {
  for (const std::string& note : plan.notes)
    if (note.find(part) != std::string::npos) return true;
  return false;
}

TEST(EncoderPlan, Int8OfDistilBertMnliIs67MB) {
  const Plan plan = plan_of(kDistilBertMnli, "int8");
  EXPECT_EQ(plan.parameters, kTables + kLinears + kHead + kVectors);
  EXPECT_EQ(plan.parameters, 66955779u);
  EXPECT_EQ(plan.weight_bytes, int8_bytes(kTables, kTableRows) + int8_bytes(kLinears, kLinearRows) +
                                   int8_bytes(kHead, kHeadRows) + 4 * kVectors);
  EXPECT_EQ(plan.weight_bytes, 67435520u);
  EXPECT_NEAR(plan.ratio_to(32), 3.97, 0.005);
  EXPECT_NEAR(plan.bits_per_weight(), 8.06, 0.005);
  ASSERT_EQ(plan.files.size(), 1u);
  EXPECT_EQ(plan.files[0].name, "model.safetensors");
  EXPECT_GT(plan.files[0].bytes, plan.weight_bytes);
  EXPECT_LT(plan.files[0].bytes, plan.weight_bytes + 40000);
}

TEST(EncoderPlan, Int4OfDistilBertMnli) {
  const uint64_t tables = int8_bytes(kTables, kTableRows), head = int8_bytes(kHead, kHeadRows);
  EXPECT_EQ(plan_of(kDistilBertMnli, "int4").weight_bytes,
            int4_bytes(kLinears, 64) + tables + head + 4 * kVectors);
  EXPECT_EQ(plan_of(kDistilBertMnli, "int4").weight_bytes, 47363072u);
  EXPECT_EQ(plan_of(kDistilBertMnli, "int4-g32").weight_bytes,
            int4_bytes(kLinears, 32) + tables + head + 4 * kVectors);
  // A bias beside every scale, as MLX stores it, is what makes 48.69 MB of the same recipe.
  EXPECT_EQ(int4_bytes(kLinears, 64) + kLinears / 64 * 2 + tables + head + 4 * kVectors, 48690176u);
}

TEST(EncoderPlan, AllFourBitsAreSymmetricHereAndAffineInMlx) {
  const Plan own = plan_of(kDistilBertMnli, "int4-emb-int4-head-int4");
  EXPECT_EQ(own.weight_bytes, int4_bytes(kTables + kLinears + kHead, 64) + 4 * kVectors);
  EXPECT_EQ(own.weight_bytes, 35786052u);
  // Scale and bias in BF16, vectors too.
  const Plan mlx = plan_of(kDistilBertMnli, "mlx:4bit");
  EXPECT_EQ(mlx.weight_bytes, (kTables + kLinears + kHead) * 9 / 16 + 2 * kVectors);
  EXPECT_EQ(mlx.weight_bytes, 37752054u);
  EXPECT_TRUE(has_note(mlx, "mlx-embeddings has no distilbert"));
}

TEST(EncoderPlan, FloatEmbeddingsAreSaid) {
  const Plan plan = plan_of(kDistilBertMnli, "int8-emb-fp32");
  EXPECT_EQ(plan.weight_bytes,
            4 * kTables + int8_bytes(kLinears, kLinearRows) + int8_bytes(kHead, kHeadRows) + 4 * kVectors);
  EXPECT_TRUE(has_note(plan, "embeddings are F32 and 69 % of the bytes: 1.93x")) << plan.notes.at(0);
  EXPECT_FALSE(has_note(plan_of(kDistilBertMnli, "int8"), "embeddings are"));
  const Plan half = plan_of(kDistilBertMnli, "int8-emb-fp16-head-fp32");
  EXPECT_EQ(half.weight_bytes, 2 * kTables + int8_bytes(kLinears, kLinearRows) + 4 * kHead + 4 * kVectors);
  EXPECT_TRUE(has_note(half, "embeddings are F16"));
}

// The recipe whose size is told as 138.05 MB has no head and one scale a tensor; rows cost 0.17 MB more.
TEST(EncoderPlan, WithoutItsHeadDistilBertKeepsTheOldFigure) {
  nlohmann::json config = kDistilBertMnli;
  config["architectures"] = {"DistilBertModel"};
  const Plan plan = plan_of(config, "int8-emb-fp32");
  const uint64_t vectors = kVectors - 771;
  EXPECT_EQ(plan.parameters, 66362880u);
  EXPECT_EQ(plan.weight_bytes, 4 * kTables + int8_bytes(kLinears, kLinearRows) + 4 * vectors);
  EXPECT_EQ(plan.weight_bytes - 4 * kLinearRows + 4 * 36, 138049680u);
  EXPECT_NEAR(plan.ratio_to(32), 1.92, 0.005);
}

TEST(EncoderPlan, RowsThatNoGroupDividesFallBackToInt8) {
  const Plan plan = plan_of(test::tiny_distilbert_config(), "int4");
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.slot.role == TensorRole::kFfnDown) {
      EXPECT_EQ(format_name(tensor.format), "int8");
      EXPECT_EQ(tensor.reason, "96 columns are no multiple of the group of 64");
      EXPECT_EQ(tensor.bytes, 64u * 96 + 64 * 4);
    }
    if (tensor.slot.role == TensorRole::kFfnUp) {
      EXPECT_EQ(format_name(tensor.format), "int4-g64");
    }
    if (tensor.slot.role == TensorRole::kClassifier) {
      EXPECT_EQ(format_name(tensor.format), "int8");
      EXPECT_EQ(tensor.reason, "head");
    }
  }
  for (const PlannedTensor& tensor : plan_of(test::tiny_distilbert_config(), "int4-g32").tensors)
    if (tensor.slot.role == TensorRole::kFfnDown) {
      EXPECT_EQ(format_name(tensor.format), "int4-g32");
    }
}

TEST(EncoderPlan, VectorsAndRelativePositionsStayF32) {
  const nlohmann::json config = {{"model_type", "mpnet"},  {"architectures", {"MPNetModel"}},
                                 {"hidden_size", 64},      {"intermediate_size", 128},
                                 {"num_hidden_layers", 1}, {"num_attention_heads", 4},
                                 {"vocab_size", 320},      {"max_position_embeddings", 50},
                                 {"hidden_act", "gelu"},   {"layer_norm_eps", 1e-5},
                                 {"pad_token_id", 1},      {"relative_attention_num_buckets", 32}};
  size_t relative = 0;
  for (const PlannedTensor& tensor : plan_of(config, "int4-emb-int4-head-int4").tensors) {
    const bool vector = tensor.slot.shape.size() < 2 || tensor.slot.role == TensorRole::kRelativeBias;
    EXPECT_EQ(is_quantized(tensor.format), !vector) << tensor.name;
    if (vector) {
      EXPECT_EQ(format_name(tensor.format), "F32");
    }
    relative += tensor.slot.role == TensorRole::kRelativeBias;
  }
  EXPECT_EQ(relative, 1u);
}

std::string fault_of(const nlohmann::json& config, const char* recipe) {
  try {
    plan_of(config, recipe);
  } catch (const Error& error) {
    return (dynamic_cast<const UsageError*>(&error) != nullptr ? "usage: " : "") + std::string(error.what());
  }
  return "no error";
}

TEST(EncoderPlan, RecipesOfTheOtherKindAreRefused) {
  const nlohmann::json decoder = {{"model_type", "llama"},    {"hidden_size", 256},
                                  {"intermediate_size", 512}, {"num_hidden_layers", 1},
                                  {"num_attention_heads", 4}, {"vocab_size", 320}};
  EXPECT_EQ(
      fault_of(decoder, "int8"),
      "usage: int8: recipe is for encoders only: expected mlx:8bit or gguf:Q8_0 for a decoder, found llama");
  EXPECT_NE(fault_of(decoder, "int4").find("gguf:Q4_K_M"), std::string::npos);
}

TEST(EncoderPlan, MlxOutputsThatStockCannotLoadAreTold) {
  EXPECT_FALSE(has_note(plan_of(test::tiny_bert_config(), "mlx:4bit"), "mlx-embeddings"));
  const auto told = [](const char* key, const nlohmann::json& value, const char* part) {
    nlohmann::json config = test::tiny_bert_config();
    config[key] = value;
    EXPECT_TRUE(has_note(plan_of(config, "mlx:4bit-g32"), part)) << part;
  };
  told("architectures", {"BertForSequenceClassification"}, "no classifier of bert");
  told("model_type", "mpnet", "mlx-embeddings has no mpnet");
  nlohmann::json odd = test::tiny_bert_config();
  odd["hidden_size"] = 32;
  odd["type_vocab_size"] = 1;
  EXPECT_TRUE(has_note(plan_of(odd, "mlx:4bit-g32"), "no multiple of 64 values"));
  EXPECT_FALSE(has_note(plan_of(odd, "mlx:f32"), "mlx-embeddings"));
}

TEST(EncoderPlan, MlxEmbeddingsKnowsOneSpellingAndNoDenseModule) {
  const auto plan = [](const char* name) {
    return make_plan(ConversionSource::open(test::source_file(std::string("tests/models/encoders/") + name)),
                     parse_recipe("mlx:f32"));
  };
  EXPECT_FALSE(has_note(plan("bert-model"), "mlx-embeddings"));
  EXPECT_FALSE(has_note(plan("xlm-roberta-model"), "mlx-embeddings"));
  EXPECT_FALSE(has_note(plan("modernbert-sequence"), "mlx-embeddings"));
  EXPECT_TRUE(has_note(plan("bert-old-names"), "other names of bert's tensors"));
  EXPECT_TRUE(has_note(plan("bert-sentence"), "Dense module"));
  EXPECT_TRUE(has_note(plan("modernbert-token"), "no classifier of modernbert"));
}

TEST(EncoderRecipe, NamesRoundTrip) {
  for (const char* name : {"int8", "int4", "int4-g32", "int8-emb-fp32", "int4-emb-fp16", "int8-head-fp32",
                           "int4-g32-emb-int4-head-int4", "int8-emb-int4"}) {
    const Recipe recipe = parse_recipe(name);
    EXPECT_EQ(recipe.name, name);
    EXPECT_EQ(recipe.output_name, name);
    EXPECT_TRUE(recipe.is_quantized());
  }
  EXPECT_EQ(parse_recipe("INT4-g64").name, "int4");
  EXPECT_EQ(parse_recipe("int8-emb-int8-head-int8").name, "int8");
  EXPECT_EQ(parse_recipe("int4-g32-emb-int4").encoder->embeddings, int4_format(32));
  for (const char* wrong : {"int8-g32", "int4-g128", "int8-emb-bf16", "int8-head-fp16",
                            "int8-head-fp32-emb-fp32", "int4-emb-", "int16"})
    EXPECT_THROW(parse_recipe(wrong), UsageError) << wrong;
}

TEST(EncoderRecipe, OptionsChangeTheName) {
  EXPECT_EQ(with_encoder_options(parse_recipe("int8"), "fp32", "").name, "int8-emb-fp32");
  EXPECT_EQ(with_encoder_options(parse_recipe("int4-g32"), "int4", "int4").name,
            "int4-g32-emb-int4-head-int4");
  EXPECT_EQ(with_encoder_options(parse_recipe("int8-emb-fp32"), "int8", "").name, "int8");
  EXPECT_EQ(with_encoder_options(parse_recipe("mlx:4bit"), "fp32", "").name, "mlx:4bit");
  EXPECT_THROW(with_encoder_options(parse_recipe("int8"), "fp8", ""), UsageError);
  EXPECT_THROW(with_encoder_options(parse_recipe("int8"), "", "fp16"), UsageError);
}

}  // namespace
}  // namespace assay
