#include "convert/recipe.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "convert/gguf_mix.hpp"

namespace assay {
namespace {

std::string fault_of(std::string_view text) {
  try {
    parse_recipe(text);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Recipe, UnderstandsEveryNameItLists) {
  for (const std::string& name : recipe_names()) EXPECT_NO_THROW(parse_recipe(name)) << name;
}

TEST(Recipe, AliasesAndDefaultsMeanWhatPeopleType) {
  EXPECT_EQ(parse_recipe("q4").name, "mlx:4bit");
  EXPECT_EQ(parse_recipe("Q8_bit").name, "mlx:8bit");
  EXPECT_EQ(parse_recipe("none").bits, 0);
  EXPECT_EQ(parse_recipe("mlx:4bit-g64").name, "mlx:4bit");
  EXPECT_EQ(parse_recipe("mlx:4bit-g32").output_name, "mlx-4bit-g32");
  EXPECT_EQ(parse_recipe("gguf:q4_k_m").name, "gguf:Q4_K_M");
  EXPECT_EQ(parse_recipe("mlx:bf16").dtype, DType::kBF16);
}

TEST(Recipe, UnknownNamesGetTheNearest) {
  EXPECT_NE(fault_of("gguf:Q4_KM").find("did you mean gguf:Q4_K_M?"), std::string::npos);
  EXPECT_NE(fault_of("q4_k_m").find("did you mean gguf:Q4_K_M?"), std::string::npos);
  EXPECT_NE(fault_of("mlx:4bits").find("did you mean mlx:4bit?"), std::string::npos);
  EXPECT_NE(fault_of("gguf:IQ2_XXS").find("known but not written"), std::string::npos);
  EXPECT_NE(fault_of("mlx:4bit-g48").find("no such recipe"), std::string::npos);
  EXPECT_NE(fault_of("mlx:bf16-g32").find("no such recipe"), std::string::npos);
  EXPECT_NE(fault_of("").find("no such recipe"), std::string::npos);
}

TEST(Recipe, ListsAreSplitAndRepetitionsRefused) {
  EXPECT_EQ(parse_recipes("q4,gguf:Q8_0").size(), 2u);
  EXPECT_THROW(parse_recipes("q4,mlx:4bit"), UsageError);
  EXPECT_THROW(parse_recipes("q4,"), UsageError);
}

ModelConfig config_of(int64_t layers, bool tied) {
  ModelConfig config;
  config.architecture = "llama";
  config.n_layers = layers;
  config.n_heads = 8, config.n_kv_heads = 4;
  config.tied_embeddings = tied;
  return config;
}

WeightKind kind_of(const char* mix, TensorRole role, int layer, const ModelConfig& config,
                   int64_t cols = 512) {
  const TensorSlot slot{role, layer, "x.weight", "x.weight", {64, cols}};
  return choose_gguf_kind(*parse_recipe(std::string("gguf:") + mix).mix, slot, config).kind;
}

// llama.cpp src/llama-quant.cpp, use_more_bits: of 32 layers these 16 get more bits.
TEST(GgufMix, MoreBitsGoToHalfOfTheLayers) {
  const ModelConfig config = config_of(32, false);
  std::vector<int> more;
  for (int layer = 0; layer < 32; ++layer)
    if (kind_of("Q4_K_M", TensorRole::kAttnV, layer, config) == WeightKind::kQ6_K) more.push_back(layer);
  EXPECT_EQ(more, (std::vector<int>{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}));
}

TEST(GgufMix, RolesAndTies) {
  const ModelConfig untied = config_of(16, false), tied = config_of(16, true);
  EXPECT_EQ(kind_of("Q4_K_M", TensorRole::kTokenEmbedding, -1, untied), WeightKind::kQ4_K);
  EXPECT_EQ(kind_of("Q4_K_M", TensorRole::kTokenEmbedding, -1, tied), WeightKind::kQ6_K);
  EXPECT_EQ(kind_of("Q4_0", TensorRole::kOutput, -1, untied), WeightKind::kQ6_K);
  EXPECT_EQ(kind_of("Q8_0", TensorRole::kOutput, -1, untied), WeightKind::kQ8_0);
  EXPECT_EQ(kind_of("Q4_K_S", TensorRole::kAttnV, 3, untied), WeightKind::kQ5_K);
  EXPECT_EQ(kind_of("Q4_K_S", TensorRole::kAttnV, 4, untied), WeightKind::kQ4_K);
  EXPECT_EQ(kind_of("Q4_K_S", TensorRole::kFfnDown, 1, untied), WeightKind::kQ5_K);
  EXPECT_EQ(kind_of("Q4_K_S", TensorRole::kFfnDown, 2, untied), WeightKind::kQ4_K);
  ModelConfig large = config_of(80, false);
  EXPECT_EQ(kind_of("Q4_K_M", TensorRole::kAttnV, 11, large), WeightKind::kQ5_K);
}

TEST(GgufMix, RowsThatDoNotFitFallBack) {
  const ModelConfig config = config_of(16, false);
  EXPECT_EQ(kind_of("Q4_K_M", TensorRole::kAttnQ, 5, config, 896), WeightKind::kQ5_0);
  EXPECT_EQ(kind_of("Q5_K_M", TensorRole::kAttnQ, 5, config, 896), WeightKind::kQ5_1);
  EXPECT_EQ(kind_of("Q4_0", TensorRole::kOutput, -1, config, 896), WeightKind::kQ8_0);
  EXPECT_EQ(kind_of("Q4_K_M", TensorRole::kAttnQ, 5, config, 100), WeightKind::kF16);
  EXPECT_EQ(kind_of("Q4_0", TensorRole::kAttnQ, 5, config, 100), WeightKind::kF16);
}

}  // namespace
}  // namespace assay
