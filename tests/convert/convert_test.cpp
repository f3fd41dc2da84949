#include "convert/convert.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "convert/tiny_checkpoint.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

class ConvertTest : public testing::Test {
 protected:
  std::vector<ConvertedOutput> run(const char* recipes, int threads = 2, const char* out = "out",
                                   bool overwrite = false) {
    ThreadPool pool(threads);
    return convert(ConversionSource::open(folder_ / "source"), parse_recipes(recipes), folder_ / out,
                   {overwrite}, pool, silent_progress());
  }

  void write_source(const std::function<void(test::Tensors&)>& change = {}) {
    std::filesystem::remove_all(folder_ / "source");
    std::filesystem::create_directory(folder_ / "source");
    test::write_tiny_checkpoint(folder_ / "source", change);
  }

  std::string fault(const char* recipes) {
    try {
      run(recipes);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  bool has_output() const { return std::filesystem::exists(folder_ / "out"); }

  test::TemporaryFolder folder_;
};

void expect_names(const std::string& fault, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(fault.find(part), std::string::npos) << part << " in: " << fault;
}

TEST_F(ConvertTest, WritesEveryRecipeExactlyAsPlanned) {
  write_source();
  std::string all;
  for (const std::string& name : recipe_names())
    // Aliases name recipes of the list once more.
    if (const Recipe recipe = parse_recipe(name); !recipe.encoder && recipe.name == name)
      all += (all.empty() ? "" : ",") + name;
  for (const ConvertedOutput& output : run(all.c_str())) {
    const ModelFile model = ModelFile::open(output.path);
    EXPECT_EQ(model.weight_bytes(), output.plan.weight_bytes) << output.plan.recipe.name;
    for (size_t i = 0; i < output.plan.tensors.size(); ++i) {
      const PlannedTensor& planned = output.plan.tensors[i];
      EXPECT_EQ(model.find(planned.slot.role, planned.slot.layer)->weight.format, planned.format);
      // A plain F32 copy has no error at all; a code of b bits errs by some 2^-b of the largest weight.
      if (planned.format.kind == WeightKind::kF32)
        EXPECT_EQ(output.errors[i].error_squares, 0.0) << planned.name;
      else
        EXPECT_GT(output.errors[i].rms_relative(), 0.0) << planned.name;
    }
  }
}

TEST_F(ConvertTest, BytesDoNotDependOnTheThreads) {
  write_source();
  const std::vector<ConvertedOutput> one = run("gguf:Q4_K_M,mlx:4bit", 1, "one");
  const std::vector<ConvertedOutput> three = run("gguf:Q4_K_M,mlx:4bit", 3, "three");
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].files[0].sha256, three[i].files[0].sha256);
    for (size_t t = 0; t < one[i].errors.size(); ++t)
      EXPECT_EQ(one[i].errors[t].error_squares, three[i].errors[t].error_squares);
  }
}

TEST_F(ConvertTest, ManifestRecordsAndMerges) {
  write_source();
  run("gguf:Q8_0");
  run("mlx:4bit");
  run("gguf:Q8_0", 2, "out", true);
  const nlohmann::json manifest = read_json_file(folder_ / "out" / "assay.json");
  ASSERT_EQ(manifest["outputs"].size(), 2u);
  const nlohmann::json& entry = manifest["outputs"][0];
  EXPECT_EQ(entry["recipe"], "gguf:Q8_0");
  const std::string path = entry["path"];
  EXPECT_EQ(entry["files"][0]["sha256"], sha256_of_file(folder_ / "out" / path));
  EXPECT_EQ(entry["source"]["files"][0]["name"], "config.json");
  EXPECT_EQ(entry["tensors"].size(), 21u);
  EXPECT_GT(entry["tensors"][0]["error"]["rms_relative"].get<double>(), 0.0);
}

TEST_F(ConvertTest, RefusesWhatWouldBeWrong) {
  write_source();
  run("gguf:Q8_0");
  expect_names(fault("gguf:Q8_0"), {"already exists", "--overwrite"});
  std::filesystem::rename(folder_ / "out", folder_ / "kept");
  std::filesystem::remove(folder_ / "source" / "tokenizer.json");
  expect_names(fault("gguf:Q8_0"), {"no tokenizer"});
  EXPECT_FALSE(has_output());
  write_source();
  run("mlx:4bit");
  std::filesystem::remove_all(folder_ / "source");
  std::filesystem::rename(folder_ / "out" / "mlx-4bit", folder_ / "source");
  std::filesystem::remove_all(folder_ / "out");
  expect_names(fault("gguf:Q8_0"), {"quantized already"});
  EXPECT_FALSE(has_output());
}

TEST_F(ConvertTest, NamesTheFirstWeightThatIsNotFinite) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    write_source([&](test::Tensors& tensors) {
      tensors.at(name).second[300 * 256 + 17] = bad;
      tensors.at(name).second[301 * 256 + 3] = bad;
    });
    for (const char* recipe : {"gguf:Q4_K_M", "mlx:4bit", "mlx:f32", "gguf:BF16"}) {
      expect_names(fault(recipe), {name.c_str(), "[300, 17]", std::isnan(bad) ? "NaN" : "infinity"});
      EXPECT_FALSE(has_output()) << recipe;
    }
  }
}

TEST_F(ConvertTest, NamesAWeightThatF16CannotHold) {
  write_source([](test::Tensors& tensors) { tensors.at("lm_head.weight").second[5] = 70000.0f; });
  expect_names(fault("gguf:F16"), {"lm_head.weight", "does not fit"});
  EXPECT_FALSE(has_output());
  EXPECT_EQ(fault("gguf:BF16"), "no error");
}

TEST_F(ConvertTest, AFailureKeepsWhatWasThere) {
  write_source();
  const std::string before = run("gguf:Q8_0")[0].files[0].sha256;
  write_source([](test::Tensors& tensors) { tensors.at("lm_head.weight").second[0] = NAN; });
  EXPECT_THROW(run("gguf:Q8_0", 2, "out", true), Error);
  EXPECT_EQ(sha256_of_file(folder_ / "out" / "source-Q8_0.gguf"), before);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out"))
    files += entry.exists() ? 1 : 0;
  EXPECT_EQ(files, 2u) << "the GGUF and the manifest, and no temporary";
}

TEST_F(ConvertTest, RefusesTargetsItCouldNotFinishBeforeWriting) {
  write_source();
  const auto entries = [&] {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out"))
      count += entry.exists() ? 1 : 0;
    return count;
  };
  const auto overwriting = [&](const char* recipes) -> std::string {
    try {
      run(recipes, 2, "out", true);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  std::filesystem::create_directory(folder_ / "out");
  for (const char* foreign : {"[1, 2]", "{\"outputs\": 3}", "no JSON"}) {
    std::ofstream(folder_ / "out/assay.json") << foreign;
    expect_names(fault("gguf:Q8_0"), {"assay.json"});
    EXPECT_EQ(entries(), 1u) << foreign;
  }
  std::filesystem::remove(folder_ / "out/assay.json");
  std::ofstream(folder_ / "out/mlx-4bit") << "a file";
  expect_names(overwriting("gguf:Q8_0,mlx:4bit"), {"mlx-4bit", "a folder"});
  std::filesystem::create_directory(folder_ / "out/source-Q8_0.gguf");
  expect_names(overwriting("gguf:Q8_0"), {"source-Q8_0.gguf", "a folder"});
  EXPECT_EQ(entries(), 2u);
}

TEST_F(ConvertTest, RefusesToReplaceItsOwnSource) {
  write_source();
  std::filesystem::create_directory(folder_ / "out");
  std::filesystem::rename(folder_ / "source", folder_ / "out/mlx-bf16");
  std::filesystem::create_directory_symlink(folder_ / "out/mlx-bf16", folder_ / "source");
  const std::string before = sha256_of_file(folder_ / "source/model.safetensors");
  EXPECT_THROW(run("mlx:bf16", 2, "out", true), Error);
  EXPECT_EQ(sha256_of_file(folder_ / "source/model.safetensors"), before);
  // Nor a folder that the source lies in.
  write_source();
  std::filesystem::create_directory(folder_ / "out/mlx-4bit");
  std::filesystem::rename(folder_ / "source", folder_ / "out/mlx-4bit/inner");
  std::filesystem::create_directory_symlink(folder_ / "out/mlx-4bit/inner", folder_ / "source");
  EXPECT_THROW(run("mlx:4bit", 2, "out", true), Error);
  EXPECT_EQ(sha256_of_file(folder_ / "source/model.safetensors"), before);
}

TEST_F(ConvertTest, APathThatIsNoUtf8StillGetsItsManifest) {
  write_source();
  std::error_code fault;
  std::filesystem::rename(folder_ / "source", folder_ / "s\xff", fault);
  if (fault) GTEST_SKIP() << "this file system takes UTF-8 names alone";
  ThreadPool pool(2);
  convert(ConversionSource::open(folder_ / "s\xff"), parse_recipes("mlx:4bit"), folder_ / "out", {}, pool,
          silent_progress());
  EXPECT_EQ(read_json_file(folder_ / "out/assay.json")["outputs"].size(), 1u);
}

TEST_F(ConvertTest, MlxDirectorySaysEverythingStockLoadersAskFor) {
  write_source();
  run("mlx:8bit-g32");
  const std::filesystem::path out = folder_ / "out" / "mlx-8bit-g32";
  const nlohmann::json config = read_json_file(out / "config.json");
  EXPECT_EQ(config["quantization"], (nlohmann::json{{"bits", 8}, {"group_size", 32}, {"mode", "affine"}}));
  EXPECT_EQ(config["quantization_config"], config["quantization"]);
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_TRUE(std::filesystem::exists(out / "tokenizer.json"));
  EXPECT_TRUE(std::filesystem::exists(out / "README.md"));
  const nlohmann::json index = read_json_file(out / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], ModelFile::open(out).weight_bytes());
  EXPECT_EQ(index["weight_map"]["lm_head.scales"], "model.safetensors");
}

TEST(ConvertTinyStories, Q8_0EqualsLlamaCppInEveryTensorByte) {
  ASSAY_NEED_DATA(source, "models/TinyStories-656K");
  const GgufFile expected(source / "gguf" / "TinyStories-656K-Q8_0.gguf");
  const test::TemporaryFolder folder;
  ThreadPool pool(2);
  const auto outputs = convert(ConversionSource::open(source), parse_recipes("gguf:Q8_0"), folder.path(), {},
                               pool, silent_progress());
  const GgufFile found(outputs.at(0).path);
  ASSERT_EQ(found.tensors().size(), expected.tensors().size());
  for (size_t i = 0; i < found.tensors().size(); ++i) {
    const GgufTensor &a = found.tensors()[i], &b = expected.tensors()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.dims, b.dims);
    ASSERT_EQ(a.bytes.size(), b.bytes.size());
    EXPECT_EQ(std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()), 0) << a.name;
  }
}

}  // namespace
}  // namespace assay
