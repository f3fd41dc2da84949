// The README's library example, and the public header on its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "assay/assay.hpp"
#include "support/test_data.hpp"

namespace {

/// A tiny checkpoint with a tokenizer, complete enough for every function of the public header.
std::string tiny_checkpoint() {
  return assay::test::source_file("tests/models/qwen3-rows256").string();
}

TEST(Api, QuantizesProvesInspectsAndRuns) {
  const assay::test::TemporaryFolder folder;
  const auto outputs =
      assay::api::quantize(tiny_checkpoint(), {"mlx:4bit", "gguf:Q4_K_M"}, folder.path().string());
  ASSERT_EQ(2u, outputs.size());
  for (const auto& output : outputs) {
    for (const auto& check : assay::api::verify(output.path, tiny_checkpoint()))
      EXPECT_TRUE(check.ok) << check.detail;
    EXPECT_EQ("quantized", assay::api::inspect(output.path).verdict);
    EXPECT_NEAR(output.bits_per_weight, assay::api::inspect(output.path).bits_per_weight, 1e-9);
    assay::api::Model model(output.path, {.threads = 1});
    std::string pieces;
    const std::string text = model.generate("a", {.max_tokens = 8, .chat_template = false},
                                            [&](std::string_view piece) { pieces += piece; });
    EXPECT_EQ(text, pieces);
    EXPECT_EQ(text, model.generate("a", {.max_tokens = 8, .chat_template = false}));
  }
}

TEST(Api, EncodersEmbedAndClassify) {
  const assay::test::TemporaryFolder folder;
  const std::string source = assay::test::source_file("tests/models/encoders/distilbert-sequence").string();
  const auto outputs = assay::api::quantize(source, {"int8"}, folder.path().string());
  ASSERT_EQ(1u, outputs.size());
  EXPECT_EQ("quantized", assay::api::inspect(outputs[0].path).verdict);
  assay::api::Encoder reference(source, {.exact = true}), candidate(outputs[0].path);
  const std::vector<std::string> texts{"a short text", "and a second one that is longer"};
  const auto together = candidate.embed(texts);
  ASSERT_EQ(2u, together.size());
  EXPECT_EQ(candidate.embed({texts[1]})[0], together[1]);  // alone or not: the same bits
  EXPECT_EQ(reference.labels(), candidate.labels());
  const auto answers = candidate.classify(texts);
  ASSERT_EQ(2u, answers.size());
  ASSERT_EQ(candidate.labels().size(), answers[0].probabilities.size());
  double sum = 0.0;
  for (const double p : answers[0].probabilities) sum += p;
  EXPECT_NEAR(1.0, sum, 1e-12);
  const auto& labels = candidate.labels();
  const auto best = std::find(labels.begin(), labels.end(), answers[0].label) - labels.begin();
  for (const double p : answers[0].probabilities)
    EXPECT_LE(p, answers[0].probabilities[static_cast<size_t>(best)]);
}

TEST(Api, AnEncoderWithoutHeadSaysSo) {
  const std::string path = assay::test::source_file("tests/models/encoders/bert-sentence").string();
  assay::api::Encoder encoder(path);
  EXPECT_TRUE(encoder.labels().empty());
  EXPECT_EQ(1u, encoder.embed({""}).size());  // an empty text is its special tokens
  EXPECT_THROW(encoder.classify({"text"}), std::runtime_error);
}

TEST(Api, FaultsAreOneLineOfRuntimeError) {
  for (const char* path : {"/no/such/model", "/dev/null"}) {
    try {
      assay::api::Model model(path);
      FAIL() << path;
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string::npos, std::string(error.what()).find('\n'));
      EXPECT_NE(std::string::npos, std::string(error.what()).find(path));
    }
  }
  EXPECT_THROW(assay::api::quantize(tiny_checkpoint(), {"gguf:Q4_K_X"}, "unused"), std::runtime_error);
}

}  // namespace
