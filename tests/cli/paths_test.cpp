// What people try first: other orders, other folders, odd names.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_success;

class PathsTest : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source");
};

TEST_F(PathsTest, OptionsStandAnywhere) {
  expect_success({"quantize", "-o", folder_ / "a", "--to=mlx:4bit", source_});
  expect_success({"quantize", "--json", source_, "--overwrite", "-o", folder_ / "a", "--to", "q4"});
  expect_success({"verify", "--against", source_, folder_ / "a/mlx-4bit"});
}

TEST_F(PathsTest, RelativePathsAndTrailingSlashes) {
  const test::Surroundings here{.folder = folder_.path()};
  expect_success({"quantize", "source/", "--to", "q4,gguf:Q8_0", "-o", "out/"}, here);
  expect_success({"verify", "./out/mlx-4bit/", "--against", "source/."}, here);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/source-Q8_0.gguf"));
  // From within the source itself, its folder's name is still the model's.
  expect_success({"quantize", ".", "--to", "gguf:Q8_0", "-o", "../second"}, {.folder = source_});
  EXPECT_TRUE(std::filesystem::exists(folder_ / "second/source-Q8_0.gguf"));
}

TEST_F(PathsTest, SpacesUnicodeAndQuotes) {
  const std::filesystem::path odd = test::copy_checkpoint(folder_ / "a b/mödel \"1\" 模型");
  expect_success({"quantize", odd, "--to", "q8,gguf:Q8_0", "-o", folder_ / "ö ut"});
  const std::filesystem::path file = folder_ / "ö ut/mödel \"1\" 模型-Q8_0.gguf";
  expect_success({"verify", file, "--against", odd});
  expect_success({"verify", folder_ / "ö ut/mlx-8bit", "--against", odd});
  const json inspected = expect_success({"inspect", file, "--json"}).json();
  EXPECT_EQ(inspected["path"], file.string());
}

TEST_F(PathsTest, SymbolicLinks) {
  std::filesystem::create_directory_symlink("source", folder_ / "link");
  expect_success({"quantize", folder_ / "link", "--to", "gguf:Q8_0", "-o", folder_ / "out"});
  // The hub's cache names snapshots by hashes and links to blobs; the name is the real folder's.
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/source-Q8_0.gguf"));
  std::filesystem::create_directory(folder_ / "cache");
  for (const auto& entry : std::filesystem::directory_iterator(source_))
    std::filesystem::create_symlink(entry.path(), folder_ / "cache" / entry.path().filename());
  expect_success({"quantize", folder_ / "cache", "--to", "q4", "-o", folder_ / "out"});
  expect_success({"verify", folder_ / "out/mlx-4bit", "--against", folder_ / "cache"});
}

TEST_F(PathsTest, HomeAndVariablesAreExpanded) {
  const test::Surroundings home{.environment = {{"HOME", folder_.path()}, {"MODEL", "source"}}};
  expect_success({"inspect", "~/source"}, home);
  expect_success({"inspect", "~/$MODEL"}, home);
  expect_success({"inspect", "~/${MODEL}/model.safetensors"}, home);
}

TEST_F(PathsTest, AFileIsWhatItHoldsNotWhatItIsCalled) {
  expect_success({"quantize", source_, "--to", "gguf:Q8_0", "-o", folder_ / "out"});
  for (const char* name : {"weights.bin", "weights.safetensors", "weights"}) {
    std::filesystem::copy_file(folder_ / "out/source-Q8_0.gguf", folder_ / name);
    const json document = expect_success({"inspect", folder_ / name, "--json"}).json();
    EXPECT_EQ(document["container"], "gguf") << name;
    EXPECT_EQ(document["verdict"], "quantized") << name;
  }
  expect_success({"generate", folder_ / "weights.bin", "-p", "the", "--max-tokens", "2"});
  expect_success({"verify", folder_ / "weights.bin", "--against", source_});
}

TEST_F(PathsTest, AFolderOfOutputsNamesThem) {
  expect_success({"quantize", source_, "--to", "q4,gguf:Q8_0", "-o", folder_ / "out"});
  test::expect_fault({"inspect", folder_ / "out"}, {"a folder of models", "mlx-4bit", "source-Q8_0.gguf"});
  // A folder with one GGUF file in it is that file.
  std::filesystem::remove_all(folder_ / "out/mlx-4bit");
  expect_success({"inspect", folder_ / "out", "--expect", "quantized"});
}

TEST_F(PathsTest, APipeThatClosesEarlyEndsTheRunQuietly) {
  const std::string command = std::string(ASSAY_BINARY) + " inspect " + source_ + " --tensors 2> " +
                              (folder_ / "line").string() + " | head -1 > " + (folder_ / "out").string();
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(test::read_file(folder_ / "out"), source_ + "\n");
  EXPECT_EQ(test::read_file(folder_ / "line").find("terminate"), std::string::npos);
}

}  // namespace
}  // namespace assay
