#include "engine/zero_shot.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "support/test_data.hpp"

/// Zero-shot classification against transformers' pipeline (tools/make_zero_shot_goldens.py).
namespace assay::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;
using Labels = std::vector<std::string>;

json read_json(const fs::path& path) {
  std::ifstream in(path);
  return json::parse(in);
}

/// The model with these names for its columns.
void copy_with_labels(const fs::path& source, const fs::path& target, const Labels& labels) {
  fs::create_directories(target);
  for (const char* name : {"model.safetensors", "tokenizer.json"})
    fs::copy_file(source / name, target / name, fs::copy_options::overwrite_existing);
  json config = read_json(source / "config.json");
  config["id2label"] = json::object();
  config["label2id"] = json::object();
  for (size_t i = 0; i < labels.size(); ++i) {
    config["id2label"][std::to_string(i)] = labels[i];
    config["label2id"][labels[i]] = i;
  }
  std::ofstream(target / "config.json") << config.dump();
}

/// The largest difference from the scores of `entry`.
double difference(EncoderModel& model, const json& entry) {
  const ZeroShotOptions options{entry.at("labels").get<Labels>(), entry.at("template").get<std::string>(),
                                entry.at("multi_label").get<bool>()};
  const std::vector<std::string> texts = {entry.at("text").get<std::string>()};
  const auto scores = classify_zero_shot(model, texts, options).at(0);
  const auto expected = entry.at("scores").get<std::vector<double>>();
  if (scores.size() != expected.size()) return INFINITY;
  double worst = 0.0;
  for (size_t i = 0; i < scores.size(); ++i) worst = std::max(worst, std::abs(scores[i] - expected[i]));
  return worst;
}

TEST(ZeroShot, EqualsTransformersPipeline) {
  const json golden = read_json(source_file("tests/golden/zero_shot.json"));
  std::map<Labels, std::vector<json>> by_head;
  for (const json& entry : golden.at("cases")) by_head[entry.at("head").get<Labels>()].push_back(entry);
  ASSERT_EQ(by_head.size(), 4U);
  const TemporaryFolder folder;
  int checked = 0, noticed = 0;
  for (const auto& [head, entries] : by_head) {
    copy_with_labels(source_file(golden.at("model").get<std::string>()), folder / "model", head);
    EncoderModel model(folder / "model", {.threads = 2, .compute = Compute::kExact});
    for (const json& entry : entries) {
      // f32 products in another order: 1e-5 of a probability is far above it and far below any wrong rule.
      EXPECT_LT(difference(model, entry), 1e-5) << entry.dump();
      json wrong = entry;
      wrong["multi_label"] = !wrong["multi_label"].get<bool>();
      noticed += difference(model, wrong) > 1e-3 ? 1 : 0;
      ++checked;
    }
  }
  EXPECT_EQ(checked, 64);
  EXPECT_GE(noticed, 30) << "the other rule for the scores passes";
}

TEST(ZeroShot, ColumnsFollowTheLabels) {
  const auto columns = [](const Labels& labels) { return find_entailment(labels); };
  EXPECT_EQ(columns({"contradiction", "entailment", "neutral"}).entailment, 1U);
  EXPECT_EQ(columns({"contradiction", "entailment", "neutral"}).contradiction, 0U);
  EXPECT_EQ(columns({"ENTAILMENT", "NEUTRAL", "CONTRADICTION"}).contradiction, 2U);
  EXPECT_FALSE(columns({"neutral", "Entails"}).guessed);
  EXPECT_TRUE(columns({"LABEL_0", "LABEL_1", "LABEL_2"}).guessed);
  EXPECT_EQ(columns({"LABEL_0", "LABEL_1", "LABEL_2"}).entailment, 2U);
}

TEST(ZeroShot, ScoresAreProbabilities) {
  const std::vector<std::vector<float>> logits = {{0.0F, 1000.0F}, {0.0F, 999.0F}};
  const EntailmentColumns columns{1, 0, false};
  const auto exclusive = score_candidates(logits, columns, false);
  EXPECT_NEAR(exclusive[0] + exclusive[1], 1.0, 1e-12);
  EXPECT_NEAR(exclusive[0], 1.0 / (1.0 + std::exp(-1.0)), 1e-12);
  EXPECT_NEAR(score_candidates(logits, columns, true)[1], 1.0, 1e-12);
}

TEST(ZeroShot, TemplatesThatCannotBeFilledAreRefused) {
  EXPECT_EQ(fill_hypotheses({{"a", "b"}, "It is {}.", false}), (Labels{"It is a.", "It is b."}));
  EXPECT_THROW(fill_hypotheses({{"a"}, "It is so.", false}), UsageError);
  EXPECT_THROW(fill_hypotheses({{"a"}, "{} is {}.", false}), UsageError);
  EXPECT_THROW(fill_hypotheses({{}, "It is {}.", false}), UsageError);
}

TEST(ZeroShot, ModelsThatCannotJudgeAreRefused) {
  const std::vector<std::string> texts = {"a"};
  for (const char* name : {"bert-sentence", "bert-token", "bert-reranker"}) {
    EncoderModel model(source_file(std::string("tests/models/encoders/") + name), {.threads = 1});
    EXPECT_THROW(classify_zero_shot(model, texts, {.labels = {"x"}}), Error) << name;
  }
  EncoderModel model(source_file("tests/models/encoders/bert-sequence"), {.threads = 1});
  EXPECT_THROW(classify_zero_shot(model, texts, {.labels = {std::string(300, '!')}}), Error)
      << "a hypothesis that fills the model alone";
}

}  // namespace
}  // namespace assay::test
