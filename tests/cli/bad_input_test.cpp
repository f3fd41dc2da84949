// Damaged, lying and missing input: one line that says what, where and why, exit 1, and no output.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::ordered_json;
using test::change_json;
using test::expect_fault;
using test::RawSafetensors;

constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 985744\n";

/// A sound checkpoint that each test damages in one way.
class BadInputTest : public testing::Test {
 protected:
  /// Neither recipe family writes anything, and the line holds `parts`.
  void expect_refused(const std::vector<std::string>& parts) {
    for (const char* recipe : {"gguf:Q4_K_M", "mlx:4bit"})
      expect_fault({"quantize", source_, "--to", recipe, "-o", out_}, parts);
    EXPECT_TRUE(test::read_tree(out_).empty()) << "something was left behind";
  }

  void change_weights(const std::function<void(RawSafetensors&)>& change) {
    RawSafetensors raw = RawSafetensors::load(source_ / "model.safetensors");
    change(raw);
    raw.save(source_ / "model.safetensors");
  }

  void change_config(const char* key, ordered_json value) {
    change_json(source_ / "config.json", [&](ordered_json& config) { config[key] = std::move(value); });
  }

  test::TemporaryFolder folder_;
  const std::filesystem::path source_ = test::copy_checkpoint(folder_ / "source");
  const std::filesystem::path out_ = folder_ / "out";
};

TEST_F(BadInputTest, TheUndamagedSourceConverts) {
  test::expect_success({"quantize", source_, "--to", "gguf:Q4_K_M,mlx:4bit", "-o", out_});
  EXPECT_FALSE(test::read_tree(out_).empty());
}

TEST_F(BadInputTest, MissingSource) {
  expect_fault({"quantize", folder_ / "nowhere", "--to", "q4", "-o", out_}, {"nowhere", "no such directory"});
  expect_fault({"inspect", folder_ / "nowhere"}, {"nowhere", "no such file or directory"});
  expect_fault({"generate", folder_ / "nowhere", "-p", "a"}, {"nowhere", "no such file or directory"});
  expect_fault({"bench", folder_ / "nowhere"}, {"nowhere", "no such file or directory"});
  expect_fault({"verify", folder_ / "nowhere", "--against", source_},
               {"nowhere", "no such file or directory"});
  expect_fault({"quantize", source_ / "model.safetensors", "--to", "q4", "-o", out_},
               {"model.safetensors", "expected a directory"});
}

TEST_F(BadInputTest, MissingConfiguration) {
  std::filesystem::remove(source_ / "config.json");
  expect_refused({"source", "no config.json"});
}

TEST_F(BadInputTest, MissingWeights) {
  std::filesystem::remove(source_ / "model.safetensors");
  expect_refused({"source", "no weights", "incomplete download?"});
  expect_fault({"generate", source_, "-p", "a"}, {"source"});
}

TEST_F(BadInputTest, MissingTokenizer) {
  std::filesystem::remove(source_ / "tokenizer.json");
  expect_refused({"source", "no tokenizer", "tokenizer.json"});
  expect_fault({"generate", source_, "-p", "a"}, {"source", "tokenizer"});
}

TEST_F(BadInputTest, TruncatedWeights) {
  std::filesystem::resize_file(source_ / "model.safetensors", 400000);
  expect_refused(
      {"model.safetensors", "cut off", "expected 984576 bytes", "found 398832", "incomplete download?"});
  expect_fault({"inspect", source_ / "model.safetensors"}, {"cut off"});
  expect_fault({"generate", source_, "-p", "a"}, {"cut off"});
}

TEST_F(BadInputTest, TruncatedHeader) {
  std::filesystem::resize_file(source_ / "model.safetensors", 100);
  expect_refused({"model.safetensors", "header is cut off", "file of 100"});
}

TEST_F(BadInputTest, EmptyWeights) {
  std::filesystem::resize_file(source_ / "model.safetensors", 0);
  expect_refused({"model.safetensors", "empty file"});
}

TEST_F(BadInputTest, LfsPointers) {
  for (const char* name : {"model.safetensors", "tokenizer.json", "config.json"}) {
    const std::string kept = test::read_file(source_ / name);
    test::write_file(source_ / name, kPointer);
    expect_refused({name, "Git LFS pointer", "git lfs pull"});
    test::write_file(source_ / name, kept);
  }
}

TEST_F(BadInputTest, AWebPageSavedAsWeights) {
  test::write_file(source_ / "model.safetensors", "<!DOCTYPE html><html><body>Not found</body></html>");
  expect_refused({"model.safetensors", "an HTML page"});
}

TEST_F(BadInputTest, CutJson) {
  for (const char* name : {"config.json", "tokenizer.json"}) {
    const std::string kept = test::read_file(source_ / name);
    test::write_file(source_ / name, kept.substr(0, kept.size() / 2));
    expect_refused({name, "not valid JSON", "ends too early"});
    test::write_file(source_ / name, kept);
  }
}

TEST_F(BadInputTest, NotANumberIsNamedWithItsPlace) {
  change_weights(
      [](RawSafetensors& raw) { raw.set("model.layers.0.mlp.up_proj.weight", 3 * 256 + 17, 0x7fc0); });
  expect_refused({"model.layers.0.mlp.up_proj.weight", "not finite", "NaN at [3, 17]"});
}

TEST_F(BadInputTest, InfinityIsNamedWithItsPlace) {
  change_weights(
      [](RawSafetensors& raw) { raw.set("model.layers.0.self_attn.q_proj.weight", 256 + 5, 0xff80); });
  // llama's q rows are permuted in a GGUF file; the place is the source's.
  expect_refused({"model.layers.0.self_attn.q_proj.weight", "not finite", "infinity at [1, 5]"});
}

TEST_F(BadInputTest, NotANumberInANorm) {
  change_weights([](RawSafetensors& raw) { raw.set("model.norm.weight", 9, 0x7fc0); });
  expect_refused({"model.norm.weight", "NaN at [0, 9]"});
}

TEST_F(BadInputTest, ShapesOfAnotherConfiguration) {
  change_config("hidden_size", 512);
  expect_refused({"model.embed_tokens.weight", "wrong shape", "expected [384, 512], found [384, 256]"});
}

TEST_F(BadInputTest, MoreLayersThanTheWeightsHave) {
  change_config("num_hidden_layers", 2);
  expect_refused({"tensors are missing", "model.layers.1.input_layernorm.weight", "9 in all"});
}

TEST_F(BadInputTest, SenselessConfigurations) {
  const std::pair<const char*, ordered_json> cases[] = {{"num_attention_heads", 0},
                                                        {"hidden_size", "many"},
                                                        {"num_hidden_layers", 1000000000000},
                                                        {"vocab_size", -5},
                                                        {"rms_norm_eps", "tiny"},
                                                        {"num_key_value_heads", 3},
                                                        {"max_position_embeddings", false}};
  const std::string kept = test::read_file(source_ / "config.json");
  for (const auto& [key, value] : cases) {
    change_config(key, value);
    expect_refused({key});
    test::write_file(source_ / "config.json", kept);
  }
}

TEST_F(BadInputTest, AnArchitectureNobodyKnows) {
  change_config("model_type", "mamba");
  expect_refused({"model_type", "not supported", "mamba", "llama"});
}

TEST_F(BadInputTest, UnknownTensorsAreListed) {
  change_weights([](RawSafetensors& raw) {
    raw.add("model.layers.0.mlp.secret.weight", 2);
    raw.add("model.layers.0.second.secret", 2);
  });
  expect_refused({"does not have", "model.layers.0.mlp.secret.weight", "model.layers.0.second.secret"});
}

TEST_F(BadInputTest, MissingTensorsAreListed) {
  change_weights([](RawSafetensors& raw) {
    raw.remove("model.norm.weight");
    raw.remove("model.layers.0.mlp.up_proj.weight");
  });
  expect_refused({"tensors are missing", "model.norm.weight", "model.layers.0.mlp.up_proj.weight"});
}

TEST_F(BadInputTest, ShardsConvertWhenTheyAreWhole) {
  test::split_checkpoint(source_);
  test::expect_success({"quantize", source_, "--to", "gguf:Q4_K_M", "-o", out_});
}

TEST_F(BadInputTest, AMissingShard) {
  test::split_checkpoint(source_);
  std::filesystem::remove(source_ / "model-00002-of-00002.safetensors");
  expect_refused({"source", "model-00002-of-00002.safetensors", "incomplete download?"});
}

TEST_F(BadInputTest, HalfADownloadWithoutIndex) {
  test::split_checkpoint(source_);
  std::filesystem::remove(source_ / "model-00002-of-00002.safetensors");
  std::filesystem::remove(source_ / "model.safetensors.index.json");
  expect_refused({"source"});
}

TEST_F(BadInputTest, ShardsInEachOthersPlace) {
  test::split_checkpoint(source_);
  std::filesystem::rename(source_ / "model-00001-of-00002.safetensors", source_ / "kept");
  std::filesystem::rename(source_ / "model-00002-of-00002.safetensors",
                          source_ / "model-00001-of-00002.safetensors");
  std::filesystem::rename(source_ / "kept", source_ / "model-00002-of-00002.safetensors");
  expect_refused({"index contradicts a shard", "model-0000", "different downloads?"});
}

TEST_F(BadInputTest, OneShardTwice) {
  test::split_checkpoint(source_);
  std::filesystem::copy_file(source_ / "model-00001-of-00002.safetensors",
                             source_ / "model-00002-of-00002.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  expect_refused({"two shards", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
}

TEST_F(BadInputTest, AnIndexThatLies) {
  test::split_checkpoint(source_);
  const std::filesystem::path index = source_ / "model.safetensors.index.json";
  const std::string kept = test::read_file(index);
  change_json(index,
              [](ordered_json& json) { json["weight_map"]["model.norm.weight"] = "../../etc/passwd"; });
  expect_refused({"model.safetensors.index.json", "model.norm.weight", "../../etc/passwd"});
  test::write_file(index, kept);
  change_json(index, [](ordered_json& json) { json["metadata"]["total_size"] = 123; });
  expect_refused({"model.safetensors.index.json", "total_size", "expected 123 bytes"});
  test::write_file(index, kept.substr(0, 100));
  expect_refused({"model.safetensors.index.json", "not valid JSON"});
}

TEST_F(BadInputTest, AQuantizedSourceIsRefused) {
  test::expect_success({"quantize", source_, "--to", "q4", "-o", out_});
  const std::filesystem::path again = folder_ / "again";
  expect_fault({"quantize", out_ / "mlx-4bit", "--to", "gguf:Q8_0", "-o", again},
               {"mlx-4bit", "quantized already", "convert the original"});
  EXPECT_FALSE(std::filesystem::exists(again));
}

TEST_F(BadInputTest, ATokenizerOfAnotherModel) {
  change_json(source_ / "tokenizer.json", [](ordered_json& json) {
    json["added_tokens"].push_back({{"id", 9999}, {"content", "<far>"}, {"special", true}});
  });
  expect_fault({"quantize", source_, "--to", "gguf:Q8_0", "-o", out_}, {"10000", "384", "another model?"});
  EXPECT_TRUE(test::read_tree(out_).empty());
}

TEST_F(BadInputTest, ContextBeyondTheModel) {
  expect_fault({"generate", source_, "-p", "a", "--ctx", "65"}, {"context", "at most 64", "found 65"});
}

TEST_F(BadInputTest, PromptBeyondTheContext) {
  std::string prompt;
  for (int i = 0; i < 100; ++i) prompt += "word ";
  expect_fault({"generate", source_, "-p", prompt}, {"longer than the context", "at most 64 tokens"});
  expect_fault({"generate", source_, "-p", prompt, "--ctx", "8"},
               {"longer than the context", "at most 8 tokens"});
}

TEST_F(BadInputTest, AnEmptyPromptStartsFromTheBeginning) {
  const nlohmann::json result =
      test::expect_success({"generate", source_, "-p", "", "--max-tokens", "3", "--json"}).json();
  EXPECT_EQ(result["prompt_tokens"], 1) << "BOS alone";
  EXPECT_EQ(result["generated_tokens"], 3);
}

TEST_F(BadInputTest, PromptFilesWithoutPrompts) {
  for (const char* text : {"", "\n\n\n"}) {
    test::write_file(folder_ / "prompts", text);
    expect_fault({"generate", source_, "--prompts", folder_ / "prompts"}, {"prompts", "no prompts"});
  }
  expect_fault({"generate", source_, "--prompts", folder_ / "none"}, {"none", "cannot open"});
  expect_fault({"generate", source_, "--prompts", source_}, {"source", "folder"});
}

TEST_F(BadInputTest, TextsTooShortToMeasure) {
  test::write_file(folder_ / "text", "one two");
  expect_fault({"eval", "perplexity", source_, "--text", folder_ / "text", "--ctx", "32"},
               {"too short", "expected at least 32 tokens"});
}

TEST_F(BadInputTest, FilesThatAreNoWeights) {
  expect_fault({"inspect", source_ / "config.json"}, {"config.json", "JSON text"});
  expect_fault({"inspect", "/dev/null"}, {"/dev/null", "not a regular file"});
  test::write_file(folder_ / "noise", "no magic here, just some bytes of text");
  expect_fault({"inspect", folder_ / "noise"}, {"noise", "not a file of weights"});
  expect_fault({"generate", source_ / "model.safetensors", "-p", "a"}, {"single weight file"});
  expect_fault({"inspect", source_, "--dump", "model.layers.9", "-o", folder_ / "x"}, {"no such tensor"});
}

TEST_F(BadInputTest, TruncatedGguf) {
  test::expect_success({"quantize", source_, "--to", "gguf:Q8_0", "-o", out_});
  const std::filesystem::path file = out_ / "source-Q8_0.gguf";
  const auto size = std::filesystem::file_size(file);
  for (const uintmax_t left : {size - 1, size / 2, uintmax_t{1000}, uintmax_t{30}, uintmax_t{3}}) {
    std::filesystem::resize_file(file, left);
    expect_fault({"inspect", file}, {"source-Q8_0.gguf"});
    expect_fault({"generate", file, "-p", "a"}, {"source-Q8_0.gguf"});
  }
}

TEST_F(BadInputTest, AVariableThatIsNotSet) {
  expect_fault({"inspect", "$ASSAY_NO_SUCH_VARIABLE/model"}, {"$ASSAY_NO_SUCH_VARIABLE", "not set"});
}

TEST_F(BadInputTest, AnInstructionSetThatDoesNotExist) {
  expect_fault({"generate", source_, "-p", "a"}, {"ASSAY_ISA", "mmx"},
               {.environment = {{"ASSAY_ISA", "mmx"}}});
}

}  // namespace
}  // namespace assay
