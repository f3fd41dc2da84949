// --json prints one document with the members that others rely on.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_success;

void expect_members(const json& object, const std::vector<std::string>& names) {
  for (const std::string& name : names) EXPECT_TRUE(object.contains(name)) << name << " in " << object.dump();
}

class JsonTest : public testing::Test {
 protected:
  json run(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return expect_success(arguments).json();
  }

  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source");
  const std::string out_ = folder_ / "out";
};

TEST_F(JsonTest, Quantize) {
  const json document = run({"quantize", source_, "--to", "mlx:4bit,gguf:Q4_K_M", "-o", out_});
  expect_members(document, {"source", "outputs", "peak_rss_bytes"});
  ASSERT_EQ(document["outputs"].size(), 2u);
  for (const json& output : document["outputs"]) {
    expect_members(output, {"recipe", "path", "bytes", "parameters", "bits_per_weight", "seconds"});
    EXPECT_TRUE(std::filesystem::exists(output["path"].get<std::string>()));
    EXPECT_EQ(output["parameters"], 492288);
  }
  EXPECT_EQ(document["outputs"][1]["bytes"],
            std::filesystem::file_size(document["outputs"][1]["path"].get<std::string>()));
}

TEST_F(JsonTest, DryRunIsTheSameAndWritesNothing) {
  const json planned = run({"quantize", source_, "--to", "mlx:4bit,gguf:Q4_K_M", "-o", out_, "--dry-run"});
  expect_members(planned, {"source", "outputs", "planned", "peak_rss_bytes"});
  EXPECT_EQ(planned["planned"], true);
  EXPECT_FALSE(std::filesystem::exists(out_));
  const json made = run({"quantize", source_, "--to", "mlx:4bit,gguf:Q4_K_M", "-o", out_});
  for (size_t i = 0; i < 2; ++i) {
    expect_members(planned["outputs"][i], {"recipe", "path", "bytes", "parameters", "bits_per_weight"});
    for (const char* name : {"recipe", "parameters", "bits_per_weight"})
      EXPECT_EQ(planned["outputs"][i][name], made["outputs"][i][name]) << name;
  }
  // What a GGUF file weighs is known to the byte; an MLX directory's README and tokenizer are not planned.
  EXPECT_EQ(planned["outputs"][1]["bytes"], made["outputs"][1]["bytes"]);
}

TEST_F(JsonTest, DryRunNeedsNoWeights) {
  std::filesystem::remove(folder_ / "source/model.safetensors");
  const json planned = run({"quantize", source_, "--to", "q4", "--dry-run"});
  EXPECT_EQ(planned["outputs"][0]["parameters"], 492288);
}

TEST_F(JsonTest, Inspect) {
  const json document = run({"inspect", source_});
  expect_members(document, {"path", "container", "architecture", "parameters", "bytes", "bits_per_weight",
                            "declared", "verdict", "reasons", "formats", "tensors"});
  EXPECT_EQ(document["verdict"], "unquantized");
  expect_members(document["formats"]["BF16"], {"tensors", "parameters", "bytes"});
  expect_members(document["tensors"][0], {"name", "shape", "format", "bytes", "bits_per_weight"});
}

TEST_F(JsonTest, AGateThatFailsStillPrintsTheDocument) {
  const test::Outcome outcome = test::run_assay({"inspect", source_, "--expect", "quantized", "--json"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.json().at("verdict"), "unquantized");
  ASSERT_EQ(outcome.complaints().size(), 1u);
  EXPECT_NE(outcome.complaints()[0].find("expected quantized, found unquantized"), std::string::npos);
}

TEST_F(JsonTest, Verify) {
  run({"quantize", source_, "--to", "mlx:4bit", "-o", out_});
  const json document = run({"verify", out_ + "/mlx-4bit", "--against", source_});
  expect_members(document, {"path", "ok", "checks"});
  EXPECT_EQ(document["ok"], true);
  EXPECT_GE(document["checks"].size(), 11u);
  for (const json& check : document["checks"]) {
    expect_members(check, {"name", "ok", "detail"});
    EXPECT_EQ(check["ok"], true) << check.dump();
  }
}

TEST_F(JsonTest, VerifySaysWhatFailed) {
  run({"quantize", source_, "--to", "mlx:4bit", "-o", out_});
  const std::filesystem::path weights = folder_ / "out/mlx-4bit/model.safetensors";
  test::RawSafetensors raw = test::RawSafetensors::load(weights);
  raw.set("model.layers.0.mlp.up_proj.weight", 12, 0x1234);
  raw.save(weights);
  const test::Outcome outcome =
      test::run_assay({"verify", out_ + "/mlx-4bit", "--against", source_, "--json"});
  EXPECT_EQ(outcome.status, 1);
  const json document = outcome.json();
  EXPECT_EQ(document["ok"], false);
  for (const json& check : document["checks"]) {
    const bool planted =
        check["name"] == "error bound" || check["name"] == "manifest" || check["name"] == "planned bytes";
    if (check["name"] == "error bound") {
      EXPECT_EQ(check["ok"], false);
      EXPECT_NE(check["detail"].get<std::string>().find("mlp.up_proj"), std::string::npos);
    } else if (!planted) {
      EXPECT_EQ(check["ok"], true) << check.dump();
    }
  }
}

TEST_F(JsonTest, Generate) {
  const json document = run({"generate", source_, "-p", "the king", "--max-tokens", "5"});
  expect_members(document,
                 {"text", "tokens", "prompt_tokens", "generated_tokens", "finish_reason", "prefill_tok_s",
                  "decode_tok_s", "load_s", "peak_rss_bytes", "logits_hash", "compute", "threads"});
  EXPECT_EQ(document["tokens"].size(), document["generated_tokens"]);
  EXPECT_EQ(document["finish_reason"], "length");
  EXPECT_EQ(document["compute"], "fast");
}

TEST_F(JsonTest, SeveralPromptsAndSamplesAreAList) {
  test::write_file(folder_ / "prompts", "the king\n\"two\\nlines\"\n\n");
  const json document =
      run({"generate", source_, "--prompts", folder_ / "prompts", "--max-tokens", "3", "--n", "2"});
  expect_members(document, {"results", "total_s"});
  ASSERT_EQ(document["results"].size(), 4u);
  EXPECT_EQ(document["results"][0]["tokens"], document["results"][1]["tokens"]) << "greedy";
  EXPECT_EQ(document["results"][0]["prompt_tokens"], document["results"][1]["prompt_tokens"]);
}

TEST_F(JsonTest, EvalPerplexityAndDivergence) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "the king said that it was number " + std::to_string(i) + ". ";
  test::write_file(folder_ / "text", text);
  const json perplexity =
      run({"eval", "perplexity", source_, "--text", folder_ / "text", "--ctx", "32", "--chunks", "3"});
  expect_members(perplexity, {"task", "reference", "results"});
  EXPECT_EQ(perplexity["task"], "perplexity");
  const json& row = perplexity["results"][0];
  expect_members(row, {"path", "metric", "settings"});
  expect_members(row["metric"]["perplexity"], {"value", "low", "high", "n"});

  run({"quantize", source_, "--to", "q4", "-o", out_});
  const json divergence = run({"eval", "divergence", out_ + "/mlx-4bit", source_, "--reference", source_,
                               "--text", folder_ / "text", "--ctx", "32", "--chunks", "3"});
  EXPECT_EQ(divergence["reference"], source_);
  ASSERT_EQ(divergence["results"].size(), 4u);  // each in exact and in fast arithmetic
  EXPECT_EQ(divergence["results"][0]["compute"], "exact");
  EXPECT_EQ(divergence["results"][1]["settings"]["compute"], "fast");
  EXPECT_EQ(divergence["results"][3]["path"], source_);
  EXPECT_EQ(divergence["results"][0]["settings"]["corpus_sha256"].get<std::string>().size(), 64u);
  const json &other = divergence["results"][0]["metric"], &same = divergence["results"][2]["metric"];
  expect_members(other["kl_mean"], {"value", "low", "high", "n"});
  EXPECT_GT(other["kl_mean"]["value"], 0.0);
  EXPECT_EQ(same["kl_mean"]["value"], 0.0) << "a model does not diverge from itself";
  EXPECT_EQ(same["top1_agreement"]["value"], 1.0);
}

/// The one measurement of this subject, task and metric; `compute` where there are two.
json find_measurement(const json& report, const std::string& subject, const std::string& task,
                      const std::string& metric, const std::string& compute = "") {
  json found;
  for (const json& m : report["measurements"]) {
    if (m["subject"] != subject || m["task"] != task || m["metric"] != metric) continue;
    if (!compute.empty() && m["settings"].value("compute", "") != compute) continue;
    EXPECT_TRUE(found.is_null()) << "twice: " << m.dump();
    found = m;
  }
  EXPECT_FALSE(found.is_null()) << subject << " " << task << " " << metric;
  return found;
}

TEST_F(JsonTest, Compare) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "it was number " + std::to_string(i) + ". ";
  test::write_file(folder_ / "text", text);
  const json report =
      run({"compare", source_, "--to", "mlx:4bit", "-o", out_, "--text", folder_ / "text", "--chunks", "2",
           "--prompt", "the", "--max-tokens", "3", "--rounds", "2", "--max-bytes", "1"});
  EXPECT_EQ(report, json::parse(test::read_file(folder_ / "out/report.json")));
  for (const char* name : {"out/report.md", "out/report.html"})
    EXPECT_TRUE(std::filesystem::exists(folder_ / name)) << name;
  EXPECT_EQ(report["reference"], "source");
  ASSERT_EQ(report["subjects"].size(), 2u);
  EXPECT_EQ(report["subjects"][0]["verdict"], "unquantized");
  EXPECT_EQ(report["subjects"][1]["verdict"], "quantized");
  EXPECT_EQ(report["subjects"][1]["proven"], true);
  EXPECT_EQ(report["subjects"][1]["sha256"].get<std::string>().size(), 64u);
  const json same = find_measurement(report, "source", "divergence", "kl_mean", "exact"),
             other = find_measurement(report, "mlx:4bit", "divergence", "kl_mean", "exact");
  EXPECT_EQ(same["value"], 0.0) << "a model does not diverge from itself";
  EXPECT_GT(other["value"], 0.0);
  EXPECT_EQ(other["settings"]["context"], 64);  // all that the tiny model was made for
  EXPECT_EQ(other["file_sha256"], report["subjects"][1]["sha256"]);
  EXPECT_GT(find_measurement(report, "source", "divergence", "kl_mean", "fast")["value"], 0.0)
      << "rounding activations costs something";
  const json decode = find_measurement(report, "mlx:4bit", "speed", "decode");
  EXPECT_EQ(decode["n"], 2);
  EXPECT_TRUE(decode["low"].is_null()) << "two rounds are no interval";
  EXPECT_EQ(report["answers"].size(), 2u);
  bool says_nothing_fits = false;
  for (const json& advice : report["advice"])
    says_nothing_fits |= advice["text"] == "No measured file keeps all of your limits.";
  EXPECT_TRUE(says_nothing_fits);
}

/// What was answered before a run was stopped is not asked again, and a finished comparison repeats itself.
TEST_F(JsonTest, CompareAgainGivesTheSameNumbers) {
  const std::vector<std::string> arguments = {"compare",      source_, "--to",     "mlx:4bit",
                                              "-o",           out_,    "--prompt", "the",
                                              "--max-tokens", "3",     "--rounds", "0"};
  json first = run(arguments), second = run(arguments);
  first.erase("created"), second.erase("created");
  EXPECT_EQ(first["answers"], second["answers"]);
  EXPECT_EQ(first["subjects"], second["subjects"]);
}

}  // namespace
}  // namespace assay
