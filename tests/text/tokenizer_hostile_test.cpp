#include <gtest/gtest.h>

#include <chrono>

#include "base/error.hpp"
#include "text/tokenizer_support.hpp"

/// Damaged files are one Error, never a crash; long or broken text is encoded.
namespace assay::test {
namespace {

using nlohmann::json;

json byte_level() {
  return json::parse(R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "abab": 4},
    "merges": ["a b", ["ab", "ab"]]}, "added_tokens": [{"id": 5, "content": "<s>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
    "decoder": {"type": "ByteLevel"}})");
}

TEST(TokenizerHostile, TheUndamagedFileLoads) {
  EXPECT_EQ(load_json(byte_level()).encode("abab ab<s>"), (Ids{4, 3, 2, 5}));
}

/// Each is a change that must be refused.
TEST(TokenizerHostile, DamagedTokenizerJson) {
  const std::vector<std::pair<const char*, json>> changes = {
      {"/model/merges/0", "a z"},
      {"/model/merges/0", "b a"},
      {"/model/merges/0", "ab"},
      {"/model/merges/0", 7},
      {"/model/merges", "a b"},
      {"/model/vocab/a", -1},
      {"/model/vocab/a", 1},
      {"/model/vocab/a", 4000000000U},
      {"/model/vocab/a", 18446744073709551615U},
      {"/model/vocab/a", "0"},
      {"/model/vocab/a", 1.5},
      {"/model/vocab", json::array()},
      {"/model/type", "Magic"},
      {"/model/unk_token", "<none>"},
      {"/model", nullptr},
      {"/added_tokens/0/id", -5},
      {"/added_tokens/0/id", 1},
      {"/added_tokens/0/id", 1000000000},
      {"/added_tokens/0/content", 3},
      {"/added_tokens", "x"},
      {"/pre_tokenizer/type", "Magic"},
      {"/decoder/type", "Magic"},
      {"/normalizer", {{"type", "Magic"}}},
      {"/normalizer", "NFC"},
      {"/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "!!!"}}},
      {"/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "/////w=="}}},
      {"/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "("}}}, {"content", ""}}},
      {"/normalizer", {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}}},
      {"/post_processor", {{"type", "TemplateProcessing"}, {"single", json::array()}}},
      {"/post_processor", {{"type", "BertProcessing"}, {"cls", {"a", -1}}, {"sep", {"b", 1}}}},
  };
  for (const auto& [path, value] : changes) {
    json damaged = byte_level();
    damaged[json::json_pointer(path)] = value;
    EXPECT_THROW(load_json(damaged), Error) << path << " = " << value.dump();
  }
}

TEST(TokenizerHostile, OtherDamagedFiles) {
  EXPECT_THROW(load_files({}), Error);
  EXPECT_THROW(Tokenizer::from_directory("/nonexistent"), Error);
  EXPECT_THROW(load_files({{"tokenizer.json", "version https://git-lfs.github.com/spec/v1\n"}}), Error);
  EXPECT_THROW(load_files({{"vocab.json", R"({"a": 0})"}, {"merges.txt", "#version: 0.2\na\n"}}), Error);
  EXPECT_THROW(load_files({{"vocab.json", R"({"a": 0, "b": "x"})"}, {"merges.txt", ""}}), Error);
  EXPECT_THROW(load_files({{"vocab.txt", "a\nb\n"}}), Error);  // no [UNK]
  EXPECT_THROW(load_files({{"tokenizer.model", ""}}), Error);
  EXPECT_THROW(load_files({{"tokenizer.model", "\x0A\xFF\xFF\xFF\xFF\x0F"}}), Error);  // longer than the file
  EXPECT_THROW(load_files({{"tokenizer.model", std::string(12, '\xFF')}}), Error);
  EXPECT_THROW(load_files({{"tokenizer.model", "YQ== 0\nY!== 1\n"}}), Error);
  EXPECT_THROW(load_files({{"tokenizer.model", "YQ== 0\nYg== 0\n"}}), Error);  // one rank twice
  EXPECT_THROW(load_files({{"tokenizer.model", "YQ== 0\nYg== 99999999999\n"}}), Error);
}

/// Every cut and every flipped byte of a SentencePiece model: an Error or a tokenizer, nothing else.
TEST(TokenizerHostile, MutatedSentencePieceModel) {
  std::string model;
  const auto add = [&](const std::string& piece, char kind) {
    const std::string body = "\x0A" + std::string(1, static_cast<char>(piece.size())) + piece +
                             std::string("\x15\0\0\x80\xBF\x18", 6) + kind;
    model += "\x0A" + std::string(1, static_cast<char>(body.size())) + body;
  };
  add("<unk>", 2), add("<s>", 3), add("</s>", 3), add("a", 1), add("b", 1), add("ab", 1),
      add("\xE2\x96\x81", 1);
  model += std::string("\x12\x02\x18\x02", 4);  // trainer_spec.model_type = BPE
  EXPECT_EQ(load_files({{"tokenizer.model", model}}).encode("ab ab"), (Ids{1, 6, 5, 6, 5}));
  int refused = 0;
  for (size_t i = 0; i < model.size(); ++i) {
    std::string damaged = model;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x81);
    for (const std::string& bytes : {damaged, model.substr(0, i)}) {
      try {
        load_files({{"tokenizer.model", bytes}}).encode("ab ba \xFF<s>");
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 50);
}

TEST(TokenizerHostile, InvalidUtf8IsReplaced) {
  json source = byte_level();
  for (const char* piece : {"ï", "¿", "½"})
    source["model"]["vocab"][piece] = source["model"]["vocab"].size() + 10;
  const Tokenizer tokenizer = load_json(source);
  const Ids replacement = tokenizer.encode("\xEF\xBF\xBD");
  ASSERT_EQ(replacement.size(), 3U);
  for (const char* text : {"\xFF", "\xC3", "\xE2\x96", "\xF0\x9F\xA6", "\x80"})
    EXPECT_EQ(tokenizer.encode(text), replacement) << "one maximal part is one U+FFFD";
  EXPECT_EQ(tokenizer.encode("\xED\xA0\x80").size(), 9U);  // a surrogate is three invalid bytes
}

TEST(TokenizerHostile, OneWordOfAMegabyte) {
  const Tokenizer tokenizer = load_json(byte_level());
  std::string word;
  for (int i = 0; i < 500000; ++i) word += "ab";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(tokenizer.encode(word), Ids(250000, 4));
  // Quadratic merging would take hours; the bound leaves room for sanitizers and busy machines.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(TokenizerHostile, IdsThatDoNotExistDecodeToNothing) {
  const Tokenizer tokenizer = load_json(byte_level());
  EXPECT_EQ(tokenizer.decode(Ids{0, -1, 77, 2000000000, 1}), "ab");
  EXPECT_EQ(decode_stream(tokenizer, {0, -1, 77, 2000000000, 1}), "ab");
  EXPECT_THROW(tokenizer.token(-1), Error);
  EXPECT_THROW(tokenizer.token(6), Error);
}

}  // namespace
}  // namespace assay::test
