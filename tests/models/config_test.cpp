#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "io/json_text.hpp"
#include "models/architecture.hpp"
#include "models/model_file.hpp"
#include "models/rope_config.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

using nlohmann::json;
using Scaling = RopeConfig::Scaling;

json base_config(const char* type = "llama") {
  return {{"model_type", type},         {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 2},     {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"vocab_size", 100},          {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 4096},
          {"tie_word_embeddings", true}};
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

ModelConfig read(const json& config) {
  return read_model_config(config, nullptr);
}

std::string fault_of(const json& config) {
  try {
    read(config);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, ReadsEveryScalingInTheOldSpelling) {
  EXPECT_EQ(read(base_config()).rope.scaling, Scaling::kNone);
  const RopeConfig linear =
      read(with(base_config(), {{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}})).rope;
  EXPECT_EQ(linear.scaling, Scaling::kLinear);
  EXPECT_EQ(linear.factor, 4.0);
  const RopeConfig dynamic =
      read(with(base_config(), {{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}})).rope;
  EXPECT_EQ(dynamic.scaling, Scaling::kDynamicNtk);
  EXPECT_EQ(dynamic.original_context, 4096);
  const RopeConfig yarn =
      read(with(base_config(),
                {{"rope_scaling",
                  {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 1024}}}}))
          .rope;
  EXPECT_EQ(yarn.scaling, Scaling::kYarn);
  EXPECT_EQ(yarn.original_context, 1024);
  EXPECT_NEAR(rope_attention_factor(yarn), 0.1 * std::log(4.0) + 1.0, 1e-12);
}

TEST(Config, ReadsRopeParametersWithTheBaseInside) {
  const RopeConfig rope = read(with(base_config(), {{"rope_parameters",
                                                     {{"rope_type", "llama3"},
                                                      {"rope_theta", 500000.0},
                                                      {"factor", 32.0},
                                                      {"low_freq_factor", 1.0},
                                                      {"high_freq_factor", 4.0},
                                                      {"original_max_position_embeddings", 8192}}}}))
                              .rope;
  EXPECT_EQ(rope.base, 500000.0);
  EXPECT_EQ(rope.scaling, Scaling::kLlama3);
  EXPECT_EQ(rope.original_context, 8192);
}

TEST(Config, RefusesScalingsItDoesNotCompute) {
  const std::string fault =
      fault_of(with(base_config(), {{"rope_scaling", {{"rope_type", "longrope"}, {"factor", 4.0}}}}));
  EXPECT_NE(fault.find("longrope"), std::string::npos) << fault;
}

TEST(Config, NamesTheKeyThatIsWrong) {
  json missing = base_config();
  missing.erase("hidden_size");
  EXPECT_NE(fault_of(missing).find("hidden_size"), std::string::npos);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, json>>{{"num_hidden_layers", 5000},
                                                 {"num_hidden_layers", -1},
                                                 {"vocab_size", "many"},
                                                 {"num_key_value_heads", 3},
                                                 {"hidden_size", 66},
                                                 {"hidden_act", "gelu"},
                                                 {"eos_token_id", "end"},
                                                 {"rms_norm_eps", json::array()}}) {
    const std::string fault = fault_of(with(base_config(), {{key, value}}));
    EXPECT_NE(fault.find(key), std::string::npos) << key << ": " << fault;
  }
  EXPECT_NE(fault_of(with(base_config(), {{"model_type", "mamba"}})).find("mamba"), std::string::npos);
}

TEST(Config, MistralWindowIsNullNumberOrDefault) {
  EXPECT_TRUE(read(with(base_config("mistral"), {{"sliding_window", nullptr}})).sliding_window.empty());
  EXPECT_EQ(read(with(base_config("mistral"), {{"sliding_window", 32}})).sliding_window,
            (std::vector<int64_t>{32, 32}));
  EXPECT_EQ(read(base_config("mistral")).sliding_window, (std::vector<int64_t>{4096, 4096}));
}

TEST(Config, QwenWindowsFollowLayerTypesOrMaxWindowLayers) {
  const json window = {{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 1}};
  EXPECT_EQ(read(with(base_config("qwen2"), window)).sliding_window, (std::vector<int64_t>{0, 8}));
  json typed = window;
  typed["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_EQ(read(with(base_config("qwen3"), typed)).sliding_window, (std::vector<int64_t>{8, 0}));
  typed["use_sliding_window"] = false;
  EXPECT_TRUE(read(with(base_config("qwen2"), typed)).sliding_window.empty());
}

TEST(Config, StopIdsAreTheUnionOfConfigAndGenerationConfig) {
  const json config = with(base_config(), {{"bos_token_id", 1}, {"eos_token_id", {2, 3}}});
  const ModelConfig model = read_model_config(config, {{"bos_token_id", 1}, {"eos_token_id", {3, 4}}});
  EXPECT_EQ(model.bos_ids, (std::vector<int32_t>{1}));
  EXPECT_EQ(model.eos_ids, (std::vector<int32_t>{2, 3, 4}));
}

TEST(Config, Qwen3HasItsOwnHeadSizeAndBiasRules) {
  const ModelConfig model = read(base_config("qwen3"));
  EXPECT_EQ(model.head_dim, 128);
  EXPECT_TRUE(model.qk_norm);
  EXPECT_FALSE(model.qkv_bias);
  EXPECT_TRUE(read(base_config("qwen2")).qkv_bias);
}

TEST(Config, GgufKeysComeBackAsTheyWere) {
  const json yarn = {{"rope_type", "yarn"},
                     {"factor", 4.0},
                     {"original_max_position_embeddings", 1024},
                     {"attention_factor", 1.25},
                     {"beta_fast", 16.0}};
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    const ModelConfig written =
        read(with(base_config(type), {{"rope_scaling", yarn}, {"sliding_window", 16}}));
    GgufMetadata metadata;
    metadata.set("general.architecture",
                 GgufValue::string(std::string(architecture_named(written.architecture).gguf_name)));
    write_gguf_config(written, metadata);
    metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::vector<std::string>(100, "x")));
    const ModelConfig found = read_gguf_config(metadata);
    EXPECT_EQ(found.n_layers, written.n_layers);
    EXPECT_EQ(found.head_dim, written.head_dim);
    EXPECT_EQ(found.vocab_size, written.vocab_size);
    EXPECT_EQ(found.sliding_window, written.sliding_window);
    EXPECT_EQ(found.rope.scaling, Scaling::kYarn);
    EXPECT_NEAR(rope_attention_factor(found.rope), 1.25, 1e-6);
    EXPECT_EQ(found.rope.beta_fast, 16.0);
  }
}

TEST(Config, GgufMetadataWithAbsurdSizesIsRefused) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::string("llama"));
  write_gguf_config(read(base_config()), metadata);
  for (const char* key : {"llama.block_count", "llama.embedding_length", "llama.attention.head_count"}) {
    GgufMetadata broken = metadata;
    broken.set(key, GgufValue::u32(4000000000u));
    EXPECT_THROW(read_gguf_config(broken), Error) << key;
    broken.erase(key);
    EXPECT_THROW(read_gguf_config(broken), Error) << key;
  }
}

TEST(Config, GgufNumbersThatCannotBeAreRefused) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::string("llama"));
  write_gguf_config(read(base_config()), metadata);
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::vector<std::string>(100, "x")));
  const auto fault_with = [&](const std::string& key, float value) -> std::string {
    GgufMetadata broken = metadata;
    broken.set(key, GgufValue::f32(value));
    try {
      read_gguf_config(broken);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string base = "llama.rope.freq_base", eps = "llama.attention.layer_norm_rms_epsilon";
  for (const float bad : {0.0f, -1.0f, NAN, INFINITY})
    EXPECT_NE(fault_with(base, bad).find(base), std::string::npos) << bad << fault_with(base, bad);
  for (const float bad : {-1e-5f, 1.0f, NAN, INFINITY})
    EXPECT_NE(fault_with(eps, bad).find(eps), std::string::npos) << bad << fault_with(eps, bad);
  EXPECT_EQ(fault_with(base, 1e6f), "no error");
  EXPECT_EQ(fault_with(eps, 0.0f), "no error");
}

TEST(MlxQuantizationRules, EveryWayToSayIt) {
  const json config = {{"quantization",
                        {{"bits", 4},
                         {"group_size", 64},
                         {"a", {{"bits", 8}, {"group_size", 32}}},
                         {"b", false},
                         {"c", {{"bits", 6}, {"group_size", nullptr}, {"mode", "affine"}}},
                         {"d", {{"mode", "mxfp4"}, {"group_size", nullptr}, {"bits", nullptr}}}}}};
  EXPECT_EQ(resolve_mlx_quantization(config, "x", true)->bits, 4);
  EXPECT_EQ(resolve_mlx_quantization(config, "x", true)->mode, "affine");
  EXPECT_FALSE(resolve_mlx_quantization(config, "x", false));
  EXPECT_EQ(resolve_mlx_quantization(config, "a", true)->group_size, 32);
  EXPECT_FALSE(resolve_mlx_quantization(config, "b", true));
  EXPECT_EQ(resolve_mlx_quantization(config, "c", true)->group_size, 64);
  EXPECT_EQ(resolve_mlx_quantization(config, "d", true)->group_size, 32);
  const json legacy = {{"quantization_config", {{"quant_method", "mxfp8"}}}};
  EXPECT_EQ(resolve_mlx_quantization(legacy, "x", true)->bits, 8);
  const json foreign = {{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}}};
  EXPECT_THROW(resolve_mlx_quantization(foreign, "x", true), Error);
  const json unknown = {{"quantization", {{"bits", 4}, {"group_size", 64}, {"mode", "ternary"}}}};
  EXPECT_THROW(resolve_mlx_quantization(unknown, "x", true), Error);
}

TEST(RopeFactors, OutsideTheBandTheyAreOneAndTheFactor) {
  RopeConfig rope;
  rope.base = 500000.0, rope.dim = 64, rope.scaling = Scaling::kLlama3, rope.factor = 32.0;
  rope.original_context = 8192;
  const std::vector<float> factors = llama3_rope_factors(rope);
  ASSERT_EQ(factors.size(), 32u);
  EXPECT_EQ(factors.front(), 1.0f);
  EXPECT_EQ(factors.back(), 32.0f);
  for (size_t i = 1; i < factors.size(); ++i) EXPECT_GE(factors[i], factors[i - 1]);
}

}  // namespace
}  // namespace assay
