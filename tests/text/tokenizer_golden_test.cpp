#include <gtest/gtest.h>

#include <algorithm>

#include "io/gguf.hpp"
#include "text/tokenizer_support.hpp"

/// Agreement with the ids that other implementations stored. Every comparison is also run on a damaged
/// vocabulary, which must not pass.
namespace assay::test {
namespace {

using nlohmann::json;

/// How many of the stored cases come out differently (ids, text back, text back as a stream).
int count_differences(const Tokenizer& tokenizer, const json& cases) {
  int wrong = 0;
  for (const json& entry : cases) {
    const Ids expected = entry.at("ids").get<Ids>();
    const Ids ids = encode_plain(tokenizer, entry.at("text").get<std::string>());
    const std::string decoded = entry.at("decoded").get<std::string>();
    const bool same = ids == expected && tokenizer.decode(expected) == decoded &&
                      decode_stream(tokenizer, expected) == decoded;
    wrong += same ? 0 : 1;
    if (!same) ADD_FAILURE() << entry.dump();
  }
  return wrong;
}

/// The same without complaint, for the planted errors.
bool differs(const Tokenizer& tokenizer, const json& cases) {
  for (const json& entry : cases)
    if (encode_plain(tokenizer, entry.at("text").get<std::string>()) != entry.at("ids").get<Ids>())
      return true;
  return false;
}

/// Swaps the ids of two pieces that the cases use.
void damage(json& tokenizer, const json& cases) {
  const Ids ids = cases.at(0).at("ids").get<Ids>();
  const TokenId a = ids.front();
  json& vocab = tokenizer["model"]["vocab"];
  if (vocab.is_array()) {
    std::swap(vocab[static_cast<size_t>(a)], vocab[static_cast<size_t>(a) + 1]);
    return;
  }
  std::string first, second;
  for (const auto& [piece, id] : vocab.items()) {
    if (id == a) first = piece;
    if (id == a + 1) second = piece;
  }
  std::swap(vocab[first], vocab[second]);
}

TEST(TokenizerGolden, HuggingFaceCasesOfEveryKind) {
  ASSAY_NEED_DATA(file, "golden-arch/neural-api/hf_tokenizer_cases.json");
  const json groups = json::parse(read_file(file));
  int kinds = 0, checked = 0;
  for (const auto& [name, group] : groups.items()) {
    const auto path = file.parent_path() / group.at("tokenizer").get<std::string>();
    if (path.extension() != ".json") continue;  // SentencePiece models, which the folder does not hold
    json source = json::parse(read_file(path));
    const json& cases = group.at("cases");
    EXPECT_EQ(count_differences(load_json(source), cases), 0) << name;
    damage(source, cases);
    EXPECT_TRUE(differs(load_json(source), cases)) << name << ": a damaged vocabulary passes";
    ++kinds;
    checked += static_cast<int>(cases.size());
  }
  EXPECT_EQ(kinds, 15);
  EXPECT_EQ(checked, 258);
}

class LlamaCppCases : public testing::TestWithParam<const char*> {};

int count_llama_differences(const Tokenizer& tokenizer, const std::filesystem::path& base) {
  const auto texts = split_text(read_file(base.string() + ".inp"), "\n__ggml_vocab_test__\n");
  const auto expected = read_id_lines(base.string() + ".out");
  EXPECT_EQ(texts.size(), expected.size());
  int wrong = 0;
  for (size_t i = 0; i < std::min(texts.size(), expected.size()); ++i)
    wrong += encode_plain(tokenizer, texts[i]) == expected[i] ? 0 : 1;
  return wrong;
}

TEST_P(LlamaCppCases, FromGguf) {
  ASSAY_NEED_DATA(base, std::string("golden-tok/llama.cpp/ggml-vocab-") + GetParam() + ".gguf");
  GgufMetadata metadata = GgufFile(base).metadata();
  EXPECT_EQ(count_llama_differences(Tokenizer::from_gguf(metadata), base), 0);

  std::vector<std::string> tokens = metadata.strings("tokenizer.ggml.tokens");
  std::rotate(tokens.begin() + 300, tokens.begin() + 301, tokens.end() - 64);
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  EXPECT_GT(count_llama_differences(Tokenizer::from_gguf(metadata), base), 0)
      << "a damaged vocabulary passes";
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, LlamaCppCases,
                         testing::Values("gpt-2", "llama-spm", "phi-3", "bert-bge"),
                         [](const auto& vocabulary) {
                           std::string name = vocabulary.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(TokenizerGolden, Qwen2FromVocabAndMerges) {
  ASSAY_NEED_DATA(folder, "tokenizers/qwen2.5");
  ASSAY_NEED_DATA(inputs, "golden-tok/llama.cpp/ggml-vocab-qwen2.gguf.inp");
  const Tokenizer tokenizer = Tokenizer::from_directory(folder);
  std::filesystem::path base = inputs;
  EXPECT_EQ(count_llama_differences(tokenizer, base.replace_extension()), 0);
  EXPECT_EQ(tokenizer.vocab_size(), 151665);
  EXPECT_EQ(tokenizer.eos_id(), 151645);
  EXPECT_FALSE(tokenizer.adds_bos());
  EXPECT_EQ(tokenizer.encode("<|im_start|>user"), (Ids{151644, 872}));
}

TEST(TokenizerGolden, BertQuestions) {
  ASSAY_NEED_DATA(folder, "tokenizers/bert-base-uncased");
  ASSAY_NEED_DATA(questions, "golden-tok/swift-transformers/question_tokens.json");
  const Tokenizer tokenizer = Tokenizer::from_directory(folder);
  const json texts = json::parse(read_file(questions));
  const json expected = json::parse(read_file(questions.parent_path() / "tokenized_questions.json"));
  ASSERT_EQ(texts.size(), 10570U);
  ASSERT_EQ(expected.size(), texts.size());
  int wrong = 0, wrong_when_shifted = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Ids ids = encode_plain(tokenizer, texts[i].at("original").get<std::string>());
    wrong += ids == expected[i].get<Ids>() ? 0 : 1;
    wrong_when_shifted += ids == expected[(i + 1) % texts.size()].get<Ids>() ? 0 : 1;
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(wrong_when_shifted, 10000);
}

TEST(TokenizerGolden, StoredPiecesOfOneText) {
  ASSAY_NEED_DATA(folder, "golden-tok/swift-transformers");
  const auto pieces = [](const Tokenizer& tokenizer, const std::string& text) {
    std::vector<std::string> out;
    for (const TokenId id : encode_plain(tokenizer, text)) out.emplace_back(tokenizer.token(id));
    return out;
  };
  const json bert = json::parse(read_file(folder / "bert_uncased_encoded.json"));
  const Tokenizer uncased = Tokenizer::from_directory(data_folder() / "tokenizers/bert-base-uncased");
  EXPECT_EQ(pieces(uncased, bert.at("text")), bert.at("bpe_tokens").get<std::vector<std::string>>());
  const json gpt2 = json::parse(read_file(folder / "gpt2_encoded_tokens.json"));
  const Tokenizer bytes = Tokenizer::from_directory(data_folder() / "tokenizers/gpt2");
  EXPECT_EQ(encode_plain(bytes, gpt2.at("text")), gpt2.at("token_ids").get<Ids>());
  EXPECT_EQ(bytes.decode(gpt2.at("token_ids").get<Ids>()), gpt2.at("decoded_text").get<std::string>());
  const json llama = json::parse(read_file(folder / "llama_encoded.json"));
  const Tokenizer spm = Tokenizer::from_directory(data_folder() / "tokenizers/llama2");
  EXPECT_EQ(pieces(spm, llama.at("text")), llama.at("bpe_tokens").get<std::vector<std::string>>());
}

TEST(TokenizerGolden, VocabTextEqualsTokenizerJson) {
  ASSAY_NEED_DATA(folder, "tokenizers/bert-base-uncased");
  const Tokenizer json_form = Tokenizer::from_directory(folder);
  const Tokenizer text_form = load_files({{"vocab.txt", read_file(folder / "vocab.txt")}});
  for (const char* text : {"Hello, World! I can't é 你好", "", "[MASK] it", "naïve Ångström\tx\n"})
    EXPECT_EQ(json_form.encode(text), text_form.encode(text)) << text;
}

/// Files of the same model in another form must give the same ids on a real text.
TEST(TokenizerGolden, Llama2FormsAgree) {
  ASSAY_NEED_DATA(folder, "tokenizers/llama2");
  ASSAY_NEED_DATA(corpus, "text/wikitext-2/wiki.test.raw");
  const Tokenizer json_form = Tokenizer::from_directory(folder);
  const Tokenizer model_form = load_files({{"tokenizer.model", read_file(folder / "tokenizer.model")}});
  int lines = 0, wrong = 0;
  for (const std::string& line : split_text(read_file(corpus).substr(0, 300000), "\n")) {
    wrong += json_form.encode(line) == model_form.encode(line) ? 0 : 1;
    ++lines;
  }
  EXPECT_GT(lines, 800);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(model_form.encode("Hello").front(), 1);
}

TEST(TokenizerGolden, Llama3Ranks) {
  ASSAY_NEED_DATA(folder, "tokenizers/llama3");
  const Tokenizer tokenizer = Tokenizer::from_directory(folder);
  EXPECT_EQ(tokenizer.vocab_size(), 128256);
  EXPECT_EQ(tokenizer.bos_id(), 128000);
  EXPECT_EQ(tokenizer.eos_id(), 128009);
  // meta-llama/llama3, test_tokenizer.py
  EXPECT_EQ(tokenizer.encode("This is a test sentence."), (Ids{128000, 2028, 374, 264, 1296, 11914, 13}));
  EXPECT_EQ(tokenizer.encode("<|begin_of_text|>This is"), (Ids{128000, 2028, 374}));
  const Tokenizer bare = load_files({{"tokenizer.model", read_file(folder / "tokenizer.model")}});
  EXPECT_EQ(bare.id_of("<|eot_id|>"), 128009);
  EXPECT_EQ(bare.id_of("<|reserved_special_token_250|>"), 128255);
}

}  // namespace
}  // namespace assay::test
