// The README's library example, and the public header on its own.
#include <gtest/gtest.h>

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
