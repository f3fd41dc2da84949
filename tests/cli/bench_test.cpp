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
