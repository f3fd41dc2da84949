// Encoders converted end to end: what lies in the directory, and that verify and inspect see every planted
// fault in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "convert/convert.hpp"
#include "convert/inspect.hpp"
#include "convert/tiny_encoder.hpp"
#include "convert/verify.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

using Names = std::vector<std::string>;

class EncoderConvertTest : public testing::Test {
 protected:
  void make_source(const nlohmann::json& config, const std::function<void(test::Tensors&)>& change = {}) {
    test::write_tiny_encoder(folder_ / "source", config, change);
  }

  std::vector<ConvertedOutput> run(const char* recipes) {
    return convert(ConversionSource::open(folder_ / "source"), parse_recipes(recipes), folder_ / "out", {},
                   pool_, silent_progress());
  }

  Names failures(const std::string& output) {
    Names names;
    for (const Check& check :
         verify_output(folder_ / output, folder_ / "source", pool_, silent_progress()).checks)
      if (!check.ok) names.push_back(check.name);
    return names;
  }

  std::string reasons(const std::string& output) {
    std::string text;
    for (const std::string& reason : inspect_path(folder_ / output).reasons) text += reason + "\n";
    return text;
  }

  Verdict verdict(const std::string& output) { return inspect_path(folder_ / output).verdict; }

  /// Overwrites bytes of a tensor of out/NAME/model.safetensors.
  void poke(const char* output, const char* tensor, size_t at, std::vector<uint8_t> bytes) {
    const std::filesystem::path path = folder_ / "out" / output / "model.safetensors";
    size_t offset = 0;
    {
      const SafetensorsFile file(path);
      offset = static_cast<size_t>(file.find(tensor)->bytes.data() - file.file().bytes().data()) + at;
    }
    std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  void forget_manifest() { std::filesystem::remove(folder_ / "out/assay.json"); }

  test::TemporaryFolder folder_;
  ThreadPool pool_{2};
};

constexpr const char* kAllRecipes =
    "int8,int4,int4-g32,int8-emb-fp32,int4-emb-fp16,int8-head-fp32,int4-emb-int4-head-int4,mlx:4bit,mlx:f32";

TEST_F(EncoderConvertTest, EveryRecipeIsWrittenAsPlannedAndVerifies) {
  make_source(test::tiny_distilbert_config());
  for (const ConvertedOutput& output : run(kAllRecipes)) {
    const ModelFile model = ModelFile::open(output.path);
    EXPECT_EQ(model.weight_bytes(), output.plan.weight_bytes) << output.plan.recipe.name;
    for (const PlannedTensor& planned : output.plan.tensors)
      EXPECT_EQ(model.find(planned.slot.role, planned.slot.layer)->weight.format, planned.format)
          << planned.name;
    EXPECT_EQ(failures("out/" + output.plan.output_name), Names{}) << output.plan.recipe.name;
  }
  // Without the manifest the recipe comes from what the file says of itself.
  forget_manifest();
  for (const Recipe& recipe : parse_recipes("int8,int4,int4-g32,int8-emb-fp32,int4-emb-int4-head-int4"))
    EXPECT_EQ(failures("out/" + recipe.output_name), Names{}) << recipe.name;
}

TEST_F(EncoderConvertTest, TheDirectoryIsLaidOutAsDocumented) {
  make_source(test::tiny_distilbert_config());
  run("int4");
  const nlohmann::json config = read_json_file(folder_ / "out/int4/config.json");
  const nlohmann::json& summary = config.at("quantization_config");
  EXPECT_EQ(summary["quant_method"], "assay");
  EXPECT_EQ(summary["format"], "int4");
  EXPECT_EQ(summary["group_size"], 64);
  EXPECT_EQ(summary["version"], 1);
  EXPECT_EQ(summary["tensors"].size(), 6u);  // two tables, two matrices of the head, two fallbacks
  EXPECT_EQ(config["id2label"]["2"], "contradiction");
  const SafetensorsFile file(folder_ / "out/int4/model.safetensors");
  std::map<std::string, std::pair<DType, Shape>> stored;
  for (const TensorView& tensor : file.tensors()) stored[tensor.name] = {tensor.dtype, tensor.shape};
  const auto expect = [&](const std::string& end, DType dtype, const Shape& shape) {
    for (const auto& [name, tensor] : stored)
      if (name.ends_with(end)) {
        EXPECT_EQ(tensor, std::pair(dtype, shape)) << name;
        return;
      }
    ADD_FAILURE() << "no " << end;
  };
  expect("layer.0.attention.q_lin.weight_packed", DType::kU8, {64, 32});
  expect("layer.0.attention.q_lin.weight_scale", DType::kF16, {64, 1});
  expect("layer.1.ffn.lin2.weight", DType::kI8, {64, 96});
  expect("layer.1.ffn.lin2.weight_scale", DType::kF32, {64});
  expect("embeddings.word_embeddings.weight", DType::kI8, {320, 64});
  expect("layer.0.attention.q_lin.bias", DType::kF32, {64});
  EXPECT_EQ(stored.at("classifier.weight"), std::pair(DType::kI8, Shape{3, 64}));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/int4/conversion_metadata.json"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/int4/model.safetensors.index.json"));
}

TEST_F(EncoderConvertTest, SentenceFilesTravelOnWithTheirWeights) {
  make_source(test::tiny_bert_config());
  test::write_sentence_files(folder_ / "source");
  run("int8,mlx:4bit");
  for (const char* output : {"int8", "mlx-4bit"}) {
    for (const char* name :
         {"modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
          "sentence_bert_config.json", "config_sentence_transformers.json", "special_tokens_map.json"})
      EXPECT_TRUE(std::filesystem::exists(folder_ / "out" / output / name)) << output << "/" << name;
    EXPECT_EQ(failures(std::string("out/") + output), Names{}) << output;
  }
  forget_manifest();
  test::write_json(folder_ / "out/int8/1_Pooling/config.json", {{"pooling_mode_cls_token", true}});
  EXPECT_EQ(failures("out/int8"), Names{"side files"});
  // A file of weights that no module accounts for is a twin, wherever it lies.
  std::filesystem::copy_file(folder_ / "source/model.safetensors",
                             folder_ / "out/int8/2_Dense/other.safetensors");
  EXPECT_EQ(failures("out/int8"), (Names{"no float twin", "side files"}));
}

TEST_F(EncoderConvertTest, PlantedFaultsAreFound) {
  make_source(test::tiny_bert_config());
  run("int8,int4");
  forget_manifest();
  const char* weight = "encoder.layer.0.attention.self.query.weight";
  poke("int8", weight, 5, {0x7f});
  EXPECT_EQ(failures("out/int8"), (Names{"error bound", "packing"}));  // one of 4096 codes, far off
  poke("int4", "encoder.layer.1.output.dense.weight_packed", 0, std::vector<uint8_t>(64, 0x3c));
  const Names found = failures("out/int4");
  EXPECT_NE(std::find(found.begin(), found.end(), "error bound"), found.end());
}

TEST_F(EncoderConvertTest, ScalesThatAreTooLargeOrInfiniteAreFound) {
  make_source(test::tiny_bert_config());
  run("int8");
  forget_manifest();
  const char* codes = "encoder.layer.0.attention.self.query.weight";
  const char* scales = "encoder.layer.0.attention.self.query.weight_scale";
  std::vector<uint8_t> large(64 * 4);
  for (size_t row = 0; row < 64; ++row) {
    const float scale = 1.0f;
    std::memcpy(large.data() + row * 4, &scale, 4);
  }
  // All codes 0 under a scale of 1: every value lies within half a step of the stored scale.
  poke("int8", codes, 0, std::vector<uint8_t>(64 * 64, 0));
  poke("int8", scales, 0, large);
  EXPECT_EQ(failures("out/int8"), Names{"packing"});
  poke("int8", scales, 0, {0x00, 0x00, 0x80, 0x7f});
  EXPECT_EQ(failures("out/int8"), Names{"opens"});
}

TEST_F(EncoderConvertTest, AFloatTwinALabelAndAnotherEpsilonAreFound) {
  make_source(test::tiny_distilbert_config());
  run("int8");
  forget_manifest();
  nlohmann::json config = read_json_file(folder_ / "out/int8/config.json");
  nlohmann::json changed = config;
  std::swap(changed["id2label"]["0"], changed["id2label"]["2"]);
  test::write_json(folder_ / "out/int8/config.json", changed);
  EXPECT_EQ(failures("out/int8"), Names{"configuration"});
  changed = config;
  changed["activation"] = "relu";
  test::write_json(folder_ / "out/int8/config.json", changed);
  EXPECT_EQ(failures("out/int8"), Names{"configuration"});
  test::write_json(folder_ / "out/int8/config.json", config);
  EXPECT_EQ(failures("out/int8"), Names{});
  test::write_floats(folder_ / "out/int8/model-more.safetensors",
                     {{"classifier.weight_float", {{3, 64}, std::vector<float>(3 * 64, 0.1f)}}});
  EXPECT_NE(failures("out/int8"), Names{});
}

TEST_F(EncoderConvertTest, InspectNamesWhatIsThere) {
  make_source(test::tiny_distilbert_config());
  run("int8,int4,int8-emb-fp32");
  const Inspection int8 = inspect_path(folder_ / "out/int8");
  EXPECT_EQ(int8.container, "assay");
  EXPECT_EQ(int8.declared["format"], "int8");
  EXPECT_EQ(int8.verdict, Verdict::kQuantized) << reasons("out/int8");
  EXPECT_EQ(int8.formats().count("int8"), 1u);
  EXPECT_EQ(verdict("out/int4"), Verdict::kQuantized) << reasons("out/int4");
  EXPECT_EQ(inspect_path(folder_ / "out/int4").formats().count("int4-g64"), 1u);
  EXPECT_EQ(verdict("out/int8-emb-fp32"), Verdict::kMixed) << reasons("out/int8-emb-fp32");
  EXPECT_NE(reasons("out/int8-emb-fp32").find("embeddings are F32 and"), std::string::npos)
      << reasons("out/int8-emb-fp32");
}

TEST_F(EncoderConvertTest, ASummaryThatDeniesTheTensorsIsFake) {
  make_source(test::tiny_distilbert_config());
  run("int8");
  nlohmann::json config = read_json_file(folder_ / "out/int8/config.json");
  config["quantization_config"]["format"] = "int4";
  test::write_json(folder_ / "out/int8/config.json", config);
  EXPECT_EQ(verdict("out/int8"), Verdict::kFake);
  EXPECT_NE(reasons("out/int8").find("declares int4-g64, stored is int8"), std::string::npos)
      << reasons("out/int8");
}

TEST_F(EncoderConvertTest, QuantizedSourcesAndBadNumbersAreRefused) {
  make_source(test::tiny_bert_config());
  run("int8");
  EXPECT_THROW(convert(ConversionSource::open(folder_ / "out/int8"), parse_recipes("int4"), folder_ / "again",
                       {}, pool_, silent_progress()),
               Error);
  std::filesystem::remove_all(folder_ / "source");
  make_source(test::tiny_bert_config(), [](test::Tensors& tensors) {
    tensors.at("encoder.layer.0.output.dense.weight").second[3] = NAN;
  });
  EXPECT_THROW(run("int4"), Error);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/int4"));
}

}  // namespace
}  // namespace assay
