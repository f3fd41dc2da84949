#include <gtest/gtest.h>

#include "base/error.hpp"
#include "text/tokenizer_support.hpp"

/// Texts and pairs with segments and truncation, against what Hugging Face's tokenizers library made of them
/// (tools/make_tokenizer_goldens.py).
namespace assay::test {
namespace {

using nlohmann::json;

/// A text, or [part, n] for the part n times over.
std::string spell(const json& text) {
  if (text.is_string()) return text.get<std::string>();
  std::string out;
  for (int i = 0; i < text.at(1).get<int>(); ++i) out += text.at(0).get<std::string>();
  return out;
}

PairOptions options_of(const json& entry) {
  PairOptions options;
  if (!entry.at("max_length").is_null()) options.max_length = entry["max_length"].get<int64_t>();
  if (entry.at("strategy") == "longest_first") options.strategy = TruncationStrategy::kLongestFirst;
  if (entry.at("strategy") == "only_first") options.strategy = TruncationStrategy::kOnlyFirst;
  if (entry.at("strategy") == "only_second") options.strategy = TruncationStrategy::kOnlySecond;
  options.parse_special = entry.value("parse_special", true);
  return options;
}

bool comes_out(const Tokenizer& tokenizer, const json& entry) {
  const std::string first = spell(entry.at("first"));
  std::optional<std::string> second;
  if (!entry.at("second").is_null()) second = spell(entry["second"]);
  try {
    const Encoding encoding = tokenizer.encode_pair(first, second, options_of(entry));
    return entry.contains("ids") && encoding.ids == entry["ids"].get<Ids>() &&
           encoding.types == entry.at("types").get<std::vector<int32_t>>();
  } catch (const Error&) {
    return entry.contains("error");
  }
}

int count_wrong(const Tokenizer& tokenizer, const json& golden, std::string* notes = nullptr) {
  int wrong = 0;
  for (const json& entry : golden.at("pairs")) {
    if (comes_out(tokenizer, entry)) continue;
    if (notes != nullptr && ++wrong <= 5) *notes += entry.dump() + "\n";
    wrong += notes == nullptr ? 1 : 0;
  }
  return wrong;
}

/// Each must be noticed: a pair without its last special token, a text cut from its other end, and another
/// way of sharing the length.
void expect_damage_shows(const json& source, const json& golden) {
  json without_last = source;
  json& processor = without_last["post_processor"];
  if (processor["type"] == "RobertaProcessing")
    processor["type"] = "BertProcessing";
  else
    processor["pair"].erase(processor["pair"].size() - 1);
  EXPECT_GT(count_wrong(load_json(without_last), golden), 20);
  json turned = source;
  if (turned["truncation"].is_null()) turned["truncation"] = {{"max_length", 512}};
  turned["truncation"]["direction"] =
      turned["truncation"].value("direction", "Right") == "Left" ? "Right" : "Left";
  EXPECT_GT(count_wrong(load_json(turned), golden), 20);
  json segments = source;
  if (processor["type"] != "BertProcessing") {
    for (json& part : segments["post_processor"]["pair"])
      if (part.contains("Sequence")) part["Sequence"]["type_id"] = 2;
    EXPECT_GT(count_wrong(load_json(segments), golden), 20);
  }
}

class OwnPairs : public testing::TestWithParam<const char*> {};

TEST_P(OwnPairs, EqualHuggingFace) {
  const auto folder = source_file(std::string("tests/golden/tokenizers/") + GetParam());
  const json golden = json::parse(read_file(folder / "cases.json"));
  std::string notes;
  EXPECT_EQ(count_wrong(Tokenizer::from_directory(folder), golden, &notes), 0) << notes;
  EXPECT_GE(golden.at("pairs").size(), 290U);
  expect_damage_shows(json::parse(read_file(folder / "tokenizer.json")), golden);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, OwnPairs, testing::Values("bert-style", "roberta-style", "xlmr-style"),
                         [](const auto& golden) {
                           const std::string name = golden.param;
                           return name.substr(0, name.find('-'));
                         });

void check_published(const std::string& name) {
  const json golden =
      json::parse(read_file(source_file("tests/golden/tokenizers/pairs-" + name + "/cases.json")));
  ASSAY_NEED_DATA(folder, golden.at("data").get<std::string>());
  std::string notes;
  EXPECT_EQ(count_wrong(Tokenizer::from_directory(folder), golden, &notes), 0) << notes;
  EXPECT_GE(golden.at("pairs").size(), 300U);
  expect_damage_shows(json::parse(read_file(folder / "tokenizer.json")), golden);
}

TEST(TokenizerPairs, BertBaseUncased) {
  check_published("bert-base-uncased");
}
TEST(TokenizerPairs, AllMiniLm) {
  check_published("all-MiniLM-L6-v2");
}

/// Folders from before tokenizer.json: the same pairs from vocab.txt alone.
TEST(TokenizerPairs, VocabTextAlone) {
  const json golden =
      json::parse(read_file(source_file("tests/golden/tokenizers/pairs-bert-base-uncased/cases.json")));
  ASSAY_NEED_DATA(vocab, "tokenizers/bert-base-uncased/vocab.txt");
  const std::string pieces = read_file(vocab);
  std::string notes;
  EXPECT_EQ(count_wrong(load_files({{"vocab.txt", pieces}}), golden, &notes), 0) << notes;
  const auto with = [&](const char* config) {
    return load_files({{"vocab.txt", pieces}, {"tokenizer_config.json", config}});
  };
  EXPECT_GT(count_wrong(with(R"({"do_lower_case": false})"), golden), 0);
  EXPECT_GT(count_wrong(with(R"({"strip_accents": false})"), golden), 0);
  EXPECT_GT(count_wrong(with(R"({"tokenize_chinese_chars": false})"), golden), 0);
}

/// The rules of BERT's normalizer and WordPiece one at a time, over a vocabulary small enough to see.
TEST(TokenizerPairs, NamedDifficulties) {
  const Tokenizer tokenizer = load_files(
      {{"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncafe\ni\nstraße\nx\n##x\ndon\n'\nt\ny\n"}});
  const TokenId unk = 1, x = 8, more = 9;
  const auto plain = [&](const std::string& text) { return encode_plain(tokenizer, text); };
  EXPECT_EQ(plain("café"), (Ids{5}));
  EXPECT_EQ(plain("cafe\u0301"), (Ids{5}));
  EXPECT_EQ(plain("İ"), (Ids{6}));
  EXPECT_EQ(plain("STRAßE"), (Ids{7}));
  EXPECT_EQ(plain("x\U00020000y"), (Ids{x, unk, 13})) << "extension B stands alone";
  EXPECT_EQ(plain("x\U0002b920y"), (Ids{x, unk, 13})) << "extension E stands alone";
  EXPECT_EQ(plain("x\U0002b820y"), (Ids{unk})) << "the library's list begins later";
  EXPECT_EQ(plain("x\u200dx"), (Ids{x, more})) << "the joiner vanishes";
  EXPECT_EQ(plain("x\ty\u00a0x"), (Ids{x, 13, x}));
  EXPECT_EQ(plain("don't"), (Ids{10, 11, 12}));
  EXPECT_EQ(plain("[MASK]"), (Ids{4}));
  EXPECT_EQ(plain(std::string(101, 'x')), (Ids{unk}));
  EXPECT_EQ(plain(std::string(100, 'x')).size(), 100U);
  EXPECT_EQ(plain(std::string(100000, 'x')), (Ids{unk}));
  EXPECT_EQ(plain("مَرْحَبًا"), (Ids{unk}));
  EXPECT_EQ(tokenizer.encode_pair("", std::nullopt).ids, (Ids{2, 3}));
  EXPECT_EQ(tokenizer.encode_pair("", "").ids, (Ids{2, 3, 3}));
  EXPECT_EQ(tokenizer.encode_pair("", "").types, (std::vector<int32_t>{0, 0, 1}));
  EXPECT_EQ(tokenizer.encode_pair("[MASK]", std::nullopt, {.parse_special = false}).ids,
            (Ids{2, 1, 1, 1, 3}));
}

TEST(TokenizerPairs, MpnetFromVocabText) {
  const Tokenizer tokenizer = load_files(
      {{"vocab.txt", "<s>\n<pad>\n</s>\n[UNK]\nx\ny\n<mask>\n"},
       {"tokenizer_config.json", R"({"tokenizer_class": "MPNetTokenizer", "pad_token": "<pad>"})"}});
  const Encoding pair = tokenizer.encode_pair("x x", "y");
  EXPECT_EQ(pair.ids, (Ids{0, 4, 4, 2, 2, 5, 2}));
  EXPECT_EQ(pair.types, (std::vector<int32_t>{0, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(tokenizer.pad_id(), 1);
}

std::string error_of(const Tokenizer& tokenizer, const char* first, std::optional<std::string_view> second,
                     const PairOptions& options) {
  try {
    tokenizer.encode_pair(first, second, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(TokenizerPairs, ErrorsSayWhy) {
  const auto folder = source_file("tests/golden/tokenizers");
  const Tokenizer gpt2 = Tokenizer::from_directory(folder / "gpt2-style");
  EXPECT_NE(error_of(gpt2, "a", "b", {}).find("cannot put two texts together"), std::string::npos);
  EXPECT_EQ(gpt2.encode_pair("a", std::nullopt).types.size(), 1U);
  const Tokenizer bert = Tokenizer::from_directory(folder / "bert-style");
  EXPECT_EQ(bert.truncation_length(), 24);
  EXPECT_EQ(bert.pad_id(), bert.id_of("[PAD]"));
  EXPECT_FALSE(gpt2.truncation_length());
  EXPECT_NE(error_of(bert, "a", "b", {.max_length = 2}).find("at least 3"), std::string::npos);
  EXPECT_EQ(bert.encode_pair("a", "b", {.max_length = 3}).ids.size(), 3U);
  const PairOptions second{.max_length = 4, .strategy = TruncationStrategy::kOnlySecond};
  EXPECT_NE(error_of(bert, "a b c d", std::nullopt, second).find("there is none"), std::string::npos);
  EXPECT_NE(error_of(bert, "a b c d", "e", second).find("does not make the pair fit"), std::string::npos);
}

TEST(TokenizerPairs, UnknownTruncationIsRefused) {
  const auto file = source_file("tests/golden/tokenizers/bert-style/tokenizer.json");
  const json good = json::parse(read_file(file));
  for (const auto& [key, value] : {std::pair<const char*, json>{"strategy", "Middle"},
                                   {"direction", "Up"},
                                   {"max_length", -1},
                                   {"max_length", "many"}}) {
    json bad = good;
    bad["truncation"][key] = value;
    EXPECT_THROW(load_json(bad), Error) << key << value;
  }
  json no_second = good;
  no_second["post_processor"]["pair"].erase(3);
  EXPECT_THROW(load_json(no_second), Error);
}

}  // namespace
}  // namespace assay::test
