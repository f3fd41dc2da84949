// Formats of single tensors: what they change, what verify makes of them, what is refused.
#include "convert/tensor_overrides.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "convert/convert.hpp"
#include "convert/gguf_mix.hpp"
#include "convert/tiny_checkpoint.hpp"
#include "convert/verify.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

class OverrideTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "source");
    test::write_tiny_checkpoint(folder_ / "source");
  }

  ConversionSource source() const { return ConversionSource::open(folder_ / "source"); }

  static Recipe recipe(const char* name, std::vector<TensorOverride> overrides, const char* output = "",
                       const char* embedding = "") {
    return with_tensor_overrides(parse_recipe(name), std::move(overrides), output, embedding);
  }

  std::string format_of(const Recipe& recipe, const std::string& name) const {
    for (const PlannedTensor& tensor : make_plan(source(), recipe).tensors)
      if (tensor.name == name) return format_name(tensor.format);
    return "no such tensor";
  }

  std::vector<std::string> failures(const std::filesystem::path& output) {
    std::vector<std::string> names;
    for (const Check& check : verify_output(output, folder_ / "source", pool_, silent_progress()).checks)
      if (!check.ok) names.push_back(check.name);
    return names;
  }

  static std::string fault_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const UsageError& error) {
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
  ThreadPool pool_{2};
};

using Names = std::vector<std::string>;

TEST_F(OverrideTest, TheFirstPatternThatIsFoundDecides) {
  const Recipe mixed = recipe("gguf:Q4_K_M", {{"blk\\.0\\.ffn_(up|gate)", "q6_k"}, {"ffn_up", "Q8_0"}});
  EXPECT_EQ(format_of(mixed, "blk.0.ffn_up.weight"), "Q6_K");
  EXPECT_EQ(format_of(mixed, "blk.0.ffn_gate.weight"), "Q6_K");
  EXPECT_EQ(format_of(mixed, "blk.1.ffn_up.weight"), "Q8_0");
  EXPECT_EQ(format_of(mixed, "blk.1.ffn_gate.weight"), "Q4_K");
  EXPECT_EQ(format_of(mixed, "blk.0.ffn_norm.weight"), "F32");
}

TEST_F(OverrideTest, HeadAndEmbeddingGoBeforePatterns) {
  const Recipe kept = recipe("gguf:Q4_K_M", {{"output|token", "Q4_0"}}, "F16", "Q8_0");
  EXPECT_EQ(format_of(kept, "output.weight"), "F16");
  EXPECT_EQ(format_of(kept, "token_embd.weight"), "Q8_0");
  EXPECT_EQ(format_of(kept, "blk.0.attn_output.weight"), "Q4_0");
}

TEST_F(OverrideTest, PlanTellsWhy) {
  const Plan plan = make_plan(source(), recipe("gguf:Q4_K_M", {{"ffn_down", "Q8_0"}}));
  int told = 0;
  for (const PlannedTensor& tensor : plan.tensors) told += tensor.reason == "--tensor ffn_down=Q8_0";
  EXPECT_EQ(told, 2);
}

TEST_F(OverrideTest, OutputsPassVerifyWithAndWithoutManifest) {
  const std::vector<Recipe> recipes = {
      recipe("gguf:Q4_K_M", {{"attn_v", "IQ4_XS"}}, "Q5_0"),
      recipe("mlx:4bit", {{"down_proj", "8bit-g32"}, {"layers.1.*v_proj", "none"}}, "6bit")};
  convert(source(), recipes, folder_ / "out", {}, pool_, silent_progress());
  EXPECT_EQ(failures(folder_ / "out/source-Q4_K_M.gguf"), Names{});
  EXPECT_EQ(failures(folder_ / "out/mlx-4bit"), Names{});
  const nlohmann::json entry = read_json_file(folder_ / "out/assay.json").at("outputs").at(0);
  EXPECT_EQ(entry.at("options").at("tensor_formats").at(0).at("format"), "IQ4_XS");
  EXPECT_EQ(entry.at("options").at("output_tensor"), "Q5_0");
  const nlohmann::json settings = read_json_file(folder_ / "out/mlx-4bit/config.json").at("quantization");
  EXPECT_EQ(settings.at("model.layers.0.mlp.down_proj").at("bits"), 8);
  EXPECT_EQ(settings.at("model.layers.0.mlp.down_proj").at("group_size"), 32);
  EXPECT_EQ(settings.at("model.layers.1.self_attn.v_proj"), false);
  EXPECT_EQ(settings.at("lm_head").at("bits"), 6);
  // Without the manifest an MLX directory still lists its exceptions; a GGUF only has its file type's name.
  std::filesystem::remove(folder_ / "out/assay.json");
  EXPECT_EQ(failures(folder_ / "out/mlx-4bit"), Names{});
  EXPECT_EQ(failures(folder_ / "out/source-Q4_K_M.gguf"), (Names{"planned bytes", "formats"}));
}

TEST_F(OverrideTest, AManifestThatTellsAnotherFormatFails) {
  convert(source(), {recipe("gguf:Q4_K_M", {{"attn_v", "IQ4_XS"}})}, folder_ / "out", {}, pool_,
          silent_progress());
  nlohmann::json manifest = read_json_file(folder_ / "out/assay.json");
  manifest.at("outputs").at(0).at("options").at("tensor_formats").at(0).at("format") = "Q5_K";
  std::ofstream(folder_ / "out/assay.json") << manifest.dump();
  const Names found = failures(folder_ / "out/source-Q4_K_M.gguf");
  EXPECT_NE(std::find(found.begin(), found.end(), "formats"), found.end());
}

TEST_F(OverrideTest, WhatMakesNoSenseIsRefused) {
  EXPECT_NE(fault_of([] { parse_tensor_override("ffn_down"); }).find("PATTERN=FORMAT"), std::string::npos);
  EXPECT_NE(fault_of([] { parse_tensor_override("=Q8_0"); }).find("PATTERN=FORMAT"), std::string::npos);
  EXPECT_NE(fault_of([] {
              recipe("gguf:Q4_K_M", {{"a", "Q9_9"}});
            }).find("no such tensor format"),
            std::string::npos);
  EXPECT_NE(fault_of([] {
              recipe("gguf:Q4_K_M", {{"a", "IQ2_XXS"}});
            }).find("no such tensor format"),
            std::string::npos);
  EXPECT_NE(fault_of([] { recipe("mlx:4bit", {{"a", "Q8_0"}}); }).find("no such recipe"), std::string::npos);
  EXPECT_NE(fault_of([] { recipe("mlx:bf16", {{"a", "8bit"}}); }).find("quantized MLX"), std::string::npos);
  EXPECT_NE(fault_of([] { recipe("int8", {{"a", "8bit"}}); }).find("quantized MLX"), std::string::npos);
  EXPECT_NE(fault_of([&] {
              make_plan(source(), recipe("gguf:Q4_K_M", {{"fnn_down", "Q8_0"}}));
            }).find("--tensor fnn_down=Q8_0"),
            std::string::npos);
  EXPECT_THROW(recipe("gguf:Q4_K_M", {{"(", "Q8_0"}}), Error);
}

TEST_F(OverrideTest, RowsThatDoNotFitFallBackAsInTheMix) {
  const GgufChoice choice = fit_to_row({WeightKind::kIQ4_XS, "--tensor"}, 96);
  EXPECT_EQ(choice.kind, WeightKind::kIQ4_NL);
  EXPECT_NE(choice.reason.find("multiple of 256"), std::string::npos);
}

}  // namespace
}  // namespace assay
