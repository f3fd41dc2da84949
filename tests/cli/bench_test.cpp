// assay bench through the real binary: its rows, what it says of the machine, and what it refuses.
#include <cmath>
#include <fstream>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_success;

class BenchTest : public testing::Test {
 protected:
  json run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "bench");
    arguments.insert(arguments.end(), {"--prefill", "4", "--decode", "3", "--json"});
    return expect_success(arguments).json();
  }

  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source");
  const std::string out_ = folder_ / "out";
};

TEST_F(BenchTest, EveryRowHasTheFiguresPeopleRelyOn) {
  const json document = run({source_, "--repeats", "2", "--threads", "2"});
  for (const char* key : {"cpu", "isa", "threads", "read_gb_s", "int8_peak"})
    EXPECT_TRUE(document["machine"].contains(key)) << key;
  EXPECT_GT(document["machine"]["read_gb_s"], 0.1);
  EXPECT_EQ(document["machine"]["threads"], 2);
  ASSERT_EQ(document["runs"].size(), 3u);
  const std::string tests[] = {"load", "prefill 4", "decode 3"};
  for (size_t i = 0; i < 3; ++i) {
    const json& row = document["runs"][i];
    EXPECT_EQ(row["test"], tests[i]);
    for (const char* key :
         {"path", "format", "n", "median", "min", "max", "p5", "p95", "unit", "gb_s", "bandwidth_share",
          "int8_share", "weight_bytes", "kv_bytes", "peak_rss_bytes", "logits_hash", "values"})
      EXPECT_TRUE(row.contains(key)) << key;
    EXPECT_EQ(row["n"], 2);
    EXPECT_EQ(row["values"].size(), 2u);
    EXPECT_LE(row["min"], row["median"]);
    EXPECT_LE(row["median"], row["max"]);
    EXPECT_TRUE(row["p5"].is_null()) << "two values have no percentiles";
    EXPECT_EQ(row["unit"], i == 0 ? "s" : "tok/s");
  }
  EXPECT_NE(document["runs"][1]["logits_hash"], document["runs"][2]["logits_hash"]);
  EXPECT_EQ(document["runs"][2]["token_ms"]["n"], 6);
}

TEST_F(BenchTest, SharesFollowFromTheRatesAndTheMachine) {
  expect_success({"quantize", source_, "--to", "gguf:Q4_0", "-o", out_});
  const json document = run({out_ + "/source-Q4_0.gguf", "--repeats", "20", "--warmup", "1"});
  const json& decode = document["runs"][2];
  EXPECT_FALSE(decode["p95"].is_null());
  const double per_token = decode["gb_per_unit"], rate = decode["median"];
  EXPECT_NEAR(decode["gb_s"], per_token * rate, 1e-9 * per_token * rate);
  const double read = document["machine"]["read_gb_s"];
  EXPECT_NEAR(decode["bandwidth_share"], per_token * rate / read, 1e-6);
  // Weights of a tied or small model are read whole, but for a table of which a token reads one row.
  EXPECT_LE(per_token * 1e9, decode["weight_bytes"].get<double>() + decode["kv_bytes"].get<double>());
  EXPECT_GT(per_token * 1e9, 0.3 * decode["weight_bytes"].get<double>());
  if (document["machine"]["int8_peak"].is_null()) return;
  const double macs = document["runs"][1]["gmac_per_unit"].get<double>() * 1e9,
               peak = document["machine"]["int8_peak"];
  const double share = document["runs"][1]["median"].get<double>() * macs / peak;
  EXPECT_NEAR(document["runs"][1]["int8_share"], share, 1e-6 * share);
}

TEST_F(BenchTest, FloatWeightsHaveNoShareOfIntegerProducts) {
  for (const char* compute : {"fast", "exact"}) {
    const json document = run({source_, "--repeats", "1", "--compute", compute});
    for (const json& row : document["runs"]) EXPECT_TRUE(row["int8_share"].is_null());
  }
}

TEST_F(BenchTest, ABatchGetsTheLogitsOfASequenceAloneAndReadsWeightsOnce) {
  const json rows = run({source_, "--repeats", "2", "--batch", "5", "--threads", "2"})["runs"];
  ASSERT_EQ(rows.size(), 4u);
  const json &decode = rows[2], &batch = rows[3];
  EXPECT_EQ(batch["test"], "batch 5x3");
  EXPECT_EQ(batch["n"], 2);
  EXPECT_EQ(batch["logits_hash"], decode["logits_hash"]);
  EXPECT_EQ(batch["kv_bytes"], 5 * decode["kv_bytes"].get<uint64_t>());
  EXPECT_LT(batch["gb_per_unit"], decode["gb_per_unit"]);
  EXPECT_GT(batch["gb_per_unit"], decode["gb_per_unit"].get<double>() / 5);
  const json q8 = run({source_, "--repeats", "1", "--kv", "q8"})["runs"][2];
  EXPECT_LT(q8["kv_bytes"], decode["kv_bytes"]);
}

TEST_F(BenchTest, SeveralFilesAndRoundsGiveTheRowsOfEachAlone) {
  const json alone = run({source_, "--repeats", "1"})["runs"],
             both = run({source_, source_, "--repeats", "2", "--rounds", "2"})["runs"];
  ASSERT_EQ(both.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    for (const char* name : {"path", "format", "test", "logits_hash", "weight_bytes", "kv_bytes"})
      EXPECT_EQ(both[i][name], alone[i % 3][name]) << name;
    EXPECT_EQ(both[i]["n"], 4) << "two repeats in each of two rounds";
  }
}

TEST_F(BenchTest, TheTableNamesEveryFormatAndSaysWhenPercentilesAreMissing) {
  expect_success({"quantize", source_, "--to", "gguf:Q8_0,gguf:Q4_0", "-o", out_});
  const auto shown = expect_success({"bench", out_ + "/source-Q4_0.gguf", out_ + "/source-Q8_0.gguf",
                                     "--prefill", "4", "--decode", "3", "--repeats", "1"});
  for (const char* part : {"Q4_0", "Q8_0", "configuration", "speed / first", "weights GB", "peak memory GB",
                           "% of bandwidth", "% of int8 peak", "need 20 runs"})
    EXPECT_NE(shown.out.find(part), std::string::npos) << part << "\n" << shown.out;
  // A model of some kilobytes lies in the caches: no bound of the memory explains its speed.
  EXPECT_EQ(shown.out.find("-bound"), std::string::npos) << shown.out;
}

/// bench --config with this text.
TEST_F(BenchTest, ARunConfigurationSaysWhatToRun) {
  expect_success({"quantize", source_, "--to", "mlx:4bit,mlx:8bit", "-o", out_});
  std::filesystem::rename(out_ + "/mlx-4bit", folder_ / "mlx_model_q4");
  const std::string file = folder_ / "run.yaml";
  const std::string usual = "max_tokens: 3\nnum_samples_per_prompt: 2\nbench: {prefill: 4, repeats: 2}\n";
  // The keys of the document that users come from; paths start at the file.
  test::write_file(file,
                   usual +
                       "hardware:\n  use_mlx_for_generation: true\n  mlx_model_path: \"./mlx_model_q4\"\n"
                       "  mlx_quantization: q4_bit\nlogging: {level: info}\n");
  const auto outcome = expect_success({"bench", "--config", file, "--json"});
  EXPECT_NE(outcome.err.find("logging"), std::string::npos) << "what was left aside is told";
  const json rows = outcome.json()["runs"];
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0]["path"], (folder_ / "./mlx_model_q4").string());
  EXPECT_EQ(rows[1]["test"], "prefill 4");
  EXPECT_EQ(rows[2]["test"], "decode 3");
  EXPECT_EQ(rows[3]["test"], "batch 2x3");
  EXPECT_EQ(rows[2]["n"], 2);
  // The command line is nearer than the file.
  EXPECT_EQ(run({"--config", file})["runs"][2]["test"], "decode 3");
  EXPECT_EQ(expect_success({"bench", "--config", file, "--decode", "5", "--json"}).json()["runs"][2]["test"],
            "decode 5");
  // Without a path the usual folders are looked for: here the second of them is there.
  test::write_file(file, usual + "hardware: {use_mlx_for_generation: true, mlx_model_path: null}\n");
  EXPECT_EQ(run({"--config", file})["runs"][0]["path"], (folder_ / "mlx_model_q4").string());
  // Without MLX the base model runs as it is.
  test::write_file(file, usual + "hardware: {use_mlx_for_generation: false}\nmodel: {base_model: source}\n");
  EXPECT_EQ(run({"--config", file})["runs"][0]["path"], source_);
}

TEST_F(BenchTest, ARunConfigurationThatContradictsItselfOrTheFilesIsRefused) {
  expect_success({"quantize", source_, "--to", "mlx:8bit", "-o", out_});
  const std::string file = folder_ / "run.yaml";
  const std::string model = "mlx_model_path: out/mlx-8bit";
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"hardware: {mlx_modelpath: a}", {"run.yaml:1", "mlx_modelpath", "did you mean mlx_model_path?"}},
      {"hardwares: {}", {"run.yaml:1", "did you mean hardware?"}},
      {"bench: {}\nhardware:\n  " + model + "\n  mlx_quantization: q4_bit",
       {"run.yaml:4", "q8_bit in", "q4_bit"}},
      {"hardware: {mlx_model_path: source, mlx_quantization: q4_bit}", {"none in", "quantized nothing"}},
      {"hardware: {" + model + ", mlx_quantization: q5_bit}", {"q4_bit, q8_bit or none", "q5_bit"}},
      {"hardware: {" + model + "}\nmax_tokens: many", {"run.yaml:2", "max_tokens", "many"}},
      {"hardware: {" + model + "}\nmax_tokens: 0", {"max_tokens", "from 1 on"}},
      {"hardware: {mlx_model_path: null}", {"none of the usual folders"}},
      {"hardware: {use_mlx_for_generation: false}", {"nothing else to run", "base_model"}},
      {"hardware: {use_mlx_for_generation: maybe, " + model + "}", {"use_mlx_for_generation", "maybe"}},
      {"bench: {prefill: 4}", {"names no model"}},
      {"hardware: [", {"not valid YAML"}},
      {"max_tokens: 1\nmax_tokens: 2", {"twice", "max_tokens"}},
  };
  for (const auto& [text, parts] : cases) {
    test::write_file(file, text);
    expect_fault({"bench", "--config", file}, parts);
  }
  test::write_file(file, "hardware: {" + model + ", mlx_quantization: q8_bit}\nbench: {compute: slow}");
  test::expect_one_line({"bench", "--config", file}, 2, {"exact or fast", "slow"});
  test::write_file(file, "hardware: {" + model + "}\nbench: {threads: 5000}");
  test::expect_one_line({"bench", "--config", file}, 2, {"1 to 1024", "5000"});
}

TEST_F(BenchTest, WhatCannotBeMeasuredIsSaidInOneLineBeforeTheWork) {
  expect_fault({"bench", source_, "--prefill", "1000000", "--decode", "5"},
               {source_, "context is too short", "1000005"});
  test::change_json(std::filesystem::path(source_) / "config.json", [](nlohmann::ordered_json& config) {
    config["max_position_embeddings"] = int64_t{1} << 40;
  });
  expect_fault({"bench", source_, "--decode", "100000000000"},
               {source_, "does not fit into memory", "KV cache"});
  test::expect_one_line({"bench", source_, "--threads", "0"}, 2, {"--threads"});
  test::expect_one_line({"bench", source_, "--rounds", "0"}, 2, {"--rounds"});
}

}  // namespace
}  // namespace assay
