#include "convert/plan.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "convert/gguf_metadata.hpp"
#include "convert/version.hpp"
#include "io/json_text.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

nlohmann::json one_layer() {
  return {{"model_type", "llama"},  {"hidden_size", 256},        {"intermediate_size", 512},
          {"num_hidden_layers", 1}, {"num_attention_heads", 4},  {"num_key_value_heads", 2},
          {"vocab_size", 320},      {"torch_dtype", "bfloat16"}, {"tie_word_embeddings", true}};
}

Plan plan_of(const nlohmann::json& config, const char* recipe) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "config.json") << config.dump();
  return make_plan(ConversionSource::open(folder.path()), parse_recipe(recipe));
}

TEST(Plan, NeedsTheConfigurationAlone) {
  const Plan plan = plan_of(one_layer(), "mlx:4bit");
  const uint64_t matrices = 320 * 256 + 256 * 256 * 2 + 128 * 256 * 2 + 512 * 256 * 3;
  EXPECT_EQ(plan.parameters, matrices + 3 * 256);
  EXPECT_EQ(plan.weight_bytes, matrices * 9 / 16 + 3 * 256 * 2);
  ASSERT_EQ(plan.files.size(), 1u);
  EXPECT_GT(plan.files[0].bytes, plan.weight_bytes);
  EXPECT_NE(plan.notes.at(0).find("no tokenizer"), std::string::npos);
}

TEST(Plan, SaysWhyATensorStaysUnquantized) {
  nlohmann::json config = one_layer();
  config["intermediate_size"] = 544;  // 544 = 8.5 groups of 64
  const Plan plan = plan_of(config, "mlx:4bit");
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.slot.role != TensorRole::kFfnDown) continue;
    EXPECT_EQ(format_name(tensor.format), "BF16");
    EXPECT_NE(tensor.reason.find("544"), std::string::npos);
  }
}

TEST(Plan, GgufWithFallbacksStatesTheRealBits) {
  nlohmann::json config = one_layer();
  config["hidden_size"] = 128;
  const Plan plan = plan_of(config, "gguf:Q4_K_M");
  bool said = false;
  for (const std::string& note : plan.notes) said = said || note.find("fall back") != std::string::npos;
  EXPECT_TRUE(said);
  for (const std::string& note : plan_of(one_layer(), "gguf:Q4_K_M").notes)
    EXPECT_EQ(note.find("fall back"), std::string::npos) << note;
}

TEST(Plan, Llama3ScalingOfAQwenModelHasNoGguf) {
  nlohmann::json config = one_layer();
  config["model_type"] = "qwen2";
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 1024}};
  EXPECT_THROW(plan_of(config, "gguf:F16"), Error);
  EXPECT_NO_THROW(plan_of(config, "mlx:4bit"));
}

TEST(Plan, YarnWithoutTruncationHasNoGguf) {
  nlohmann::json config = one_layer();
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"truncate", false}};
  EXPECT_THROW(plan_of(config, "gguf:F16"), Error);
  EXPECT_NO_THROW(plan_of(config, "mlx:4bit"));
  config["rope_scaling"]["truncate"] = true;
  EXPECT_NO_THROW(plan_of(config, "gguf:F16"));
}

TEST(Plan, LargeModelsAreShardedAtFiveGibibytes) {
  nlohmann::json config = one_layer();
  config["num_hidden_layers"] = 80;
  config["hidden_size"] = 8192;
  config["intermediate_size"] = 28672;
  config["num_attention_heads"] = 64;
  config["num_key_value_heads"] = 8;
  const Plan plan = plan_of(config, "mlx:4bit");
  EXPECT_GT(plan.files.size(), 6u);
  for (const PlannedFile& file : plan.files) EXPECT_LT(file.bytes, (uint64_t{5} << 30) + (1 << 20));
  EXPECT_EQ(plan.files[0].name.substr(0, 15), "model-00001-of-");
  EXPECT_LT(plan.peak_memory_bytes, uint64_t{1} << 30);
}

// The index of a real MLX conversion of GuardReasoner-3B is the oracle.
TEST(Plan, GuardReasonerTotalSizeIsThatOfTheRealConversion) {
  ASSAY_NEED_DATA(original, "peers/mlx-gr3b-q4/config.json");
  nlohmann::json config = read_json_file(original);
  config.erase("quantization");
  config.erase("quantization_config");
  const Plan plan = plan_of(config, "mlx:4bit");
  EXPECT_EQ(plan.weight_bytes, 1807423488u);
  EXPECT_EQ(plan.parameters, 3212749824u);
  const nlohmann::json index = read_json_file(original.parent_path() / "model.safetensors.index.json");
  size_t parts = 0;
  for (const TensorSpec& spec : plan.files.at(0).specs)
    parts += index["weight_map"].contains(spec.name) ? 1 : 0;
  EXPECT_EQ(parts, index["weight_map"].size());
  EXPECT_EQ(parts, plan.files[0].specs.size());
}

TEST(SizeLabel, IsWhatGgufPyWrites) {
  EXPECT_EQ(size_label(656000), "656K");
  EXPECT_EQ(size_label(5247232), "5.2M");
  EXPECT_EQ(size_label(3212749824), "3.2B");
  EXPECT_EQ(size_label(70553706496), "71B");
}

TEST(Version, IsTheProjects) {
  std::ifstream file(test::source_file("CMakeLists.txt"));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find("VERSION " + std::string(kToolVersion) + " "), std::string::npos);
}

}  // namespace
}  // namespace assay
