#include "models/sentence_modules.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

/// A copy of the tiny sentence encoder whose files tests change.
class SentenceFolder {
 public:
  SentenceFolder() {
    fs::copy(test::source_file("tests/models/encoders/bert-sentence"), path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }
  const fs::path& path() const { return folder_.path(); }
  json read(const std::string& name) const { return read_json_file(path() / name); }
  void write(const std::string& name, const json& value) const {
    std::ofstream(path() / name) << value.dump();
  }
  void change(const std::string& name, const std::string& key, const json& value) const {
    json object = read(name);
    object[key] = value;
    write(name, object);
  }
  SentenceModules open() const { return SentenceModules::read(path(), 32); }
  std::string fault() const {
    try {
      open();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  void expect_fault(std::initializer_list<const char*> words) const {
    const std::string text = fault();
    for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
  }

 private:
  test::TemporaryFolder folder_;
};

TEST(SentenceModules, ReadsEveryFile) {
  const SentenceModules modules = SentenceFolder().open();
  EXPECT_TRUE(modules.declared);
  EXPECT_EQ(pooling_name(modules.pooling), "cls+mean");
  EXPECT_EQ(modules.max_seq_length, 32);
  EXPECT_TRUE(modules.normalize);
  ASSERT_EQ(modules.dense.size(), 1u);
  EXPECT_EQ(modules.dense[0].weight.rows, 24);
  EXPECT_EQ(modules.dense[0].weight.cols, 64);
  EXPECT_EQ(modules.dense[0].bias.size(), 24u);
  EXPECT_EQ(modules.dense[0].activation, Activation::kTanh);
  EXPECT_EQ(modules.prompts.at("query"), "search: ");
  EXPECT_EQ(modules.similarity, "cosine");
}

TEST(SentenceModules, WithoutAListTheMeanIsAssumed) {
  const SentenceModules modules =
      SentenceModules::read(test::source_file("tests/models/encoders/bert-model"), 32);
  EXPECT_FALSE(modules.declared);
  EXPECT_EQ(pooling_name(modules.pooling), "mean");
  EXPECT_FALSE(modules.normalize);
}

TEST(SentenceModules, NewPoolingKeys) {
  const SentenceFolder folder;
  folder.write("1_Pooling/config.json",
               {{"embedding_dimension", 32}, {"pooling_mode", {"cls", "lasttoken"}}});
  EXPECT_EQ(pooling_name(folder.open().pooling), "cls+lasttoken");
  folder.write("1_Pooling/config.json", {{"embedding_dimension", 32}, {"pooling_mode", {"mean", "cls"}}});
  folder.expect_fault({"pooling_mode", "in this order"});
  folder.write("1_Pooling/config.json", {{"embedding_dimension", 32}, {"pooling_mode", "median"}});
  folder.expect_fault({"pooling_mode", "median"});
  folder.write("1_Pooling/config.json", {{"word_embedding_dimension", 32}});
  folder.expect_fault({"in_features", "32"});  // the mean alone is half as wide as the Dense wants
}

TEST(SentenceModules, NewClassNamesAndThreeModules) {
  const SentenceFolder folder;
  folder.write("modules.json",
               {{{"type", "sentence_transformers.base.modules.transformer.Transformer"}, {"path", ""}},
                {{"type", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
                 {"path", "1_Pooling"}}});
  const SentenceModules modules = folder.open();
  EXPECT_TRUE(modules.dense.empty());
  EXPECT_FALSE(modules.normalize);
}

TEST(SentenceModules, ModulesThatCannotRunAreErrors) {
  const SentenceFolder folder;
  const json list = folder.read("modules.json");
  const auto with_type = [&](size_t i, const char* type) {
    json changed = list;
    changed[i]["type"] = type;
    folder.write("modules.json", changed);
  };
  with_type(2, "sentence_transformers.models.LSTM");
  folder.expect_fault({"cannot be run", "LSTM"});
  with_type(2, "custom_code.Whitening");
  folder.expect_fault({"type", "custom_code.Whitening"});
  with_type(1, "sentence_transformers.models.Normalize");
  folder.expect_fault({"Transformer and Pooling first"});
  json outside = list;
  outside[1]["path"] = "../1_Pooling";
  folder.write("modules.json", outside);
  folder.expect_fault({"path", "../1_Pooling"});
  folder.write("modules.json", {{list[0]}, {list[1]}, {list[3]}, {list[2]}});
  EXPECT_NE(folder.fault(), "no error");
  folder.write("modules.json", json::array({list[0], list[1], list[3], list[2]}));
  folder.expect_fault({"behind Normalize"});
}

TEST(SentenceModules, DenseMustFitItsWeights) {
  const auto fault_with = [](const char* key, const json& value, std::initializer_list<const char*> words) {
    const SentenceFolder folder;
    folder.change("2_Dense/config.json", key, value);
    folder.expect_fault(words);
  };
  fault_with("out_features", 25, {"linear.weight", "[25, 64]", "[24, 64]"});
  fault_with("in_features", 32, {"in_features", "64"});
  fault_with("bias", false, {"linear.weight and linear.bias alone"});
  fault_with("activation_function", "torch.nn.modules.activation.Softsign",
             {"activation_function", "Softsign"});
  fault_with("use_residual", true, {"use_residual"});
  fault_with("surprise", 1, {"surprise"});
  fault_with("module_input_name", "token_embeddings", {"module_input_name"});
}

TEST(SentenceModules, PicklesAreRefusedWithTheReason) {
  const SentenceFolder folder;
  fs::rename(folder.path() / "2_Dense/model.safetensors", folder.path() / "2_Dense/pytorch_model.bin");
  folder.expect_fault({"pickle", "runs the code", "pytorch_model.bin"});
}

TEST(SentenceModules, SettingsThatContradictAreErrors) {
  const SentenceFolder folder;
  folder.change("1_Pooling/config.json", "word_embedding_dimension", 48);
  folder.expect_fault({"word_embedding_dimension", "32"});
  const SentenceFolder prompts;
  prompts.change("config_sentence_transformers.json", "default_prompt_name", "passage");
  prompts.expect_fault({"default_prompt_name", "passage"});
  const SentenceFolder similarity;
  similarity.change("config_sentence_transformers.json", "similarity_fn_name", "hamming");
  similarity.expect_fault({"similarity_fn_name", "hamming"});
}

TEST(SentenceModules, SideFilesAreAllThere) {
  const SentenceFolder folder;
  const std::vector<fs::path> files = SentenceModules::side_files(folder.path());
  const std::vector<fs::path> expected = {"modules.json",
                                          "config_sentence_transformers.json",
                                          "sentence_bert_config.json",
                                          "1_Pooling/config.json",
                                          "2_Dense/config.json",
                                          "2_Dense/model.safetensors"};
  EXPECT_EQ(files, expected);
  EXPECT_TRUE(SentenceModules::side_files(test::source_file("tests/models/encoders/bert-model")).empty());
}

TEST(PoolingModes, WordsInAnyOrder) {
  EXPECT_EQ(pooling_name(parse_pooling("mean,cls")), "cls+mean");
  EXPECT_EQ(pooling_name(parse_pooling("last_token+weightedmean+mean_sqrt_len+max")),
            "max+mean_sqrt_len_tokens+weightedmean+lasttoken");
  EXPECT_THROW(parse_pooling("average"), UsageError);
  EXPECT_THROW(parse_pooling("mean+"), UsageError);
}

}  // namespace
}  // namespace assay
