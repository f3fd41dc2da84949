/// Files that others wrote: every reader agrees with what is known of them.
#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "io/byte_cursor.hpp"
#include "io/checkpoint.hpp"
#include "io/gguf.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;

TEST(RealSafetensors, TinyStoriesHasItsHeadAndNamesTheAlias) {
  ASSAY_NEED_DATA(folder, "models/TinyStories-656K");
  const CheckpointDirectory checkpoint(folder);
  ASSERT_EQ(checkpoint.shards().size(), 1u);
  EXPECT_EQ(checkpoint.tensors().size(), 20u);
  const TensorView* head = checkpoint.find("lm_head.weight");
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->dtype, DType::kF32);
  EXPECT_EQ(head->shape, (Shape{2048, 128}));
  EXPECT_EQ(checkpoint.find("model.embed_tokens.weight"), nullptr);
  EXPECT_EQ(checkpoint.shards()[0]->metadata().at("model.embed_tokens.weight"), "lm_head.weight");
  EXPECT_EQ(checkpoint.config().at("hidden_size"), 128);
  EXPECT_TRUE(checkpoint.generation_config().is_object());
  EXPECT_TRUE(checkpoint.index().is_null());
}

/// The shards under the names that a checkpoint folder gives them.
void copy_tiny_llama(const fs::path& source, const fs::path& folder) {
  fs::copy_file(source / "tiny_llama_config.json", folder / "config.json");
  for (const char* part : {"-00001-of-00002", "-00002-of-00002"}) {
    const std::string name = std::string("tiny_llama") + part + ".safetensors";
    fs::copy_file(source / name, folder / name);
  }
  fs::copy_file(source / "tiny_llama.safetensors.index.json", folder / "model.safetensors.index.json");
}

TEST(RealSafetensors, ShardsHoldTheSameTensorsAsTheSingleFile) {
  ASSAY_NEED_DATA(source, "golden-arch/neural-api");
  const test::TemporaryFolder folder;
  copy_tiny_llama(source, folder.path());
  const CheckpointDirectory sharded(folder.path());
  const SafetensorsFile single(source / "tiny_llama.safetensors");
  EXPECT_EQ(sharded.shards().size(), 2u);
  ASSERT_EQ(sharded.tensors().size(), single.tensors().size());
  for (const TensorView& tensor : single.tensors()) {
    const TensorView* other = sharded.find(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(other->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(other->bytes, tensor.bytes)) << tensor.name;
  }
}

TEST(RealSafetensors, MlxWritesDataInAnotherOrderThanTheHeader) {
  ASSAY_NEED_DATA(path, "peers/mlx-lora/qwen-adapters/adapters.safetensors");
  const SafetensorsFile file(path);
  ASSERT_GT(file.tensors().size(), 10u);
  EXPECT_FALSE(std::is_sorted(file.tensors().begin(), file.tensors().end(),
                              [](const auto& a, const auto& b) { return a.name < b.name; }));
  uint64_t total = 8 + file.header_bytes();
  for (const TensorView& tensor : file.tensors()) total += tensor.bytes.size();
  EXPECT_EQ(total, fs::file_size(path));
}

TEST(RealSafetensors, EveryFileOfTheTestDataIsRead) {
  ASSAY_NEED_DATA(folder, "golden-arch");
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(test::data_folder())) {
    if (entry.path().extension() != ".safetensors") continue;
    EXPECT_NO_THROW(SafetensorsFile{entry.path()}) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 15u);
}

TEST(RealCheckpoint, ConfigAloneIsEnoughForAPlan) {
  ASSAY_NEED_DATA(folder, "peers/mlx-gr3b-q4");
  const CheckpointDirectory checkpoint(folder, true);
  EXPECT_EQ(checkpoint.config().at("quantization").at("bits"), 4);
  EXPECT_EQ(checkpoint.index().at("metadata").at("total_size"), 1807423488);
  EXPECT_TRUE(checkpoint.tensors().empty());
  EXPECT_THROW(CheckpointDirectory(folder, false), Error);
}

TEST(RealGguf, Q8TensorsOfTinyStories) {
  ASSAY_NEED_DATA(path, "models/TinyStories-656K/gguf/TinyStories-656K-Q8_0.gguf");
  const GgufFile file(path);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.tensors().size(), 20u);
  const GgufTensor* embedding = file.find("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->kind, WeightKind::kQ8_0);
  EXPECT_EQ(embedding->rows(), 2048);
  EXPECT_EQ(embedding->cols(), 128);
  EXPECT_EQ(embedding->bytes.size(), 2048u * 128 / 32 * 34);
  EXPECT_EQ(embedding->view().format, ggml_format(WeightKind::kQ8_0));
  EXPECT_EQ(file.metadata().string("general.architecture"), "llama");
  EXPECT_EQ(file.metadata().strings("tokenizer.ggml.tokens").size(), 2048u);
  EXPECT_EQ(file.metadata().numbers("tokenizer.ggml.scores").size(), 2048u);
  EXPECT_EQ(file.metadata().integers("tokenizer.ggml.token_type").size(), 2048u);
  size_t blocks = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.kind == WeightKind::kQ8_0) blocks += tensor.bytes.size() / 34;
  }
  EXPECT_EQ(blocks, 20480u);
}

TEST(RealGguf, EveryValueTypeOfTheDummy) {
  ASSAY_NEED_DATA(path, "peers/gguf-dummy/dummy.gguf");
  const GgufFile file(path);
  const GgufMetadata& metadata = file.metadata();
  EXPECT_EQ(metadata.integer("some.parameter.uint8"), 0x12);
  EXPECT_EQ(metadata.integer("some.parameter.int8"), -0x13);
  EXPECT_EQ(metadata.integer("some.parameter.uint16"), 0x1234);
  EXPECT_EQ(metadata.integer("some.parameter.int16"), -0x1235);
  EXPECT_EQ(metadata.integer("some.parameter.uint32"), 0x12345678);
  EXPECT_EQ(metadata.integer("some.parameter.int32"), -0x12345679);
  EXPECT_EQ(metadata.integer("some.parameter.uint64"), 0x123456789abcdef0);
  EXPECT_EQ(metadata.integer("some.parameter.int64"), -0x123456789abcdef1);
  EXPECT_EQ(metadata.number("some.parameter.float32"), double{0.123456789f});
  EXPECT_EQ(metadata.number("some.parameter.float64"), 0.1234567890123456789);
  EXPECT_TRUE(metadata.boolean("some.parameter.bool"));
  EXPECT_EQ(metadata.string("some.parameter.string"), "hello world");
  EXPECT_EQ(metadata.integers("some.parameter.arr.i16"), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(metadata.numbers("some.parameter.arr.f32"),
            (std::vector<double>{double{3.145f}, double{2.718f}, double{1.414f}}));
  EXPECT_EQ(metadata.strings("some.parameter.arr.str"), (std::vector<std::string>{"hello", "world", "!"}));
  ASSERT_EQ(file.tensors().size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(load_le<float>(file.tensors()[i].bytes.data()), 100.0f + static_cast<float>(i));
  }
}

TEST(RealGguf, SplitEqualsSingleWhicheverPartIsGiven) {
  ASSAY_NEED_DATA(folder, "peers/gguf-dummy");
  const GgufFile single(folder / "dummy.gguf");
  for (const char* part : {"dummy-00001-of-00002.gguf", "dummy-00002-of-00002.gguf"}) {
    const GgufFile split(folder / part);
    EXPECT_EQ(split.files().size(), 2u);
    ASSERT_EQ(split.tensors().size(), single.tensors().size());
    for (const GgufTensor& tensor : single.tensors()) {
      const GgufTensor* other = split.find(tensor.name);
      ASSERT_NE(other, nullptr) << tensor.name;
      EXPECT_EQ(other->dims, tensor.dims);
      EXPECT_TRUE(std::ranges::equal(other->bytes, tensor.bytes)) << tensor.name;
    }
    ASSERT_EQ(split.metadata().entries().size(), single.metadata().entries().size());
    for (size_t i = 0; i < single.metadata().entries().size(); ++i) {
      EXPECT_EQ(split.metadata().entries()[i].first, single.metadata().entries()[i].first);
    }
  }
}

TEST(RealGguf, EveryFileOfTheTestDataIsRead) {
  ASSAY_NEED_DATA(folder, "golden-arch");
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(test::data_folder())) {
    if (entry.path().extension() != ".gguf") continue;
    EXPECT_NO_THROW(GgufFile{entry.path()}) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 10u);
}

/// Writes `source` again and holds every byte against the original. Files without tensors may end unpadded.
void expect_same_bytes_when_written_again(const fs::path& path) {
  const GgufFile source(path);
  const test::TemporaryFolder folder;
  std::vector<GgufTensorSpec> specs;
  for (const GgufTensor& tensor : source.tensors()) specs.push_back({tensor.name, tensor.dims, tensor.kind});
  AtomicFile file(folder / "again.gguf", false);
  GgufWriter writer(file, source.metadata(), specs);
  for (const GgufTensor& tensor : source.tensors()) writer.write(tensor.bytes);
  writer.finish();
  EXPECT_EQ(file.size(), GgufWriter::planned_bytes(source.metadata(), specs));
  file.commit();
  const MappedFile again(folder / "again.gguf");
  const auto original = source.files()[0].bytes();
  ASSERT_GE(again.bytes().size(), original.size());
  EXPECT_LT(again.bytes().size() - original.size(), 32u);
  size_t differing = 0;
  for (size_t i = 0; i < again.bytes().size(); ++i) {
    const std::byte expected = i < original.size() ? original[i] : std::byte{0};
    const bool version = i == 4;  // v2 files come back as v3
    if (!version && again.bytes()[i] != expected) ++differing;
  }
  EXPECT_EQ(differing, 0u);
}

TEST(RealGguf, WrittenAgainEveryByteIsTheSame) {
  ASSAY_NEED_DATA(vocabularies, "golden-tok/llama.cpp");
  ASSAY_NEED_DATA(dummy, "peers/gguf-dummy/dummy.gguf");
  ASSAY_NEED_DATA(model, "models/TinyStories-656K/gguf/TinyStories-656K-Q8_0.gguf");
  std::vector<fs::path> paths = {dummy, model};
  for (const auto& entry : fs::directory_iterator(vocabularies)) {
    if (entry.path().extension() == ".gguf") paths.push_back(entry.path());
  }
  EXPECT_GE(paths.size(), 6u);
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path);
    expect_same_bytes_when_written_again(path);
  }
}

}  // namespace
}  // namespace assay
