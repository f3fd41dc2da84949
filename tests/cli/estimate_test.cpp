// assay estimate through the real binary: sizes that follow from shapes and formats, real ones among them,
// and what a run really takes.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_success;

/// Llama-3.1's published shapes: config.json of the hub, but for what no size depends on.
std::string llama_config(int64_t hidden, int64_t ffn, int64_t layers, int64_t heads) {
  return json{{"model_type", "llama"},        {"hidden_size", hidden},
              {"intermediate_size", ffn},     {"num_hidden_layers", layers},
              {"num_attention_heads", heads}, {"num_key_value_heads", 8},
              {"vocab_size", 128256},         {"max_position_embeddings", 131072},
              {"rms_norm_eps", 1e-5},         {"rope_theta", 500000.0},
              {"tie_word_embeddings", false}, {"torch_dtype", "bfloat16"}}
      .dump();
}

class EstimateTest : public testing::Test {
 protected:
  /// With 10 TB and 100 GB/s, so that nothing depends on the machine of the test.
  json estimate(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "estimate");
    arguments.insert(arguments.end(), {"--memory-gb", "10000", "--read-gb-s", "100", "--json"});
    return expect_success(arguments).json();
  }
  std::string write_config(const std::string& text) {
    std::filesystem::create_directories(folder_ / "shape");
    test::write_file(folder_ / "shape" / "config.json", text);
    return folder_ / "shape";
  }

  test::TemporaryFolder folder_;
};

TEST_F(EstimateTest, LargeModelsByTheirConfigurationAlone) {
  struct Case {
    std::string config;
    double parameters, kv_per_position;
  };
  // Parameters as the models' cards count them; keys and values: 2 * layers * 8 * 128 * 2 bytes.
  const Case cases[] = {{llama_config(8192, 28672, 80, 64), 70553706496.0, 327680.0},
                        {llama_config(16384, 53248, 126, 128), 405853388800.0, 516096.0}};
  for (const Case& each : cases) {
    const std::string path = write_config(each.config);
    const json rows =
        estimate({path, "--to", "mlx:4bit,gguf:Q8_0,gguf:Q4_K_M", "--ctx", "8192"})["estimates"];
    ASSERT_EQ(rows.size(), 3u);
    for (const json& row : rows) {
      EXPECT_EQ(row["kv_bytes"], each.kv_per_position * 8192);
      EXPECT_NEAR(row["parameters"].get<double>(), each.parameters, 200.0) << "rope factors are none";
    }
    // 4.5 and 8.5 bits a weight; norms stay wider.
    EXPECT_NEAR(rows[0]["weight_bytes"].get<double>(), each.parameters * 4.5 / 8, 2e-4 * each.parameters);
    EXPECT_NEAR(rows[1]["weight_bytes"].get<double>(), each.parameters * 8.5 / 8, 2e-4 * each.parameters);
    // Q4_K_M lies between its smallest and its largest parts, 4.5 and 6.5625 bits.
    EXPECT_GT(rows[2]["weight_bytes"].get<double>(), each.parameters * 4.5 / 8);
    EXPECT_LT(rows[2]["weight_bytes"].get<double>(), each.parameters * 5.0 / 8);
    // Overhead does not grow with the layers: no buffer is a copy of weights.
    for (const json& row : rows) EXPECT_LT(row["overhead_bytes"], 1e9);
  }
}

TEST_F(EstimateTest, DecodeSpeedIsBytesOverBandwidth) {
  const std::string path = write_config(llama_config(8192, 28672, 80, 64));
  const json rows = estimate({path, "--to", "gguf:Q8_0", "--ctx", "4096"})["estimates"];
  const double table = 128256.0 * 8192 * 34 / 32;  // of which a token reads one row
  const double read =
      rows[0]["weight_bytes"].get<double>() - table + table / 128256 + rows[0]["kv_bytes"].get<double>();
  EXPECT_NEAR(rows[0]["bytes_per_token"], read, 1e-6 * read);
  EXPECT_NEAR(rows[0]["decode_tok_s"], 100e9 / read, 1e-6 * 100e9 / read);
}

TEST_F(EstimateTest, TheCacheFollowsItsFormatAndTheSequences) {
  const std::string path = write_config(llama_config(4096, 14336, 32, 32));
  const auto kv = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {path, "--to", "mlx:4bit", "--ctx", "1000"});
    return estimate(more)["estimates"][0]["kv_bytes"].get<double>();
  };
  EXPECT_EQ(kv({}), 131072.0 * 1000);
  EXPECT_EQ(kv({"--kv", "f32"}), 2 * 131072.0 * 1000);
  EXPECT_EQ(kv({"--kv", "q8"}), 131072.0 * 1000 * 17 / 32);
  EXPECT_EQ(kv({"--sequences", "16"}), 16 * 131072.0 * 1000);
}

TEST_F(EstimateTest, WhatWillNotFitIsAFailureThatSaysSo) {
  const std::string path = write_config(llama_config(16384, 53248, 126, 128));
  const std::vector<std::string> command = {"estimate",    path, "--to",        "gguf:Q4_K_M",
                                            "--memory-gb", "64", "--read-gb-s", "50"};
  const auto outcome = test::run_assay(command);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find(" no "), std::string::npos)
      << "the table is there all the same: " << outcome.out;
  ASSERT_EQ(outcome.complaints().size(), 1u) << outcome.err;
  for (const char* part : {"gguf:Q4_K_M", "does not fit", "64.000 GB"})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
}

TEST_F(EstimateTest, ContextsBeyondTheModelAndEncodersAreRefused) {
  const std::string path = write_config(llama_config(4096, 14336, 32, 32));
  expect_fault({"estimate", path, "--ctx", "131073"}, {"context", "131072", "131073"});
  expect_fault({"estimate", test::source_file("tests/models/encoders/bert-sentence")}, {"encoder"});
  expect_fault({"estimate", folder_ / "nowhere"}, {"nowhere"});
}

TEST_F(EstimateTest, AFileHasItsOwnBytesAndAConfigurationThoseOfItsType) {
  const std::string source = test::copy_checkpoint(folder_ / "source"), out = folder_ / "out";
  expect_success({"quantize", source, "--to", "gguf:Q4_0", "-o", out});
  const std::string file = out + "/source-Q4_0.gguf";
  const json made = estimate({file, "--ctx", "64"})["estimates"][0],
             planned = estimate({source, "--to", "gguf:Q4_0", "--ctx", "64"})["estimates"][0];
  for (const char* key : {"weight_bytes", "kv_bytes", "overhead_bytes", "parameters", "bytes_per_token"})
    EXPECT_EQ(made[key], planned[key]) << key;
  const json inspected = expect_success({"inspect", file, "--json"}).json();
  EXPECT_EQ(made["weight_bytes"], inspected["bytes"]);
  const json whole = estimate({source, "--ctx", "64"})["estimates"][0];
  std::filesystem::remove(source + "/model.safetensors");
  const json alone = estimate({source + "/config.json", "--ctx", "64"})["estimates"][0];
  EXPECT_EQ(whole["weight_bytes"], alone["weight_bytes"]);
}

/// The model is small, and so the program and the vocabulary are most of what it takes; bench holds larger
/// models to 10 %.
TEST_F(EstimateTest, ARunTakesNoMoreThanWasPredictedAndMostOfIt) {
  const std::string source = test::copy_checkpoint(folder_ / "source");
  const json row = estimate({source, "--ctx", "64", "--threads", "2"})["estimates"][0],
             run = expect_success({"bench", source, "--prefill", "60", "--decode", "4", "--repeats", "1",
                                   "--threads", "2", "--json"})
                       .json()["runs"][2];
  EXPECT_EQ(row["weight_bytes"], run["weight_bytes"]);
  EXPECT_EQ(row["kv_bytes"], run["kv_bytes"]);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory is in the peak";
#endif
  EXPECT_LT(run["peak_rss_bytes"], row["total_bytes"].get<double>() * 1.1);
  EXPECT_GT(run["peak_rss_bytes"], row["total_bytes"].get<double>() * 0.4);
}

}  // namespace
}  // namespace assay
