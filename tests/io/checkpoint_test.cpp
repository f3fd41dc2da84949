#include "io/checkpoint.hpp"

#include "io/corrupt_files.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;
namespace fs = std::filesystem;

/// A safetensors file with one-byte tensors of these names.
std::string shard(const std::vector<std::string>& names, const std::string& metadata = "") {
  std::string header = "{" + metadata;
  for (size_t i = 0; i < names.size(); ++i) {
    header += (header.size() > 1 ? ",\"" : "\"") + names[i] +
              R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  return test::safetensors_bytes(header + "}", std::string(names.size(), 'x'));
}

constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

class Checkpoint : public testing::Test {
 protected:
  Checkpoint() { write("config.json", R"({"model_type":"llama"})"); }
  void write(const std::string& name, std::string_view bytes) { test::write_file(folder_ / name, bytes); }
  /// Tensors a and b in the first shard, c in the second, and an index that says so.
  void write_shards() {
    write(kFirst, shard({"a", "b"}));
    write(kSecond, shard({"c"}));
    write_index(R"("a":"1","b":"1","c":"2")");
  }
  /// "1" and "2" stand for the shards' names.
  void write_index(std::string map, const std::string& total_size = "3") {
    for (const auto& [digit, name] : {std::pair{":\"1\"", kFirst}, {":\"2\"", kSecond}}) {
      for (size_t at = map.find(digit); at != map.npos; at = map.find(digit)) {
        map.replace(at, 4, std::string(":\"") + name + "\"");
      }
    }
    write(kIndex, R"({"metadata":{"total_size":)" + total_size + R"(},"weight_map":{)" + map + "}}");
  }
  std::string refusal(bool config_only = false) {
    return test::error_line([&] { CheckpointDirectory(folder_.path(), config_only); });
  }
  test::TemporaryFolder folder_;
};

TEST_F(Checkpoint, OpensASingleFile) {
  write("model.safetensors", shard({"a", "b"}));
  write("generation_config.json", "{\"eos_token_id\":2}");
  const CheckpointDirectory checkpoint(folder_.path());
  EXPECT_EQ(checkpoint.tensors().size(), 2u);
  EXPECT_EQ(checkpoint.find("b")->bytes.size(), 1u);
  EXPECT_EQ(checkpoint.find("c"), nullptr);
  EXPECT_EQ(checkpoint.generation_config().at("eos_token_id"), 2);
  EXPECT_TRUE(checkpoint.index().is_null());
}
TEST_F(Checkpoint, OpensShardsByTheirIndex) {
  write_shards();
  write("consolidated.safetensors", "of no interest");
  write("model_adapter.safetensors", "of no interest where an index names the files");
  const CheckpointDirectory checkpoint(folder_.path());
  EXPECT_EQ(checkpoint.shards().size(), 2u);
  EXPECT_EQ(checkpoint.tensors().size(), 3u);
  EXPECT_EQ(checkpoint.index().at("weight_map").at("c"), kSecond);
}
TEST_F(Checkpoint, OpensShardsWithoutIndex) {
  write(kFirst, shard({"a"}));
  write(kSecond, shard({"b"}));
  write("consolidated.safetensors", "of no interest");
  EXPECT_EQ(CheckpointDirectory(folder_.path()).tensors().size(), 2u);
}
TEST_F(Checkpoint, ConfigAlone) {
  EXPECT_EQ(CheckpointDirectory(folder_.path(), true).config().at("model_type"), "llama");
  expect_told(refusal(), {"no weights in the folder", "model*.safetensors"});
}
TEST_F(Checkpoint, StripsAByteOrderMark) {
  write("config.json", "\xef\xbb\xbf{\"model_type\":\"bert\"}");
  EXPECT_EQ(CheckpointDirectory(folder_.path(), true).config().at("model_type"), "bert");
}
TEST_F(Checkpoint, AnIndexMayNameAnAliasThatOnlyMetadataTells) {
  write(kFirst, shard({"a", "b"}));
  write(kSecond, shard({"c"}, R"("__metadata__":{"tied":"c"})"));
  write_index(R"("a":"1","b":"1","c":"2","tied":"2")");
  const CheckpointDirectory checkpoint(folder_.path());
  EXPECT_EQ(checkpoint.find("tied"), nullptr);
  EXPECT_EQ(checkpoint.shards()[1]->metadata().at("tied"), "c");
}
TEST_F(Checkpoint, TotalSizeMayBeAFloatOrAbsent) {
  write_shards();
  write_index(R"("a":"1","b":"1","c":"2")", "3.0");
  EXPECT_EQ(refusal(), "no error");
  write_index(R"("a":"1","b":"1","c":"2")", "null");
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(Checkpoint, NoFolderOrNoConfig) {
  expect_told(test::error_line([&] { CheckpointDirectory(folder_ / "absent"); }), {"no such folder"});
  expect_told(test::error_line([&] { CheckpointDirectory(folder_ / "config.json"); }), {"not a folder"});
  fs::remove(folder_ / "config.json");
  expect_told(refusal(true), {"no config.json"});
}
TEST_F(Checkpoint, ConfigThatIsNoObject) {
  for (const char* text : {"[]", "3", "null"}) {
    write("config.json", text);
    expect_told(refusal(true), {"config.json", "not a JSON object"});
  }
}
TEST_F(Checkpoint, ConfigThatIsNoJson) {
  write("config.json", "version https://git-lfs.github.com/spec/v1\n");
  expect_told(refusal(true), {"config.json", "Git LFS pointer"});
  write("config.json", "<!doctype html>");
  expect_told(refusal(true), {"HTML page"});
  write("config.json", "");
  expect_told(refusal(true), {"an empty file"});
  write("config.json", "{\"a\":\n  1,}");
  expect_told(refusal(true), {"config.json", "line 2, column 5"});
  write("config.json", "{\"a\":\n  1");
  expect_told(refusal(true), {"ends too early", "incomplete download"});
  write("config.json", std::string(100'000, '['));
  expect_told(refusal(true), {"nested too deeply"});
}
TEST_F(Checkpoint, PicklesOnly) {
  write("pytorch_model.bin", "PK");
  expect_told(refusal(), {"pytorch_model.bin", "convert to safetensors first"});
}
TEST_F(Checkpoint, OtherFormatsOnly) {
  write("weights.npz", "PK");
  expect_told(refusal(), {"weights.npz", "numpy archive"});
  write("model.gguf", "GGUF");
  expect_told(refusal(), {"model.gguf", "by its own path"});
}
TEST_F(Checkpoint, OnlyAnotherExportersFile) {
  write("consolidated.safetensors", shard({"a"}));
  expect_told(refusal(), {"consolidated.safetensors", "another name"});
}
TEST_F(Checkpoint, ShardThatIsAPointer) {
  write_shards();
  write(kSecond, "version https://git-lfs.github.com/spec/v1\n");
  expect_told(refusal(), {kSecond, "Git LFS pointer", "git lfs pull"});
}
TEST_F(Checkpoint, ShardCutOff) {
  write_shards();
  const std::string whole = shard({"c"});
  write(kSecond, whole.substr(0, whole.size() - 1));
  expect_told(refusal(), {kSecond, "cut off", "incomplete download"});
}
TEST_F(Checkpoint, IndexNamesAMissingShard) {
  write_shards();
  fs::remove(folder_ / kSecond);
  expect_told(refusal(), {"the index names shards that the folder lacks", kSecond});
}
TEST_F(Checkpoint, PartMissingWithoutIndex) {
  write(kFirst, shard({"a"}));
  expect_told(refusal(), {"parts of the checkpoint are missing", kSecond});
}
TEST_F(Checkpoint, TensorInAnotherShardThanTheIndexSays) {
  write_shards();
  write_index(R"("a":"1","b":"2","c":"2")");
  expect_told(refusal(), {kSecond, "\"b\"", std::string("found it in ") + kFirst});
}
TEST_F(Checkpoint, TensorOfTheIndexInNoShard) {
  write_shards();
  write_index(R"("a":"1","b":"1","c":"2","d":"2")");
  expect_told(refusal(), {"\"d\"", "no such tensor in any shard"});
}
TEST_F(Checkpoint, TensorTheIndexDoesNotName) {
  write_shards();
  write_index(R"("a":"1","c":"2")");
  expect_told(refusal(), {kFirst, "the index does not name", "\"b\""});
}
TEST_F(Checkpoint, TensorInTwoShards) {
  write(kFirst, shard({"a", "b"}));
  write(kSecond, shard({"b"}));
  expect_told(refusal(), {"\"b\"", "two shards", kFirst, kSecond});
}
TEST_F(Checkpoint, TensorTwiceInTheIndex) {
  write_shards();
  write_index(R"("a":"1","b":"1","c":"2","a":"2")");
  expect_told(refusal(), {kIndex, "\"a\" is named twice"});
}
TEST_F(Checkpoint, TotalSizeThatContradictsTheShards) {
  write_shards();
  write_index(R"("a":"1","b":"1","c":"2")", "4");
  expect_told(refusal(), {"total_size", "expected 4", "found 3"});
}
TEST_F(Checkpoint, WeightFileTheIndexDoesNotName) {
  write_shards();
  write("model.safetensors", shard({"a"}));
  expect_told(refusal(), {"model.safetensors", "the index does not name", "leftover"});
}
TEST_F(Checkpoint, IndexWithoutMapOrWithNamesOutsideTheFolder) {
  write_shards();
  for (const char* text : {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})"}) {
    write(kIndex, text);
    expect_told(refusal(), {kIndex, "no weight_map"});
  }
  for (const char* name : {"\"../config.json\"", "\"/etc/passwd\"", "\"..\"", "\"\"", "3", "\"a\\u0000b\""}) {
    write(kIndex, std::string(R"({"weight_map":{"a":)") + name + "}}");
    expect_told(refusal(), {"\"a\"", "the index names no file"});
  }
}

}  // namespace
}  // namespace assay
