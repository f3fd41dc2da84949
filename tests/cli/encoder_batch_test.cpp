// quantize --config and eval encoder as people call them.
#include "base/file.hpp"
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_one_line;
using test::expect_success;

std::string encoder(const std::string& name) {
  return test::source_file("tests/models/encoders/" + name).string();
}

class EncoderBatch : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    test::write_file(folder_ / name, text);
    return folder_ / name;
  }
  /// One entry of DistilBERT with the settings.
  std::string config(const std::string& settings) {
    return write("models.yaml",
                 "models:\n  - name: small\n    hf_name: org/distilbert-sequence\n    quantization: {" +
                     settings + "}\n");
  }
  std::vector<std::string> batch(const std::string& settings, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"quantize", encoder(""), "--config", config(settings), "-o", folder_ / "out"});
    return more;
  }
  json only_result(const std::vector<std::string>& arguments, int status = 0) {
    const test::Outcome outcome = test::run_assay(arguments);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    const json results = outcome.json().at("results");
    EXPECT_EQ(results.size(), 1U);
    return results.at(0);
  }
  test::TemporaryFolder folder_;
};

TEST_F(EncoderBatch, PlansWritesSkipsAndReplaces) {
  const json planned = only_result(batch("bits: 8", {"--dry-run", "--json"}));
  EXPECT_EQ(planned.at("status"), "planned");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  const json written = only_result(batch("bits: 8", {"--json"}));
  EXPECT_EQ(written.at("status"), "converted");
  EXPECT_EQ(written.at("metadata").at("model_name"), "small");
  const std::string path = written.at("output_path"), archive = path + "/model.safetensors";
  EXPECT_NEAR(written.at("weights_mb").get<double>(),
              static_cast<double>(std::filesystem::file_size(archive)) / 0x1p20, 1e-9);
  expect_success({"verify", path, "--against", encoder("distilbert-sequence")});
  expect_success({"inspect", path, "--expect", "quantized"});
  EXPECT_EQ(written.at("recipe"), "int8");
  const auto when = std::filesystem::last_write_time(archive);
  EXPECT_EQ(only_result(batch("bits: 8", {"--json"})).at("status"), "skipped");
  EXPECT_EQ(std::filesystem::last_write_time(archive), when);
  EXPECT_EQ(only_result(batch("bits: 8", {"--json", "--no-skip"})).at("status"), "converted");
  EXPECT_NE(std::filesystem::last_write_time(archive), when);
  // Half an output is none.
  std::filesystem::resize_file(archive, 100);
  EXPECT_EQ(only_result(batch("bits: 8", {"--json"}), 1).at("status"), "failed");
  EXPECT_EQ(only_result(batch("bits: 8", {"--json", "--no-skip"})).at("status"), "converted");
}

TEST_F(EncoderBatch, TheOldContainerComesOnRequestWithAWarning) {
  const std::vector<std::string> ask = {"--to", "npz:int8", "--embeddings", "int8", "--json"};
  const json written = only_result(batch("bits: 8", ask));
  EXPECT_TRUE(std::filesystem::exists(written.at("output_path").get<std::string>() + "/weights.npz"));
  EXPECT_NE(written.at("notes").dump().find("0.966"), std::string::npos) << written;
  EXPECT_EQ(only_result(batch("bits: 8", {"--json", "--no-skip"})).at("notes").dump().find("0.966"),
            std::string::npos);
}

TEST_F(EncoderBatch, TheTargetIsAGate) {
  EXPECT_EQ(only_result(batch("bits: 4, target_size_mb: 1", {"--json"})).at("target_met"), true);
  const test::Outcome missed = test::run_assay(batch("bits: 4, target_size_mb: 0.001"));
  EXPECT_EQ(missed.status, 1);
  EXPECT_NE(missed.err.find("small: weights take"), std::string::npos) << missed.err;
  const json result = only_result(batch("bits: 4, target_size_mb: 0.001", {"--json"}), 1);
  EXPECT_EQ(result.at("target_met"), false);
  EXPECT_EQ(result.at("success"), false);
  EXPECT_EQ(result.at("missed").size(), 1U);
}

TEST_F(EncoderBatch, AccuracyIsAGate) {
  // What the checkpoint answers is right by definition, so that its accuracy is 1.
  std::string right, wrong;
  for (const char* text : {"It moves.", "The owner is gone.", "A value is dropped."}) {
    const json answer =
        expect_success({"classify", encoder("distilbert-sequence"), "--text", text, "--json"}).json();
    const json& label = answer.at("results")[0].at("label");
    right += json{{"text", text}, {"label", label}}.dump() + "\n";
    wrong += json{{"text", text}, {"label", "no class"}}.dump() + "\n";
  }
  const std::vector<std::string> ask = {"--json", "--evaluate", write("t.jsonl", right)};
  const json result = only_result(batch("bits: 8, max_accuracy_drop: 0.9", ask));
  EXPECT_EQ(result.at("accuracy").at("reference"), 1.0);
  EXPECT_EQ(result.at("accuracy").at("texts"), 3);
  EXPECT_EQ(result.at("missed").size(), 0U);
  const test::Outcome other =
      test::run_assay(batch("bits: 8, max_accuracy_drop: 0.9", {"--evaluate", write("w.jsonl", wrong)}));
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("is none of the model's"), std::string::npos) << other.err;
  expect_fault(batch("bits: 8, max_accuracy_drop: 0.9", {"--evaluate", folder_ / "absent"}), {"absent"});
}

TEST_F(EncoderBatch, BadConfigurationsAreOneLine) {
  expect_fault(batch("bits: 5"), {"models.yaml:4", "bits", "5"});
  expect_fault(batch("bits: 8, dtype: int4"), {"models.yaml:4", "dtype"});
  expect_one_line(batch("bits: 8", {"--model", "other"}), 2, {"other", "small"});
  expect_one_line(batch("bits: 8", {"--to", "gguf:Q8_0"}), 2, {"a batch converts encoders"});
  expect_fault({"quantize", encoder(""), "--config", folder_ / "none.yaml", "-o", folder_ / "out"},
               {"none.yaml"});
}

/// int8 and int4 of one classifier, compared with it.
class EvalEncoder : public EncoderBatch {
 protected:
  void SetUp() override {
    expect_success({"quantize", source_, "--to", "int8,int4", "-o", folder_ / "out"});
    texts_ = write("t.txt", "It moves.\nThe owner is gone.\nA value is dropped.\n");
  }
  std::vector<std::string> eval(const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"eval", "encoder", folder_ / "out/int8", "--reference", source_, "--file",
                               file, "--repeats", "0"});
    return more;
  }
  const std::string source_ = encoder("distilbert-sequence");
  std::string texts_;
};

TEST_F(EvalEncoder, SaysWhatItFound) {
  std::vector<std::string> both = eval(texts_, {"--json"});
  both.insert(both.begin() + 3, folder_ / "out/int4");
  const json document = expect_success(both).json();
  EXPECT_EQ(document.at("task"), "encoder");
  ASSERT_EQ(document.at("results").size(), 2U);
  for (const json& result : document["results"]) {
    for (const char* key :
         {"path", "metric", "cost", "compression_ratio", "speed_ratio", "gates", "settings"})
      EXPECT_TRUE(result.contains(key)) << key;
    for (const char* key : {"value", "low", "high", "n"})
      EXPECT_TRUE(result["metric"].at("cosine_mean").contains(key)) << key;
    EXPECT_EQ(result["metric"].at("cosine_mean").at("n"), 3);
    EXPECT_EQ(result["metric"].at("not_finite").at("value"), 0.0);
    EXPECT_GT(result["metric"].at("cosine_mean").at("value").get<double>(), 0.95);
    EXPECT_GT(result.at("compression_ratio").get<double>(), 3.0);
  }
  const std::string text = expect_success(eval(texts_)).out;
  EXPECT_EQ(text.find("0.00x"), std::string::npos) << text;
}

TEST_F(EvalEncoder, GatesAndFloorsDecideTheExitCode) {
  expect_success(eval(texts_, {"--fail-under", "0.9"}));
  const test::Outcome under = test::run_assay(eval(texts_, {"--fail-under", "1.1"}));
  EXPECT_EQ(under.status, 1);
  EXPECT_NE(under.err.find("is under 1.1"), std::string::npos) << under.err;
  EXPECT_NE(under.out.find("cosine mean"), std::string::npos) << "the report comes all the same";
  expect_success(eval(texts_, {"--target-mb", "0.0001"}));
  const test::Outcome gated = test::run_assay(eval(texts_, {"--gates", "--target-mb", "0.0001"}));
  EXPECT_EQ(gated.status, 1);
  EXPECT_NE(gated.err.find("target size"), std::string::npos) << gated.err;
}

TEST_F(EvalEncoder, RecordsWhatItMeasured) {
  expect_success(eval(texts_, {"--record"}));
  expect_success(eval(texts_, {"--record"}));
  const json metadata = json::parse(read_text_file(folder_ / "out/int8/conversion_metadata.json"));
  ASSERT_EQ(metadata.at("measurements").size(), 2U);
  EXPECT_EQ(metadata["measurements"][1].at("task"), "encoder");
  EXPECT_EQ(metadata["measurements"][0].at("metric"), metadata["measurements"][1].at("metric"));
  EXPECT_TRUE(metadata.contains("quantization"));
  expect_success({"verify", folder_ / "out/int8", "--against", source_});
}

TEST_F(EvalEncoder, BadInputIsOneLine) {
  const std::string foreign = write("l.jsonl", "{\"text\":\"It moves.\",\"y\":\"no class\"}\n");
  expect_fault(eval(foreign, {"--label-field", "y"}), {"l.jsonl:1", "no class"});
  expect_fault(eval(write("e.txt", "")), {"no texts"});
  expect_fault(eval(texts_, {"--vectors", write("v.jsonl", "{\"embedding\":[1,2]}\n")}), {"v.jsonl:1", "32"});
  const std::string row = json{{"embedding", std::vector<double>(32, 0.5)}}.dump() + "\n";
  expect_fault(eval(texts_, {"--vectors", write("v.jsonl", row + row)}), {"do not match", "3 vectors", "2"});
  expect_success(eval(texts_, {"--vectors", write("v.jsonl", row + row + row)}));
  expect_fault(eval(texts_, {"--sts", write("s.csv", "a,b,1\nc,d,2\n")}), {"too few scored pairs"});
}

TEST_F(EvalEncoder, TheEnginesOwnVectorsDoNotDiffer) {
  const std::string lines = expect_success({"embed", source_, "--file", texts_}).out;
  const json engine =
      expect_success(eval(texts_, {"--vectors", write("v.jsonl", lines), "--json"})).json().at("engine");
  EXPECT_NEAR(engine.at("cosine_mean").at("value").get<double>(), 1.0, 1e-9);
  EXPECT_EQ(engine.at("max_abs").at("value"), 0.0);
}

}  // namespace
}  // namespace assay
