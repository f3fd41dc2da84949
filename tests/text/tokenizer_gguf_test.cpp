#include <gtest/gtest.h>

#include "base/error.hpp"
#include "io/gguf.hpp"
#include "text/tokenizer_support.hpp"

/// The tokenizer.ggml.* entries we write, against files of llama.cpp's own converter and against ourselves.
namespace assay::test {
namespace {

const char* const kText = "Once upon a time, there was 1 little girl.\n  She said: \"I've 23 cats!\"";

/// The names of the entries that a GGUF tokenizer consists of.
std::vector<std::string> tokenizer_keys(const GgufMetadata& metadata) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : metadata.entries())
    if (key.starts_with("tokenizer.ggml.")) keys.push_back(key);
  return keys;
}

TEST(TokenizerGguf, TinyStoriesEqualsTheStockConverter) {
  ASSAY_NEED_DATA(folder, "models/TinyStories-656K");
  const GgufMetadata stock = GgufFile(folder / "gguf/TinyStories-656K-Q8_0.gguf").metadata();
  const Tokenizer tokenizer = Tokenizer::from_directory(folder);
  GgufMetadata ours;
  tokenizer.write_gguf(ours, 2048);
  EXPECT_EQ(ours.string("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(ours.string("tokenizer.ggml.pre"), "default");
  EXPECT_EQ(ours.strings("tokenizer.ggml.tokens"), stock.strings("tokenizer.ggml.tokens"));
  EXPECT_EQ(ours.integers("tokenizer.ggml.token_type"), stock.integers("tokenizer.ggml.token_type"));
  for (const char* role : {"bos", "eos", "unknown", "padding"}) {
    const std::string key = std::string("tokenizer.ggml.") + role + "_token_id";
    EXPECT_EQ(ours.integer(key), stock.integer(key)) << key;
  }
  EXPECT_TRUE(ours.boolean("tokenizer.ggml.add_bos_token"));
  EXPECT_FALSE(ours.boolean("tokenizer.ggml.add_eos_token"));

  // The stock file gives every piece the score -1000, and so llama.cpp's merging another order than the
  // model was trained with. Ours carries the order.
  ASSAY_NEED_DATA(corpus, "text/tinystories/tinystories_valid_sample.txt");
  const Tokenizer from_ours = Tokenizer::from_gguf(ours), from_stock = Tokenizer::from_gguf(stock);
  int stock_differs = 0;
  for (const std::string& line : split_text(read_file(corpus), "\n")) {
    EXPECT_EQ(from_ours.encode(line), tokenizer.encode(line)) << line;
    stock_differs += from_stock.encode(line) == tokenizer.encode(line) ? 0 : 1;
  }
  EXPECT_GT(stock_differs, 0) << "the comparison sees no difference at all";
}

/// Written and read back, a tokenizer gives the same ids.
class WrittenAndRead : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(WrittenAndRead, GivesTheSameIds) {
  const auto [folder_name, pre] = GetParam();
  ASSAY_NEED_DATA(folder, folder_name);
  const Tokenizer tokenizer = Tokenizer::from_directory(folder);
  const int64_t rows = tokenizer.vocab_size() + 7;
  GgufMetadata metadata;
  tokenizer.write_gguf(metadata, rows);
  EXPECT_EQ(metadata.string("tokenizer.ggml.pre"), pre);
  EXPECT_EQ(static_cast<int64_t>(metadata.strings("tokenizer.ggml.tokens").size()), rows);
  EXPECT_EQ(metadata.strings("tokenizer.ggml.tokens").back(), "[PAD" + std::to_string(rows - 1) + "]");
  EXPECT_EQ(metadata.integers("tokenizer.ggml.token_type").back(), 5);
  const Tokenizer again = Tokenizer::from_gguf(metadata);
  EXPECT_EQ(encode_plain(again, kText), encode_plain(tokenizer, kText));
  EXPECT_EQ(again.decode(encode_plain(tokenizer, kText)), tokenizer.decode(encode_plain(tokenizer, kText)));

  GgufMetadata copied;
  again.write_gguf(copied, rows);
  EXPECT_EQ(tokenizer_keys(copied), tokenizer_keys(metadata));
  EXPECT_THROW(tokenizer.write_gguf(copied, tokenizer.vocab_size() - 1), Error);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, WrittenAndRead,
                         testing::Values(std::pair("tokenizers/qwen2.5", "qwen2"),
                                         std::pair("tokenizers/llama3", "llama-bpe"),
                                         std::pair("tokenizers/gpt2", "gpt-2")));

TEST(TokenizerGguf, SentencePieceScoresPassThrough) {
  ASSAY_NEED_DATA(folder, "tokenizers/llama2");
  ASSAY_NEED_DATA(vocabulary, "golden-tok/llama.cpp/ggml-vocab-llama-spm.gguf");
  const GgufMetadata stock = GgufFile(vocabulary).metadata();
  GgufMetadata ours;
  load_files({{"tokenizer.model", read_file(folder / "tokenizer.model")}}).write_gguf(ours, 32000);
  EXPECT_EQ(ours.strings("tokenizer.ggml.tokens"), stock.strings("tokenizer.ggml.tokens"));
  EXPECT_EQ(ours.numbers("tokenizer.ggml.scores"), stock.numbers("tokenizer.ggml.scores"));
}

TEST(TokenizerGguf, UnknownPreTokenizerAndModelAreErrors) {
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", GgufValue::string("from-the-future"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings({"a", "b", "ab"}));
  metadata.set("tokenizer.ggml.merges", GgufValue::strings({"a b"}));
  EXPECT_THROW(Tokenizer::from_gguf(metadata), Error);
  metadata.set("tokenizer.ggml.pre", GgufValue::string("gpt-2"));
  EXPECT_EQ(Tokenizer::from_gguf(metadata).encode("abb"), (Ids{2, 1}));
  metadata.set("tokenizer.ggml.model", GgufValue::string("rwkv"));
  EXPECT_THROW(Tokenizer::from_gguf(metadata), Error);
}

TEST(TokenizerGguf, ArraysOfWrongLengthOrTypeAreErrors) {
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", GgufValue::string("llama"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings({"<unk>", "<s>", "</s>", "a"}));
  metadata.set("tokenizer.ggml.scores", GgufValue::f32s({0, 0, 0, -1}));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s({2, 3, 3, 1}));
  EXPECT_NO_THROW(Tokenizer::from_gguf(metadata));
  GgufMetadata damaged = metadata;
  damaged.set("tokenizer.ggml.scores", GgufValue::f32s({0, 0}));
  EXPECT_THROW(Tokenizer::from_gguf(damaged), Error);
  damaged = metadata;
  damaged.set("tokenizer.ggml.token_type", GgufValue::i32s({2}));
  EXPECT_THROW(Tokenizer::from_gguf(damaged), Error);
  damaged = metadata;
  damaged.set("tokenizer.ggml.tokens", GgufValue::u32(4));
  EXPECT_THROW(Tokenizer::from_gguf(damaged), Error);
  damaged = metadata;
  damaged.set("tokenizer.ggml.bos_token_id", GgufValue::u32(4000000000));
  EXPECT_EQ(Tokenizer::from_gguf(damaged).bos_id(), 1);  // out of range: llama.cpp keeps its default
}

}  // namespace
}  // namespace assay::test
