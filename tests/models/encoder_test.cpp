// Encoders: configurations, names, heads, and the faults of directories that contradict themselves.
#include <gtest/gtest.h>

#include "models/encoder_checkpoint.hpp"
#include "tensor/activation.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;
using test::EncoderCheckpoint;
using test::expect_words;
using test::filled;

const std::string kSequence = "ForSequenceClassification";

std::string config_fault(const json& config) {
  try {
    read_model_config(config, nullptr);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(EncoderFile, OpensWithAndWithoutThePrefix) {
  EncoderCheckpoint bare = EncoderCheckpoint::bert("Model");
  bare.open([](const ModelFile& model) {
    EXPECT_EQ(model.config().encoder->name_prefix, "");
    EXPECT_TRUE(model.config().encoder->head.has_pooler);
    EXPECT_EQ(model.config().max_context, 32);
    EXPECT_EQ(model.tensors().size(), 5u + 2 * 16 + 2);
    EXPECT_EQ(model.find(TensorRole::kFfnUp, 1)->weight.rows, 128);
    EXPECT_TRUE(model.notes().empty());
  });
  bare.add_prefix("bert.");
  bare.open([](const ModelFile& model) {
    EXPECT_EQ(model.find(TensorRole::kAttnQ, 0)->stored_name,
              "bert.encoder.layer.0.attention.self.query.weight");
    EXPECT_EQ(model.find(TensorRole::kAttnQ, 0)->slot.gguf_name, "blk.0.attn_q.weight");
  });
}

TEST(EncoderFile, MixedPrefixesAreNamed) {
  EncoderCheckpoint mixed = EncoderCheckpoint::bert("Model");
  mixed.rename("encoder.layer.1.output.dense.weight", "bert.encoder.layer.1.output.dense.weight");
  expect_words(mixed.fault(), {"missing", "encoder.layer.1.output.dense.weight", "unknown bert.encoder"});
  EncoderCheckpoint twice = EncoderCheckpoint::bert("Model");
  twice.tensors["bert.embeddings.word_embeddings.weight"] =
      twice.tensors.at("embeddings.word_embeddings.weight");
  expect_words(twice.fault(), {"stored twice", "both"});
}

TEST(EncoderFile, OldNormNamesAreRead) {
  EncoderCheckpoint old = EncoderCheckpoint::bert("Model");
  std::vector<std::string> norms;
  for (const auto& [name, tensor] : old.tensors)
    if (name.find("LayerNorm") != std::string::npos) norms.push_back(name);
  for (const std::string& name : norms)
    old.rename(name, name.substr(0, name.rfind('.')) + (name.ends_with("weight") ? ".gamma" : ".beta"));
  old.open([](const ModelFile& model) {
    EXPECT_TRUE(model.config().encoder->old_norm_names);
    EXPECT_EQ(model.find(TensorRole::kAttnNormBias, 1)->stored_name,
              "encoder.layer.1.attention.output.LayerNorm.beta");
  });
  old.rename("encoder.layer.1.output.LayerNorm.gamma", "encoder.layer.1.output.LayerNorm.weight");
  expect_words(old.fault(), {"encoder.layer.1.output.LayerNorm.gamma"});
}

TEST(EncoderFile, WithoutAPoolerThereIsNone) {
  EncoderCheckpoint model = EncoderCheckpoint::bert("Model");
  model.tensors.erase("pooler.dense.weight");
  expect_words(model.fault(), {"does not have", "pooler.dense.bias"});
  model.tensors.erase("pooler.dense.bias");
  model.open([](const ModelFile& file) { EXPECT_FALSE(file.config().encoder->head.has_pooler); });
}

TEST(EncoderFile, PretrainingHeadsAreLeftOutAndSaid) {
  EncoderCheckpoint model = EncoderCheckpoint::bert("ForMaskedLM");
  model.tensors["cls.predictions.bias"] = filled(DType::kF32, {50});
  model.tensors["embeddings.position_ids"] = filled(DType::kI64, {1, 32});
  model.open([](const ModelFile& file) {
    EXPECT_EQ(file.config().encoder->head.kind, EncoderHeadKind::kNone);
    ASSERT_EQ(file.notes().size(), 2u);
    expect_words(file.notes()[0] + file.notes()[1], {"position_ids", "pretraining", "cls.predictions.bias"});
  });
  model.tensors["encoder.adapter.weight"] = filled(DType::kF32, {2, 2});
  expect_words(model.fault(), {"does not have", "encoder.adapter.weight"});
}

TEST(EncoderFile, HeadsThatAreMissingOrNotAnnounced) {
  EncoderCheckpoint lost = EncoderCheckpoint::bert(kSequence);
  lost.tensors.erase("classifier.weight");
  expect_words(lost.fault(), {"head", "announces is missing", "classifier.weight"});
  EncoderCheckpoint no_pooler = EncoderCheckpoint::bert(kSequence);
  no_pooler.tensors.erase("pooler.dense.weight");
  expect_words(no_pooler.fault(), {"pooler", "missing", "pooler.dense.weight"});
  EncoderCheckpoint secret = EncoderCheckpoint::bert(kSequence);
  secret.config["architectures"] = {"BertModel"};
  expect_words(secret.fault(), {"does not announce", "classifier.weight [2, 64]"});
  secret.config.erase("architectures");
  expect_words(secret.fault(), {"does not announce"});
  EncoderCheckpoint choice = EncoderCheckpoint::bert("Model");
  choice.config["architectures"] = {"BertForMultipleChoice"};
  expect_words(choice.fault(), {"architectures", "MultipleChoice"});
}

TEST(EncoderFile, LabelsMustMatchTheClassifier) {
  EncoderCheckpoint model = EncoderCheckpoint::bert(kSequence, {{"num_labels", 3}});
  EXPECT_EQ(model.fault(), "no error");
  model.config["id2label"] = {{"0", "no"}, {"1", "yes"}};
  expect_words(model.fault(), {"labels do not match", "2 rows", "3 in classifier.weight"});
  model.config["id2label"] = {{"0", "no"}, {"1", "yes"}, {"3", "maybe"}};
  expect_words(model.fault(), {"id2label", "0 to 2"});
  model.config["id2label"] = {{"0", "no"}, {"1", "yes"}, {"x", "maybe"}};
  expect_words(model.fault(), {"id2label", "\"x\""});
}

TEST(EncoderConfig, LabelsAreSortedAsNumbers) {
  json names = json::object();
  for (int id = 0; id < 12; ++id) names[std::to_string(id)] = "class " + std::to_string(id);
  const json config = EncoderCheckpoint::bert(kSequence, {{"id2label", names}}).config;
  const EncoderHead head = read_model_config(config, nullptr).encoder->head;
  ASSERT_EQ(head.labels.size(), 12u);
  EXPECT_EQ(head.labels[2], "class 2");
  EXPECT_EQ(head.labels[10], "class 10");
  EXPECT_EQ(head.problem, ProblemKind::kSingleLabel);
}

TEST(EncoderConfig, TheProblemFollowsItsTypeAndTheNumberOfLabels) {
  const auto problem = [](const json& more) {
    return read_model_config(EncoderCheckpoint::bert(kSequence, more).config, nullptr).encoder->head.problem;
  };
  EXPECT_EQ(problem(json::object()), ProblemKind::kSingleLabel);
  EXPECT_EQ(problem({{"id2label", {{"0", "relevance"}}}}), ProblemKind::kRegression);
  EXPECT_EQ(problem({{"problem_type", "multi_label_classification"}}), ProblemKind::kMultiLabel);
  EXPECT_EQ(problem({{"problem_type", "regression"}}), ProblemKind::kRegression);
  json odd = EncoderCheckpoint::bert(kSequence).config;
  odd["problem_type"] = "ranking";
  expect_words(config_fault(odd), {"problem_type", "ranking"});
}

TEST(EncoderConfig, QuestionsHaveTwoLabels) {
  const EncoderCheckpoint model = EncoderCheckpoint::bert("ForQuestionAnswering");
  model.open([](const ModelFile& file) {
    EXPECT_EQ(file.config().encoder->head.labels, (std::vector<std::string>{"start", "end"}));
    EXPECT_EQ(file.find(TensorRole::kClassifier)->stored_name, "qa_outputs.weight");
    EXPECT_EQ(file.find(TensorRole::kClassifier)->slot.gguf_name, "");
  });
  json three = model.config;
  three["num_labels"] = 3;
  expect_words(config_fault(three), {"two labels"});
}

TEST(EncoderConfig, RefusesWhatItDoesNotCompute) {
  const json base = EncoderCheckpoint::bert("Model").config;
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, json>>{{"position_embedding_type", "relative_key"},
                                                 {"hidden_act", "mish"},
                                                 {"is_decoder", true},
                                                 {"num_attention_heads", 5},
                                                 {"layer_norm_eps", 2.0},
                                                 {"max_position_embeddings", 0},
                                                 {"pad_token_id", -1}}) {
    json config = base;
    config[key] = value;
    const std::string fault = config_fault(config);
    EXPECT_TRUE(fault.find(key) != std::string::npos || fault.find("5 heads") != std::string::npos) << fault;
  }
}

TEST(EncoderConfig, ModernBertLayersInBothSpellings) {
  json config = {{"model_type", "modernbert"}, {"hidden_size", 64},        {"intermediate_size", 96},
                 {"num_hidden_layers", 4},     {"num_attention_heads", 4}, {"vocab_size", 50},
                 {"local_attention", 32}};
  const auto layers = [&] { return read_model_config(config, nullptr).encoder->layers; };
  EXPECT_EQ(layers()[0].window, 0);
  EXPECT_EQ(layers()[0].rope_base, 160000.0);
  EXPECT_EQ(layers()[1].window, 32);
  EXPECT_EQ(layers()[1].rope_base, 10000.0);
  EXPECT_EQ(layers()[3].window, 0);
  config["local_rope_theta"] = nullptr;
  EXPECT_EQ(layers()[1].rope_base, 160000.0);
  config["layer_types"] = {"sliding_attention", "full_attention", "full_attention", "sliding_attention"};
  config["rope_parameters"] = {{"sliding_attention", {{"rope_theta", 7.0}}},
                               {"full_attention", {{"rope_type", "default"}, {"rope_theta", 9.0}}}};
  EXPECT_EQ(layers()[0].rope_base, 7.0);
  EXPECT_EQ(layers()[1].rope_base, 9.0);
  EXPECT_EQ(layers()[3].window, 32);
  config["rope_parameters"]["full_attention"]["rope_type"] = "yarn";
  expect_words(config_fault(config), {"rope_type", "yarn"});
  config.erase("rope_parameters");
  config["layer_types"] = {"full_attention"};
  expect_words(config_fault(config), {"layer_types"});
}

TEST(EncoderConfig, PositionsStartBehindThePadding) {
  json config = EncoderCheckpoint::bert("Model").config;
  config["model_type"] = "xlm-roberta";
  config["pad_token_id"] = 1;
  const ModelConfig model = read_model_config(config, nullptr);
  EXPECT_EQ(model.encoder->position_offset, 2);
  EXPECT_EQ(model.max_context, 30);
  config["model_type"] = "mpnet";
  config["pad_token_id"] = 0;  // modeling_mpnet.py counts from 2 all the same
  EXPECT_EQ(read_model_config(config, nullptr).encoder->position_offset, 2);
  config["relative_attention_num_buckets"] = 64;
  expect_words(config_fault(config), {"relative_attention_num_buckets"});
}

TEST(EncoderFile, OpensEveryTinyEncoder) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(test::source_file("tests/models/encoders"))) {
    const ModelFile model = ModelFile::open(entry.path());
    ASSERT_TRUE(model.config().encoder.has_value()) << entry.path();
    EXPECT_EQ(model.container() == Container::kNpz,
              entry.path().filename().string().find("npz") != std::string::npos);
    ++count;
  }
  EXPECT_GE(count, 18u);
}

/// A directory out of the loose files of another project's tests.
void copy_loose(const std::string& name, const fs::path& folder) {
  const fs::path source = test::data_folder() / "golden-arch/neural-api";
  fs::copy_file(source / (name + "_config.json"), folder / "config.json");
  fs::copy_file(source / (name + ".safetensors"), folder / "model.safetensors");
}

TEST(EncoderFile, OpensTheGoldenEncodersOfNeuralApi) {
  ASSAY_NEED_DATA(golden, "golden-arch/neural-api");
  for (const char* name : {"tiny_bert", "tiny_bert_seqcls", "tiny_bert_reranker", "tiny_distilbert",
                           "tiny_distilbert_qa", "tiny_modernbert"}) {
    const test::TemporaryFolder folder;
    copy_loose(name, folder.path());
    EXPECT_NO_THROW(ModelFile::open(folder.path())) << name;
  }
  const test::TemporaryFolder folder;
  copy_loose("tiny_colbert", folder.path());
  try {
    ModelFile::open(folder.path());
    FAIL() << "ColBERT's projection is no part of a BERT and must not vanish";
  } catch (const Error& error) {
    expect_words(error.what(), {"does not have", "linear.weight"});
  }
}

TEST(Activation, NamesOfConfigurations) {
  EXPECT_EQ(activation_from_config("gelu"), Activation::kGeluErf);
  EXPECT_EQ(activation_from_config("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(activation_from_config("quick_gelu"), Activation::kGeluQuick);
  EXPECT_EQ(activation_name(Activation::kGeluTanh), "gelu_tanh");
  EXPECT_THROW(activation_from_config("Gelu"), Error);
}

}  // namespace
}  // namespace assay
