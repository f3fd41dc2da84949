#include "convert/inspect.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "convert/convert.hpp"
#include "convert/tiny_checkpoint.hpp"

namespace assay {
namespace {

std::string joined(const Inspection& inspection) {
  std::string text;
  for (const std::string& reason : inspection.reasons) text += reason + "\n";
  return text;
}

class InspectTest : public testing::Test {
 protected:
  void make_source(const char* name, const std::function<void(test::Tensors&)>& change = {}) {
    std::filesystem::create_directory(folder_ / name);
    test::write_tiny_checkpoint(folder_ / name, change);
  }

  void convert_to(const char* recipes) {
    make_source("source");
    convert(ConversionSource::open(folder_ / "source"), parse_recipes(recipes), folder_ / "out", {}, pool_,
            silent_progress());
  }

  Inspection look(const std::string& name) { return inspect_path(folder_ / name); }

  test::TemporaryFolder folder_;
  ThreadPool pool_{2};
};

TEST_F(InspectTest, HonestOutputsHaveHonestVerdicts) {
  convert_to("gguf:Q4_K_M,gguf:Q8_0,gguf:BF16,mlx:4bit,mlx:8bit,mlx:2bit,mlx:bf16");
  EXPECT_EQ(look("source").verdict, Verdict::kUnquantized);
  EXPECT_EQ(look("out/source-Q4_K_M.gguf").verdict, Verdict::kQuantized)
      << joined(look("out/source-Q4_K_M.gguf"));
  EXPECT_EQ(look("out/source-Q8_0.gguf").verdict, Verdict::kQuantized);
  EXPECT_EQ(look("out/source-BF16.gguf").verdict, Verdict::kUnquantized);
  EXPECT_EQ(look("out/mlx-4bit").verdict, Verdict::kQuantized) << joined(look("out/mlx-4bit"));
  EXPECT_EQ(look("out/mlx-8bit").verdict, Verdict::kQuantized);
  EXPECT_EQ(look("out/mlx-2bit").verdict, Verdict::kQuantized) << joined(look("out/mlx-2bit"));
  EXPECT_EQ(look("out/mlx-bf16").verdict, Verdict::kUnquantized);
  EXPECT_EQ(look("out/mlx-4bit").container, "mlx");
  EXPECT_EQ(look("out/mlx-4bit").tensors[0].format, "mlx-4bit-g64");
}

TEST_F(InspectTest, FloatsOfFewLevelsAreFake) {
  make_source("model", [](test::Tensors& tensors) {
    for (auto& [name, tensor] : tensors)
      if (tensor.first.size() == 2)
        for (float& value : tensor.second) value = 0.002f * std::nearbyint(value / 0.002f);
  });
  EXPECT_EQ(look("model").verdict, Verdict::kFake);
  EXPECT_NE(joined(look("model")).find("written back"), std::string::npos);
}

TEST_F(InspectTest, ANameThatPromisesBitsOverFloatsIsFake) {
  make_source("model-q4");
  EXPECT_EQ(look("model-q4").verdict, Verdict::kFake);
  EXPECT_NE(joined(look("model-q4")).find("promises 4 bits"), std::string::npos);
}

TEST_F(InspectTest, BitsInTheMiddleOfANamePromiseNothing) {
  make_source("tiny-q4-distilled-teacher");
  EXPECT_EQ(look("tiny-q4-distilled-teacher").verdict, Verdict::kUnquantized);
  for (const char* name : {"tiny-4bit", "tiny-4-bit-mlx", "tiny.Q4_K_M", "tiny-int4-g64", "tiny-IQ4"}) {
    std::filesystem::rename(folder_ / "tiny-q4-distilled-teacher", folder_ / name);
    const bool promises = std::string(name) != "tiny-IQ4";
    EXPECT_EQ(look(name).verdict, promises ? Verdict::kFake : Verdict::kUnquantized) << name;
    std::filesystem::rename(folder_ / name, folder_ / "tiny-q4-distilled-teacher");
  }
}

TEST_F(InspectTest, MoreBitsThanPromisedAreSaid) {
  convert_to("gguf:Q4_K_M,mlx:6bit,gguf:Q5_K_S");
  std::filesystem::rename(folder_ / "out/mlx-6bit", folder_ / "model-3bit");
  EXPECT_NE(joined(look("model-3bit")).find("\"3bit\" promises 3 bits, but 100 %"), std::string::npos)
      << joined(look("model-3bit"));
  for (const char* honest : {"out/source-Q4_K_M.gguf", "out/source-Q5_K_S.gguf"})
    EXPECT_EQ(joined(look(honest)).find("promises"), std::string::npos) << joined(look(honest));
  std::filesystem::rename(folder_ / "out/source-Q4_K_M.gguf", folder_ / "x-Q2_K.gguf");
  EXPECT_NE(joined(look("x-Q2_K.gguf")).find("\"q2_k\" promises 2 bits"), std::string::npos)
      << joined(look("x-Q2_K.gguf"));
}

TEST_F(InspectTest, EightBitsUnderAFourBitNameAreFake) {
  convert_to("gguf:Q8_0,mlx:8bit");
  std::filesystem::rename(folder_ / "out/source-Q8_0.gguf", folder_ / "model-int4.gguf");
  std::filesystem::rename(folder_ / "out/mlx-8bit", folder_ / "model-4bit");
  EXPECT_EQ(look("model-int4.gguf").verdict, Verdict::kFake);
  EXPECT_EQ(look("model-4bit").verdict, Verdict::kFake);
  EXPECT_NE(joined(look("model-4bit")).find("codes of 8 bits"), std::string::npos);
}

TEST_F(InspectTest, DeclaredBitsThatAreNotStoredAreFake) {
  convert_to("mlx:8bit");
  std::ifstream in(folder_ / "out/mlx-8bit/config.json");
  nlohmann::json config = nlohmann::json::parse(in);
  config["quantization"]["bits"] = 4;
  std::ofstream(folder_ / "out/mlx-8bit/config.json") << config.dump();
  EXPECT_EQ(look("out/mlx-8bit").verdict, Verdict::kFake);
  EXPECT_NE(joined(look("out/mlx-8bit")).find("declares 4 bits"), std::string::npos);
}

TEST_F(InspectTest, CodesThatSayNothingAreFake) {
  convert_to("mlx:4bit");
  const std::filesystem::path path = folder_ / "out/mlx-4bit/model.safetensors";
  std::vector<std::pair<uint64_t, size_t>> codes;
  {
    const SafetensorsFile file(path);
    for (const TensorView& tensor : file.tensors())
      if (tensor.dtype == DType::kU32)
        codes.emplace_back(tensor.bytes.data() - file.file().bytes().data(), tensor.bytes.size());
  }
  std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
  for (const auto& [offset, size] : codes) {
    stream.seekp(static_cast<std::streamoff>(offset));
    stream << std::string(size, '\0');
  }
  stream.close();
  EXPECT_EQ(look("out/mlx-4bit").verdict, Verdict::kFake);
}

TEST_F(InspectTest, EightBitCodesOfFewLevelsAreNamed) {
  make_source("coarse", [](test::Tensors& tensors) {
    for (auto& [name, tensor] : tensors)
      if (tensor.first.size() == 2)
        for (float& value : tensor.second) value = 0.05f * std::nearbyint(value / 0.05f);
  });
  convert(ConversionSource::open(folder_ / "coarse"), parse_recipes("mlx:8bit,gguf:Q8_0"), folder_ / "few",
          {}, pool_, silent_progress());
  convert_to("mlx:8bit,gguf:Q8_0");
  for (const char* output : {"mlx-8bit", "coarse-Q8_0.gguf"}) {
    const Inspection found = look(std::string("few/") + output);
    EXPECT_NE(joined(found).find("at most 16 occur"), std::string::npos) << joined(found);
    EXPECT_EQ(found.verdict, Verdict::kQuantized);
  }
  for (const char* output : {"out/mlx-8bit", "out/source-Q8_0.gguf"})
    EXPECT_EQ(joined(look(output)).find("at most 16 occur"), std::string::npos) << joined(look(output));
}

TEST_F(InspectTest, SomeWeightsLeftFloatAreMixed) {
  convert_to("mlx:4bit");
  std::filesystem::create_directory(folder_ / "mixed");
  // lm_head (12 % of the weights) as plain floats among quantized ones, without a configuration.
  std::filesystem::copy_file(folder_ / "out/mlx-4bit/model.safetensors", folder_ / "mixed/a.safetensors");
  test::Tensors plain;
  std::vector<float> values(320 * 256);
  Rng rng(3);
  for (float& value : values) value = static_cast<float>(rng.normal());
  plain["extra.weight"] = {{320, 256}, values};
  test::write_floats(folder_ / "mixed/b.safetensors", plain);
  EXPECT_EQ(look("mixed").verdict, Verdict::kMixed);
  EXPECT_NE(joined(look("mixed")).find("left unquantized: extra.weight"), std::string::npos);
}

TEST_F(InspectTest, FloatsBesideTheirOwnScalesAreFake) {
  Rng rng(5);
  std::vector<float> values(64 * 64);
  for (float& value : values) value = static_cast<float>(rng.normal());
  test::write_floats(folder_ / "v1.safetensors", {{"layer.weight", {{64, 64}, values}},
                                                  {"layer.weight.scale", {{1}, {0.1f}}},
                                                  {"layer.weight.zero_point", {{1}, {8.0f}}}});
  EXPECT_EQ(look("v1.safetensors").verdict, Verdict::kFake);
}

TEST_F(InspectTest, DamagedFilesAreOneClearLine) {
  make_source("source");
  std::filesystem::resize_file(folder_ / "source/model.safetensors", 5000);
  EXPECT_THROW(look("source"), Error);
  EXPECT_THROW(look("source/model.safetensors"), Error);
  EXPECT_THROW(look("source/config.json"), Error);
  EXPECT_THROW(look("nothing"), Error);
}

TEST_F(InspectTest, JsonHasTheAgreedMembers) {
  make_source("source");
  const nlohmann::json json = inspection_json(look("source"));
  for (const char* key : {"path", "container", "architecture", "parameters", "bytes", "bits_per_weight",
                          "declared", "verdict", "reasons", "formats", "tensors"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["formats"]["F32"]["tensors"], 21);
  EXPECT_EQ(json["architecture"], "llama");
}

TEST(InspectRealFiles, GenuineFilesRaiseNoAlarm) {
  ASSAY_NEED_DATA(stories, "models/TinyStories-656K");
  EXPECT_EQ(inspect_path(stories).verdict, Verdict::kUnquantized);
  EXPECT_EQ(inspect_path(stories / "gguf/TinyStories-656K-Q8_0.gguf").verdict, Verdict::kQuantized);
  ASSAY_NEED_DATA(bart, "models/bart-g2p/us_bart.safetensors");
  EXPECT_EQ(inspect_path(bart).verdict, Verdict::kUnquantized);
  ASSAY_NEED_DATA(npz, "peers/mlx-lora/mistral-sql-adapters/adapters.npz");
  EXPECT_EQ(inspect_path(npz).verdict, Verdict::kUnquantized);
  for (const auto& entry : std::filesystem::directory_iterator(test::source_file("tests/models")))
    if (std::filesystem::exists(entry.path() / "config.json")) {
      const Inspection found = inspect_path(entry.path());
      EXPECT_EQ(found.verdict, Verdict::kUnquantized) << entry.path() << joined(found);
    }
}

TEST(InspectRealFiles, AnIndexAloneTellsMlxFromBitsandbytes) {
  ASSAY_NEED_DATA(mlx, "peers/mlx-gr3b-q4");
  const Inspection real = inspect_path(mlx);
  EXPECT_EQ(real.verdict, Verdict::kQuantized) << joined(real);
  EXPECT_EQ(real.bytes, 1807423488u);
  EXPECT_NE(joined(real).find("to the byte"), std::string::npos);
  ASSAY_NEED_DATA(bnb, "peers/bnb-guardreasoner-8b-4bit");
  const Inspection other = inspect_path(bnb);
  EXPECT_EQ(other.verdict, Verdict::kMixed) << joined(other);
  EXPECT_NE(joined(other).find("bitsandbytes"), std::string::npos);
  EXPECT_NE(joined(other).find("lm_head.weight (F16)"), std::string::npos);
  EXPECT_GT(other.bits_per_weight(), 5.6);
}

}  // namespace
}  // namespace assay
