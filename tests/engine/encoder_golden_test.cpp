// Encoders against reference values: the tiny models of golden-arch (neural-api, computed in double), and the
// tiny checkpoints of tests/models against float32 transformers.
#include "engine/encoder_support.hpp"
#include "io/checkpoint.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;
using test::Rows;

/// The references are doubles or float32 of another order of sums; ours is f32. Values are of order 1 behind
/// a layer norm. Two to four layers chain some twenty roundings of 2^-24 = 6e-8 each, of sums of 8 to 16
/// terms: 1e-6 to be expected, 1e-5 (relative to the root mean square) is asked.
constexpr double kBound = 1e-5;

/// A directory that ModelFile can open, out of a golden model's two files; `leave_out` drops a tensor that
/// belongs to no encoder.
void make_directory(const std::string& name, const fs::path& folder, const std::string& leave_out = {}) {
  const fs::path source = test::data_folder() / "golden-arch/neural-api";
  test::write_config(folder, read_json_file(source / (name + "_config.json")));
  if (leave_out.empty()) {
    fs::copy_file(source / (name + ".safetensors"), folder / "model.safetensors");
    return;
  }
  const SafetensorsFile file(source / (name + ".safetensors"));
  std::vector<test::StoredTensor> kept;
  for (const TensorView& tensor : file.tensors())
    if (tensor.name != leave_out)
      kept.push_back({{tensor.name, tensor.dtype, tensor.shape}, {tensor.bytes.begin(), tensor.bytes.end()}});
  test::write_stored(folder / "model.safetensors", kept);
}

nlohmann::json read_golden(const std::string& name) {
  return read_json_file(test::data_folder() / "golden-arch/neural-api" / name);
}

std::vector<Encoding> read_texts(const nlohmann::json& golden) {
  std::vector<Encoding> texts;
  for (size_t i = 0; i < golden.at("sequences").size(); ++i) {
    Encoding text;
    text.ids = golden["sequences"][i].get<std::vector<TokenId>>();
    if (golden.contains("token_types")) text.types = golden["token_types"][i].get<std::vector<int32_t>>();
    texts.push_back(std::move(text));
  }
  return texts;
}

/// [texts][tokens][width] → one flat row a text.
Rows flatten(const nlohmann::json& values) {
  Rows rows;
  for (const nlohmann::json& text : values) {
    std::vector<float> flat;
    for (const nlohmann::json& row : text)
      for (const float value : row.get<std::vector<float>>()) flat.push_back(value);
    rows.push_back(std::move(flat));
  }
  return rows;
}

Rows run_model(const ModelFile& model, std::span<const Encoding> texts, EncoderOutput output) {
  EncoderRunner runner(model, {.threads = 2, .compute = Compute::kExact}, encoder_kernels());
  return test::run_rows(runner, texts, output);
}

#define ASSAY_NEED_GOLDEN() ASSAY_NEED_DATA(golden_folder, "golden-arch/neural-api")

TEST(EncoderGolden, BertHiddenStatesAndPooler) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_bert", folder / "m");
  const ModelFile model = ModelFile::open(folder / "m");
  const nlohmann::json golden = read_golden("tiny_bert_hidden.json");
  const auto texts = read_texts(golden);
  EXPECT_LT(
      test::relative_difference(run_model(model, texts, EncoderOutput::kHidden), flatten(golden["hidden"])),
      kBound);
  EXPECT_LT(test::relative_difference(run_model(model, texts, EncoderOutput::kPooler),
                                      golden["pooler"].get<Rows>()),
            kBound);
}

TEST(EncoderGolden, DistilBertHiddenStates) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_distilbert", folder / "m");
  const nlohmann::json golden = read_golden("tiny_distilbert_hidden.json");
  EXPECT_LT(test::relative_difference(
                run_model(ModelFile::open(folder / "m"), read_texts(golden), EncoderOutput::kHidden),
                flatten(golden["hidden"])),
            kBound);
}

TEST(EncoderGolden, DistilBertQuestionAnswering) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_distilbert_qa", folder / "m");
  const nlohmann::json golden = read_golden("tiny_distilbert_qa_logits.json");
  const Rows ours = run_model(ModelFile::open(folder / "m"), read_texts(golden), EncoderOutput::kToken);
  for (const auto& [key, label] :
       {std::pair("start_logits", size_t{0}), std::pair("end_logits", size_t{1})}) {
    Rows column;
    for (const std::vector<float>& text : ours) {
      column.emplace_back();
      for (size_t t = label; t < text.size(); t += 2) column.back().push_back(text[t]);
    }
    EXPECT_LT(test::relative_difference(column, golden[key].get<Rows>()), kBound) << key;
  }
}

TEST(EncoderGolden, ModernBertHiddenStates) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_modernbert", folder / "m");
  // The file says "logits"; they are the base model's final hidden states, 8 a token.
  const nlohmann::json golden = read_golden("tiny_modernbert_logits.json");
  EXPECT_LT(test::relative_difference(
                run_model(ModelFile::open(folder / "m"), read_texts(golden), EncoderOutput::kHidden),
                flatten(golden["logits"])),
            kBound);
}

TEST(EncoderGolden, BertSequenceClassification) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_bert_seqcls", folder / "m");
  const nlohmann::json golden = read_golden("tiny_bert_seqcls_logits.json");
  EXPECT_LT(test::relative_difference(
                run_model(ModelFile::open(folder / "m"), read_texts(golden), EncoderOutput::kSequence),
                golden["logits"].get<Rows>()),
            kBound);
}

TEST(EncoderGolden, BertReranker) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_bert_reranker", folder / "m");
  const nlohmann::json golden = read_golden("tiny_bert_reranker_logits.json");
  // The reference masks nothing: its texts are the padding tokens too.
  Encoding text{golden["input_ids"].get<std::vector<TokenId>>(),
                golden["token_type_ids"].get<std::vector<int32_t>>()};
  Encoding one_segment{text.ids, std::vector<int32_t>(text.ids.size(), 0)};
  const Rows ours =
      run_model(ModelFile::open(folder / "m"), std::vector{text, one_segment}, EncoderOutput::kSequence);
  EXPECT_NEAR(golden["logit"].get<double>(), ours[0][0], kBound);
  EXPECT_NEAR(golden["logit_all_seg0"].get<double>(), ours[1][0], kBound);
}

/// ColBERT's rows: the hidden states times the projection that stands beside the encoder, at length 1.
Rows project_rows(const std::vector<float>& hidden, const TensorView& projection) {
  std::vector<float> weight(static_cast<size_t>(count_elements(projection.shape)));
  std::memcpy(weight.data(), projection.bytes.data(), projection.bytes.size());
  const auto dim = static_cast<size_t>(projection.shape[1]), out = static_cast<size_t>(projection.shape[0]);
  Rows rows;
  for (size_t t = 0; t < hidden.size() / dim; ++t) {
    std::vector<double> row(out, 0.0);
    double squares = 0.0;
    for (size_t r = 0; r < out; ++r) {
      for (size_t i = 0; i < dim; ++i)
        row[r] += static_cast<double>(weight[r * dim + i]) * hidden[t * dim + i];
      squares += row[r] * row[r];
    }
    rows.emplace_back();
    for (const double value : row) rows.back().push_back(static_cast<float>(value / std::sqrt(squares)));
  }
  return rows;
}

TEST(EncoderGolden, ColbertRowsThroughTheEncoder) {
  ASSAY_NEED_GOLDEN();
  const test::TemporaryFolder folder;
  make_directory("tiny_colbert", folder / "m", "linear.weight");
  const SafetensorsFile file(golden_folder / "tiny_colbert.safetensors");
  const nlohmann::json golden = read_golden("tiny_colbert_score.json");
  std::vector<Encoding> texts;
  for (const std::string side : {"query", "doc"}) {
    Encoding text{golden[side + "_ids"].get<std::vector<TokenId>>(), {}};
    texts.push_back(std::move(text));
  }
  const Rows hidden = run_model(ModelFile::open(folder / "m"), texts, EncoderOutput::kHidden);
  const TensorView& projection = *file.find("linear.weight");
  const Rows query = project_rows(hidden[0], projection);
  Rows doc = project_rows(hidden[1], projection);  // padding is attended to, but not compared
  doc.resize(golden["doc_real_tokens"].get<size_t>());
  EXPECT_LT(test::relative_difference(query, golden["query_mat"].get<Rows>()), kBound);
  EXPECT_LT(test::relative_difference(doc, golden["doc_mat"].get<Rows>()), kBound);
}

// A property of a model that a reader could overlook must show far beyond the bound.

double difference_with(const std::string& name, const std::string& golden_name, const std::string& key,
                       void (*break_config)(EncoderTraits&)) {
  const test::TemporaryFolder folder;
  make_directory(name, folder / "m");
  ModelFile model = ModelFile::open(folder / "m");
  break_config(*const_cast<ModelConfig&>(model.config()).encoder);
  const nlohmann::json golden = read_golden(golden_name);
  return test::relative_difference(run_model(model, read_texts(golden), EncoderOutput::kHidden),
                                   flatten(golden[key]));
}

TEST(EncoderGoldenPlanted, AnIgnoredPropertyOfBertIsCaught) {
  ASSAY_NEED_GOLDEN();
  const auto difference = [](void (*plant)(EncoderTraits&)) {
    return difference_with("tiny_bert", "tiny_bert_hidden.json", "hidden", plant);
  };
  EXPECT_LT(difference([](EncoderTraits&) {}), kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.activation = Activation::kGeluTanh; }), 3 * kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.type_rows = 1; }), 10 * kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.layers[0].window = 4; }), 10 * kBound);
}

TEST(EncoderGoldenPlanted, AnIgnoredPropertyOfModernBertIsCaught) {
  ASSAY_NEED_GOLDEN();
  const auto difference = [](void (*plant)(EncoderTraits&)) {
    return difference_with("tiny_modernbert", "tiny_modernbert_logits.json", "logits", plant);
  };
  EXPECT_LT(difference([](EncoderTraits&) {}), kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.layers[1].window = 0; }), 10 * kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.layers[1].window = 2; }), 10 * kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.layers[1].rope_base = 1000.0; }), 10 * kBound);
  EXPECT_GT(difference([](EncoderTraits& t) { t.layers[0].rope_base = 10.0; }), 10 * kBound);
}

}  // namespace
}  // namespace assay
