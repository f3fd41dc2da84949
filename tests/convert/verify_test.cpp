#include "convert/verify.hpp"

#include <gtest/gtest.h>

#include "convert/convert.hpp"
#include "convert/tiny_checkpoint.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

/// Converts a tiny checkpoint, damages the output in one way, and expects exactly the checks for that damage
/// to fail.
class VerifyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "source");
    test::write_tiny_checkpoint(folder_ / "source");
    convert(ConversionSource::open(folder_ / "source"), parse_recipes("gguf:Q4_K_M,mlx:4bit,gguf:BF16"),
            folder_ / "out", {}, pool_, silent_progress());
  }

  std::vector<std::string> failures(const std::filesystem::path& output) {
    std::vector<std::string> names;
    for (const Check& check : verify_output(output, folder_ / "source", pool_, silent_progress()).checks)
      if (!check.ok) names.push_back(check.name);
    return names;
  }

  std::filesystem::path gguf() const { return folder_ / "out/source-Q4_K_M.gguf"; }
  std::filesystem::path mlx() const { return folder_ / "out/mlx-4bit"; }

  /// Overwrites `count` bytes of a tensor part, found by its place in the mapped file.
  void poke(const std::filesystem::path& file, uint64_t offset, std::vector<uint8_t> bytes) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  uint64_t offset_in_gguf(const char* name) {
    const GgufFile file(gguf());
    return static_cast<uint64_t>(file.find(name)->bytes.data() - file.files()[0].bytes().data());
  }

  uint64_t offset_in_mlx(const char* name) {
    const SafetensorsFile file(mlx() / "model.safetensors");
    return static_cast<uint64_t>(file.find(name)->bytes.data() - file.file().bytes().data());
  }

  void forget_manifest() { std::filesystem::remove(folder_ / "out/assay.json"); }

  test::TemporaryFolder folder_;
  ThreadPool pool_{2};
};

using Names = std::vector<std::string>;

TEST_F(VerifyTest, HonestOutputsPassEveryCheck) {
  EXPECT_EQ(failures(gguf()), Names{});
  EXPECT_EQ(failures(mlx()), Names{});
  EXPECT_EQ(failures(folder_ / "out/source-BF16.gguf"), Names{});
  forget_manifest();
  EXPECT_EQ(failures(gguf()), Names{});
  EXPECT_EQ(failures(mlx()), Names{});
}

TEST_F(VerifyTest, OneWrongCodeBreaksTheBoundAndTheHash) {
  // The last nibble pair of a Q4_K block: two codes moved to the other end of their range.
  const uint64_t at = offset_in_gguf("blk.0.ffn_gate.weight") + 143;
  const GgufFile file(gguf());
  const uint8_t old = std::to_integer<uint8_t>(file.files()[0].bytes()[at]);
  poke(gguf(), at, {static_cast<uint8_t>(old ^ 0x88)});
  EXPECT_EQ(failures(gguf()), (Names{"manifest", "error bound"}));
}

TEST_F(VerifyTest, AnInfiniteScaleIsFound) {
  forget_manifest();
  poke(gguf(), offset_in_gguf("blk.1.attn_k.weight"), {0x00, 0x7c});
  EXPECT_EQ(failures(gguf()), Names{"finite"});
  // MLX scales of this F32 source are F32.
  poke(mlx() / "model.safetensors", offset_in_mlx("lm_head.scales"), {0x00, 0x00, 0xc0, 0x7f});
  EXPECT_EQ(failures(mlx()), Names{"finite"});
}

TEST_F(VerifyTest, ScalesFarTooLargeAreFound) {
  forget_manifest();
  // All codes 0 under scales of 100 times their size: every value lies within half a (stored) step.
  const SafetensorsFile file(mlx() / "model.safetensors");
  std::vector<float> scales(file.find("lm_head.scales")->bytes.size() / 4);
  std::memcpy(scales.data(), file.find("lm_head.scales")->bytes.data(), scales.size() * 4);
  for (float& scale : scales) scale *= 100.0f;
  std::vector<uint8_t> bytes(scales.size() * 4);
  std::memcpy(bytes.data(), scales.data(), bytes.size());
  poke(mlx() / "model.safetensors", offset_in_mlx("lm_head.weight"),
       std::vector<uint8_t>(file.find("lm_head.weight")->bytes.size(), 0));
  poke(mlx() / "model.safetensors", offset_in_mlx("lm_head.scales"), bytes);
  EXPECT_EQ(failures(mlx()), Names{"packing"});
}

TEST_F(VerifyTest, AnotherSourceIsFound) {
  std::filesystem::remove_all(folder_ / "source");
  std::filesystem::create_directory(folder_ / "source");
  test::write_tiny_checkpoint(folder_ / "source", [](test::Tensors& tensors) {
    tensors.at("model.layers.1.self_attn.q_proj.weight").second[77] += 0.2f;
  });
  EXPECT_EQ(failures(gguf()), (Names{"manifest", "error bound"}));
}

TEST_F(VerifyTest, UnpermutedQueryRowsAreFound) {
  forget_manifest();
  // Rows 0 and 1 of q belong together after llama.cpp's permutation; swapping them is what forgetting it
  // does.
  const uint64_t at = offset_in_gguf("blk.0.attn_q.weight");
  const GgufFile file(gguf());
  std::vector<uint8_t> rows(288);
  std::memcpy(rows.data(), file.files()[0].bytes().data() + at, rows.size());
  std::rotate(rows.begin(), rows.begin() + 144, rows.end());
  poke(gguf(), at, rows);
  EXPECT_EQ(failures(gguf()), (Names{"error bound", "packing"}));
}

TEST_F(VerifyTest, AFloatTwinIsFound) {
  forget_manifest();
  test::write_floats(
      mlx() / "model-float.safetensors",
      {{"model.layers.0.mlp.up_proj.weight_float", {{512, 256}, std::vector<float>(512 * 256, 0.1f)}}});
  std::filesystem::remove(mlx() / "model.safetensors.index.json");
  const Names found = failures(mlx());
  EXPECT_NE(std::find(found.begin(), found.end(), "no float twin"), found.end());
  EXPECT_NE(std::find(found.begin(), found.end(), "opens"), found.end());
}

TEST_F(VerifyTest, ASecondWeightFileIsFound) {
  forget_manifest();
  std::ofstream(mlx() / "pytorch_model.bin") << std::string(1000, 'x');
  EXPECT_EQ(failures(mlx()), Names{"no float twin"});
}

TEST_F(VerifyTest, AnotherFormatThanPromisedIsFound) {
  forget_manifest();
  std::filesystem::copy_file(gguf(), folder_ / "out/other.gguf");
  // file_type 14 is Q4_K_S, whose mix differs from Q4_K_M's.
  const GgufFile file(folder_ / "out/other.gguf");
  const auto bytes = file.files()[0].bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  poke(folder_ / "out/other.gguf", text.find("general.file_type") + 17 + 4, {14});
  const Names found = failures(folder_ / "out/other.gguf");
  EXPECT_NE(std::find(found.begin(), found.end(), "formats"), found.end());
}

TEST_F(VerifyTest, MissingTokenizerAndWrongConfigurationAreFound) {
  forget_manifest();
  std::filesystem::remove(mlx() / "tokenizer.json");
  EXPECT_EQ(failures(mlx()), Names{"tokenizer"});
  std::filesystem::copy_file(folder_ / "source/tokenizer.json", mlx() / "tokenizer.json");
  std::ifstream in(mlx() / "config.json");
  nlohmann::json config = nlohmann::json::parse(in);
  config["rope_theta"] = 777.0;
  std::ofstream(mlx() / "config.json") << config.dump();
  EXPECT_EQ(failures(mlx()), Names{"configuration"});
}

TEST_F(VerifyTest, AChangedWindowScalingOrStopIdIsFound) {
  forget_manifest();
  const nlohmann::json yarn = {{"rope_type", "yarn"},
                               {"factor", 4.0},
                               {"original_max_position_embeddings", 512},
                               {"attention_factor", 1.0},
                               {"beta_fast", 16.0}};
  nlohmann::json config = read_json_file(mlx() / "config.json");
  config["rope_scaling"] = yarn;
  const auto write = [&](const nlohmann::json& changed) {
    std::ofstream(mlx() / "config.json") << changed.dump();
  };
  nlohmann::json source = read_json_file(folder_ / "source/config.json");
  source["rope_scaling"] = yarn;
  std::ofstream(folder_ / "source/config.json") << source.dump();
  write(config);
  EXPECT_EQ(failures(mlx()), Names{});
  const nlohmann::json changes = {{"original_max_position_embeddings", 1024},
                                  {"beta_fast", 32.0},
                                  {"beta_slow", 2.0},
                                  {"truncate", false}};
  for (const auto& [key, value] : changes.items()) {
    nlohmann::json changed = config;
    changed["rope_scaling"][key] = value;
    write(changed);
    EXPECT_EQ(failures(mlx()), Names{"configuration"}) << key;
  }
  for (const char* key : {"eos_token_id", "bos_token_id"}) {
    nlohmann::json changed = config;
    changed[key] = 7;
    write(changed);
    EXPECT_EQ(failures(mlx()), Names{"configuration"}) << key;
  }
  nlohmann::json windowed = config;
  windowed["model_type"] = "mistral";
  windowed["sliding_window"] = 8;
  write(windowed);
  EXPECT_EQ(failures(mlx()), Names{"configuration"});
}

TEST_F(VerifyTest, ACutOffFileIsOneClearLine) {
  std::filesystem::resize_file(gguf(), std::filesystem::file_size(gguf()) - 4096);
  EXPECT_EQ(failures(gguf()), (Names{"opens", "no float twin"}));
}

}  // namespace
}  // namespace assay
