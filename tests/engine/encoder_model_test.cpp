// EncoderModel from texts to numbers, against transformers and sentence-transformers on the tiny encoders of
// tests/models/encoders (tools/make_tiny_encoders.py), and what it refuses.
#include "engine/encoder_model.hpp"

#include "base/error.hpp"
#include "engine/encoder_support.hpp"
#include "io/checkpoint.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;
using test::Rows;

/// Both sides round sums of 32 to 128 terms to f32, in different orders: sqrt(128) · 2^-24 = 7e-7 each, about
/// ten of them in a chain, and the largest of a thousand values lies at four standard deviations: 1e-5.
constexpr double kBound = 1e-5;

fs::path cases_folder() {
  return test::source_file("tests/models/encoders");
}

std::vector<std::string> golden_cases() {
  std::vector<std::string> names;
  if (!fs::exists(cases_folder())) return names;
  for (const auto& entry : fs::directory_iterator(cases_folder()))
    if (fs::exists(entry.path() / "golden.json")) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

struct GoldenText {
  EncoderText text;
  nlohmann::json values;
};

std::vector<GoldenText> read_golden(const std::string& name) {
  std::vector<GoldenText> texts;
  const nlohmann::json golden = read_json_file(cases_folder() / name / "golden.json");
  for (const nlohmann::json& entry : golden.at("texts")) {
    EncoderText text{entry.at("text").get<std::string>()};
    if (entry.contains("pair") && !entry["pair"].is_null()) text.pair = entry["pair"].get<std::string>();
    texts.push_back({text, entry});
  }
  return texts;
}

/// A vector, or the rows of a matrix one behind the other.
std::vector<float> flat_values(const nlohmann::json& values) {
  std::vector<float> flat;
  for (const nlohmann::json& value : values) {
    if (value.is_array()) {
      for (const float number : value.get<std::vector<float>>()) flat.push_back(number);
    } else {
      flat.push_back(value.get<float>());
    }
  }
  return flat;
}

class EncoderModelGolden : public testing::TestWithParam<std::string> {
 protected:
  EncoderModelGolden()
      : model_(cases_folder() / GetParam(), {.threads = 2, .compute = Compute::kExact}),
        golden_(read_golden(GetParam())) {}

  std::vector<EncoderText> texts() const {
    std::vector<EncoderText> texts;
    for (const GoldenText& text : golden_) texts.push_back(text.text);
    return texts;
  }
  Rows expected(const std::string& key) const {
    Rows rows;
    for (const GoldenText& text : golden_) rows.push_back(flat_values(text.values.at(key)));
    return rows;
  }
  bool has(const std::string& key) const { return golden_.front().values.contains(key); }

  using Method = void (Encoder::*)(std::span<const Encoding>, const Encoder::VisitRows&);
  Rows run(Method method) {
    std::vector<Encoding> encodings;
    for (const GoldenText& text : golden_) encodings.push_back(model_.tokenize(text.text));
    Rows rows(encodings.size());
    (model_.encoder().*method)(encodings, [&](size_t i, std::span<const float> values) {
      rows[i].assign(values.begin(), values.end());
    });
    return rows;
  }

  void compare(const std::string& key, const Rows& ours) const {
    const double difference = test::relative_difference(ours, expected(key));
    RecordProperty(key, std::to_string(difference));
    EXPECT_LT(difference, kBound) << key;
  }

  EncoderModel model_;
  std::vector<GoldenText> golden_;
};

TEST_P(EncoderModelGolden, TokenizesAsTransformers) {
  for (const GoldenText& text : golden_) {
    const Encoding ours = model_.tokenize(text.text);
    EXPECT_EQ(text.values.at("input_ids").get<std::vector<TokenId>>(), ours.ids) << text.text.text;
    if (model_.traits().type_rows <= 1) continue;
    EXPECT_EQ(text.values.at("type_ids").get<std::vector<int32_t>>(), ours.types) << text.text.text;
  }
}

TEST_P(EncoderModelGolden, ComputesAsTransformers) {
  if (has("last_hidden_state")) compare("last_hidden_state", run(&Encoder::hidden_states));
  if (has("pooler_output") && model_.traits().head.has_pooler)
    compare("pooler_output", run(&Encoder::pooler_output));
  if (has("embedding")) compare("embedding", model_.embed(texts()));
  if (has("logits"))
    compare("logits", model_.traits().head.kind == EncoderHeadKind::kToken ? model_.token_logits(texts())
                                                                           : model_.logits(texts()));
}

INSTANTIATE_TEST_SUITE_P(Encoders, EncoderModelGolden, testing::ValuesIn(golden_cases()),
                         [](const auto& case_info) {
                           std::string name = case_info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EncoderModelGolden);

/// A copy of the plain BERT with sentence-transformers files beside it.
class EncoderModelSettings : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(cases_folder() / "bert-model")) GTEST_SKIP() << "needs tests/models/encoders/bert-model";
    fs::create_directory(path());
    for (const auto& entry : fs::directory_iterator(cases_folder() / "bert-model"))
      fs::copy(entry.path(), path() / entry.path().filename());
    write("modules.json",
          {{{"idx", 0}, {"name", "0"}, {"path", ""}, {"type", "sentence_transformers.models.Transformer"}},
           {{"idx", 1},
            {"name", "1"},
            {"path", "1_Pooling"},
            {"type", "sentence_transformers.models.Pooling"}}});
    fs::create_directory(path() / "1_Pooling");
    write_pooling(true);
  }

  void write_pooling(bool include_prompt) {
    write("1_Pooling/config.json", {{"word_embedding_dimension", 32},
                                    {"pooling_mode_cls_token", false},
                                    {"pooling_mode_mean_tokens", true},
                                    {"pooling_mode_max_tokens", false},
                                    {"pooling_mode_mean_sqrt_len_tokens", false},
                                    {"include_prompt", include_prompt}});
  }
  void write(const std::string& name, const nlohmann::json& json) {
    std::ofstream(path() / name) << json.dump();
  }
  fs::path path() const { return folder_ / "model"; }
  EncoderModel open() const { return EncoderModel(path(), {.threads = 1}); }
  static std::vector<float> embed(EncoderModel& model, const std::string& text,
                                  const EmbedOptions& options = {}) {
    return model.embed(std::vector<EncoderText>{{text}}, options)[0];
  }

  test::TemporaryFolder folder_;
};

TEST_F(EncoderModelSettings, APromptStandsBeforeTheText) {
  write("config_sentence_transformers.json",
        {{"prompts", {{"query", "It "}, {"other", "a "}}}, {"default_prompt_name", "query"}});
  EncoderModel model = open();
  EXPECT_EQ(embed(model, "It moves", {.prompt = ""}), embed(model, "moves"));  // the default
  EXPECT_EQ(embed(model, "a moves", {.prompt = ""}), embed(model, "moves", {.prompt_name = "other"}));
  EXPECT_EQ(embed(model, "a moves", {.prompt = ""}), embed(model, "moves", {.prompt = "a "}));
  EXPECT_NE(embed(model, "a moves", {.prompt = ""}), embed(model, "moves"));
  EXPECT_EQ(embed(model, "moves", {.prompt = ""}), embed(model, " \n moves\t ", {.prompt = ""}));
  EXPECT_THROW(embed(model, "moves", {.prompt_name = "none"}), Error);
}

TEST_F(EncoderModelSettings, APromptThatDoesNotCountIsLeftOutOfThePooling) {
  write_pooling(false);
  EncoderModel model = open();
  const EncoderText text{"It moves"};
  const Encoding ids = model.tokenize(text);
  const auto prompt = static_cast<int64_t>(model.tokenize({"It"}).ids.size()) - 1;  // without its [SEP]
  ASSERT_GT(prompt, 1);
  std::vector<float> expected(32, 0.0f);
  model.encoder().hidden_states(std::vector{ids}, [&](size_t, std::span<const float> rows) {
    const int64_t counted = static_cast<int64_t>(rows.size()) / 32 - prompt;
    for (size_t i = 0; i < 32; ++i) {
      double sum = 0.0;
      for (auto t = static_cast<size_t>(prompt); t < rows.size() / 32; ++t) sum += rows[t * 32 + i];
      expected[i] = static_cast<float>(sum / static_cast<double>(counted));
    }
  });
  EXPECT_EQ(expected, embed(model, "moves", {.prompt = "It "}));
  write_pooling(true);
  EncoderModel counting = open();
  EXPECT_NE(expected, embed(counting, "moves", {.prompt = "It "}));
}

TEST_F(EncoderModelSettings, TheLengthIsSentenceTransformersOwnAndNeverBeyondThePositions) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "owner ";
  EXPECT_LE(open().tokenize({text}).ids.size(), size_t{64});
  write("sentence_bert_config.json", {{"max_seq_length", 9}, {"do_lower_case", false}});
  EncoderModel nine = open();
  EXPECT_EQ(9, nine.max_length());
  EXPECT_EQ(9u, nine.tokenize({text}).ids.size());
  write("sentence_bert_config.json", {{"max_seq_length", 4096}, {"do_lower_case", false}});
  EncoderModel capped = open();
  EXPECT_EQ(capped.encoder().max_tokens(), capped.max_length());
  EXPECT_EQ(32u, embed(capped, text).size());
}

TEST_F(EncoderModelSettings, PoolingAndLengthCanBeOverridden) {
  EncoderModel model = open();
  const PoolingModes both{.cls = true, .mean = true};
  EXPECT_EQ(64, model.embedding_dim({.pooling = both}));
  const auto vector = embed(model, "It moves", {.normalize = true, .pooling = both});
  double squares = 0.0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  EXPECT_NEAR(1.0, squares, 1e-6);
  // [CLS] alone runs the last layer for one row; the bits are those of the whole.
  const PoolingModes first{.cls = true};
  const auto alone = embed(model, "It moves", {.pooling = first});
  const auto whole = embed(model, "It moves", {.pooling = both});
  EXPECT_EQ(alone, std::vector<float>(whole.begin(), whole.begin() + 32));
}

TEST_F(EncoderModelSettings, EmptyAndBrokenTextsHaveAnEmbedding) {
  EncoderModel model = open();
  EXPECT_EQ(2u, model.tokenize({""}).ids.size());  // [CLS] [SEP]
  EXPECT_EQ(32u, embed(model, "").size());
  EXPECT_EQ(32u, embed(model, "\xff\xfe broken").size());
  EXPECT_EQ(32u, embed(model, std::string(100000, 'x')).size());
  EXPECT_TRUE(model.embed({}).empty());
  size_t finished = 0;
  const auto vectors = model.embed(std::vector<EncoderText>(7, {"a"}), {}, [&](size_t n) { finished += n; });
  EXPECT_EQ(7u, finished);
  EXPECT_EQ(vectors[0], vectors[6]);
}

TEST_F(EncoderModelSettings, WhatCannotBeDoneIsAnError) {
  EncoderModel model = open();
  const std::vector<EncoderText> texts = {{"a"}};
  EXPECT_THROW(model.logits(texts), Error);  // no head
  EXPECT_THROW(model.token_logits(texts), Error);
  EXPECT_THROW(embed(model, "a", {.pooling = PoolingModes{.mean = false}}), Error);
  const auto ignore = [](size_t, std::span<const float>) {};
  const auto run = [&](Encoding text) { model.encoder().hidden_states(std::vector{text}, ignore); };
  EXPECT_THROW(run({}), Error);
  EXPECT_THROW(run({{160}, {0}}), Error);  // the vocabulary has 160 rows
  EXPECT_THROW(run({{-1}, {0}}), Error);
  EXPECT_THROW(run({{5}, {2}}), Error);  // two segments
  EXPECT_THROW(run({std::vector<TokenId>(65, 5), std::vector<int32_t>(65, 0)}), Error);
  EXPECT_NO_THROW(run({std::vector<TokenId>(64, 5), std::vector<int32_t>(64, 1)}));
}

TEST_F(EncoderModelSettings, ATokenizerOfAnotherModelIsAnError) {
  nlohmann::json config = read_json_file(path() / "config.json");
  nlohmann::json tokenizer = read_json_file(path() / "tokenizer.json");
  tokenizer["model"]["vocab"]["beyond"] = config["vocab_size"];
  write("tokenizer.json", tokenizer);
  EXPECT_THROW(open(), Error);
}

TEST(EncoderModelKinds, ADecoderIsNoEncoder) {
  EXPECT_THROW(EncoderModel(test::source_file("tests/models/llama-tied"), {.threads = 1}), Error);
}

}  // namespace
}  // namespace assay
