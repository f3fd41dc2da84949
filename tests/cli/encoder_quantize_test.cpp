// quantize, verify and inspect of encoders as people call them.
#include <algorithm>

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

std::vector<std::string> failed_checks(const json& verification) {
  std::vector<std::string> names;
  for (const json& check : verification.at("checks"))
    if (!check.at("ok").get<bool>()) names.push_back(check.at("name"));
  return names;
}

class EncoderQuantize : public testing::Test {
 protected:
  json verify(const std::string& output, const std::string& source, int status) {
    const test::Outcome outcome = test::run_assay({"verify", output, "--against", source, "--json"});
    EXPECT_EQ(outcome.status, status) << output << "\n" << outcome.out << outcome.err;
    return outcome.json();
  }
  test::TemporaryFolder folder_;
};

TEST_F(EncoderQuantize, EveryArchitectureConvertsAndVerifies) {
  for (const std::string name :
       {"bert-model", "bert-multilabel", "bert-old-names", "bert-question", "bert-reranker", "bert-sentence",
        "bert-sequence", "bert-token", "distilbert-sequence", "distilbert-token", "modernbert-sequence",
        "modernbert-token", "mpnet-model", "mpnet-sequence", "roberta-sequence", "xlm-roberta-model"}) {
    SCOPED_TRACE(name);
    const json outputs = expect_success({"quantize", encoder(name), "--to", "int8,int4,npz:int8", "-o",
                                         folder_ / name, "--json"})
                             .json()
                             .at("outputs");
    ASSERT_EQ(outputs.size(), 3U);
    for (const json& output : outputs) {
      const std::string path = output.at("path");
      EXPECT_EQ(failed_checks(verify(path, encoder(name), 0)), std::vector<std::string>{}) << path;
      const json seen = expect_success({"inspect", path, "--json"}).json();
      // An archive keeps the tables as floats unless told otherwise.
      EXPECT_EQ(seen.at("verdict"), output.at("recipe") == "npz:int8" ? "mixed" : "quantized") << path;
      EXPECT_EQ(seen.at("parameters"), output.at("parameters"));
    }
    EXPECT_LE(outputs[1].at("weight_bytes"), outputs[0].at("weight_bytes"));
  }
}

TEST_F(EncoderQuantize, OptionsChooseTheFormatsByRole) {
  const std::string source = encoder("bert-sequence");
  const auto formats = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"quantize", source, "--to", "int4", "--dry-run", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::map<std::string, std::string> found;
    const json document = expect_success(arguments).json();
    for (const json& tensor : document.at("outputs")[0].at("tensors"))
      found[tensor.at("role")] = tensor.at("format");
    return found;
  };
  EXPECT_EQ(formats({})["token_embedding"], "int8");
  EXPECT_EQ(formats({})["classifier"], "int8");
  EXPECT_EQ(formats({})["ffn_down"], "int4-g64");
  EXPECT_EQ(formats({"--embeddings", "fp16"})["token_embedding"], "F16");
  EXPECT_EQ(formats({"--head", "fp32"})["classifier"], "F32");
  const auto all = formats({"--all-4bit"});
  EXPECT_EQ(all.at("token_embedding"), "int4-g64");
  EXPECT_EQ(all.at("classifier"), "int4-g64");
  const auto refused = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"quantize", source, "--to", "int4", "--dry-run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::run_assay(arguments).status == 2;
  };
  EXPECT_TRUE(refused({"--all-4bit", "--head", "fp32"}));
  EXPECT_TRUE(refused({"--embeddings", "fp8"}));
  expect_one_line({"quantize", source, "--to", "mlx:4bit", "--dry-run", "--head", "fp32"}, 2,
                  {"recipes for encoders"});
}

TEST_F(EncoderQuantize, ThePlanIsWhatGetsWritten) {
  const std::vector<std::string> ask = {"quantize",     encoder("bert-sentence"),
                                        "--to",         "int8,int4-g32",
                                        "--embeddings", "fp32",
                                        "--target-mb",  "0.045",
                                        "--json"};
  std::vector<std::string> dry = ask, real = ask;
  dry.push_back("--dry-run");
  real.insert(real.end(), {"-o", folder_ / "out"});
  const json planned = expect_success(dry).json().at("outputs");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  const json written = expect_success(real).json().at("outputs");
  ASSERT_EQ(planned.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(planned[i].at("recipe"), written[i].at("recipe"));
    EXPECT_EQ(planned[i].at("total_size"), written[i].at("weight_bytes"));
    EXPECT_EQ(planned[i].at("target_met"), written[i].at("target_met"));
    EXPECT_EQ(written[i].at("target_met"), written[i].at("weight_bytes").get<double>() <= 45000.0);
    const std::string path = written[i].at("path");
    EXPECT_EQ(planned[i].at("files")[0].at("bytes"), std::filesystem::file_size(path + "/model.safetensors"));
    verify(path, encoder("bert-sentence"), 0);
    for (const char* side : {"modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"})
      EXPECT_EQ(test::read_file(path + "/" + side), test::read_file(encoder("bert-sentence") + "/" + side));
  }
  expect_fault(real, {"exist"});
}

TEST_F(EncoderQuantize, InspectCallsAPlannedMixWhatItIs) {
  const std::string source = encoder("bert-sentence"), out = folder_ / "out";
  expect_success({"quantize", source, "--to", "int4-g32", "-o", out});
  const json mix = expect_success({"inspect", out + "/int4-g32", "--json"}).json();
  EXPECT_EQ(mix.at("verdict"), "quantized");
  EXPECT_NE(mix.at("reasons").dump().find("a planned mix: 4 bits, and more in"), std::string::npos)
      << mix["reasons"];
  EXPECT_EQ(mix.at("reasons").dump().find("promises"), std::string::npos) << mix["reasons"];
  // What config.json does not list is no plan.
  json config = json::parse(test::read_file(out + "/int4-g32/config.json"));
  config["quantization_config"].erase("tensors");
  test::write_file(out + "/int4-g32/config.json", config.dump());
  const json lie = expect_success({"inspect", out + "/int4-g32", "--json"}).json();
  EXPECT_EQ(lie.at("verdict"), "fake");
  EXPECT_EQ(lie.at("reasons").dump().find("planned"), std::string::npos) << lie["reasons"];
}

TEST_F(EncoderQuantize, OneFlippedByteIsFound) {
  const std::string source = encoder("distilbert-sequence"), output = folder_ / "out/int8";
  expect_success({"quantize", source, "--to", "int8", "-o", folder_ / "out"});
  const std::string file = output + "/model.safetensors";
  test::RawSafetensors weights = test::RawSafetensors::load(file);
  const std::string tensor = "distilbert.transformer.layer.0.ffn.lin1.weight";
  weights.data[weights.header.at(tensor).at("data_offsets").at(0).get<size_t>()] ^= '\x40';
  weights.save(file);
  std::vector<std::string> failed = failed_checks(verify(output, source, 1));
  EXPECT_NE(std::find(failed.begin(), failed.end(), "manifest"), failed.end());
  EXPECT_NE(std::find(failed.begin(), failed.end(), "error bound"), failed.end());
  // The bound finds it too where nobody kept the hashes.
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out"))
    if (entry.path().filename() == "assay.json") std::filesystem::remove(entry.path());
  std::filesystem::remove(output + "/assay.json");
  failed = failed_checks(verify(output, source, 1));
  EXPECT_NE(std::find(failed.begin(), failed.end(), "error bound"), failed.end());
}

TEST_F(EncoderQuantize, TwoArchivesSideBySide) {
  const json document =
      expect_success({"inspect", encoder("distilbert-npz-fake"), encoder("distilbert-npz"), "--json"}).json();
  ASSERT_EQ(document.at("results").size(), 2U);
  EXPECT_EQ(document["results"][0].at("verdict"), "fake");
  EXPECT_NE(document["results"][1].at("verdict"), "fake");
  const json& sizes = document.at("sizes");
  EXPECT_EQ(sizes[0].at("ratio_to_first"), 1.0);
  EXPECT_NEAR(sizes[1].at("ratio_to_first").get<double>(),
              sizes[0].at("weight_bytes").get<double>() / sizes[1].at("weight_bytes").get<double>(), 1e-9);
  EXPECT_GT(sizes[1].at("ratio_to_first").get<double>(), 1.5);
  expect_success({"inspect", encoder("distilbert-npz-fake"), "--expect", "fake"});
  EXPECT_EQ(test::run_assay({"inspect", encoder("distilbert-npz-fake"), "--expect", "quantized"}).status, 1);
}

}  // namespace
}  // namespace assay
