// eval guard as people call it, on a tiny model and on harmless questions about tools. The model's answers
// are noise; what counts is that every row is asked once, kept, and scored the same however the run went.
#include <random>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_one_line;
using test::expect_success;
using test::Outcome;

class EvalGuard : public testing::Test {
 protected:
  void SetUp() override {
    test::copy_checkpoint(folder_ / "model");
    test::change_json(folder_ / "model/config.json",
                      [](auto& config) { config["max_position_embeddings"] = 4096; });
    std::string rows;
    for (int i = 0; i < 40; ++i)
      rows += json{{"text", "What is tool " + std::to_string(i) + " for?"},
                   {"label", i % 4 == 0 ? "harmful" : "safe"}}
                  .dump() +
              "\n";
    test::write_file(folder_ / "tools.jsonl", rows);
  }
  /// Arguments of a run over the tools.
  std::vector<std::string> ask(const std::vector<std::string>& more,
                               const std::string& model = "model") const {
    std::vector<std::string> arguments = {
        "eval",         "guard", folder_ / model, "--data", folder_ / "tools.jsonl",
        "--max-tokens", "12",    "--threads",     "1",      "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  /// A reply of a stored answer in the model's form.
  static std::string reply(const char* request) {
    return std::string("# Task 1\nreasons\n\nAnswers: \nRequest: ") + request +
           "\nCompletion: None\nResponse: None";
  }
  std::string write_predictions(const std::string& name,
                                const std::vector<std::pair<const char*, const char*>>& rows) {
    std::string text;
    for (size_t i = 0; i < rows.size(); ++i)
      text += json{{"prompt", "J.\n\nHuman user:\nq" + std::to_string(i) + "\n\nAI assistant:\nNone\n\n"},
                   {"label", rows[i].first},
                   {"predict", reply(rows[i].second)}}
                  .dump() +
              "\n";
    test::write_file(folder_ / name, text);
    return folder_ / name;
  }
  test::TemporaryFolder folder_;
};

/// What must not depend on interruptions: everything but times and memory.
json figures(json document) {
  for (json& subject : document["subjects"]) {
    subject.erase("timing");
    subject.erase("model");
  }
  return document;
}

TEST_F(EvalGuard, AnswersAreKeptAndTheSecondRunAsksNothing) {
  const std::vector<std::string> arguments = ask({"-o", folder_ / "runs"});
  const json first = expect_success(arguments).json();
  const std::string kept = test::read_file(folder_ / "runs/guard-model.jsonl");
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 41);
  const json row = json::parse(
      kept.substr(kept.find('\n') + 1, kept.find('\n', kept.find('\n') + 1) - kept.find('\n') - 1));
  for (const char* member :
       {"text", "prompt_sha256", "prompt_tokens", "answer_tokens", "finish_reason", "seconds"})
    EXPECT_TRUE(row.contains(member)) << member;
  EXPECT_EQ(figures(expect_success(arguments).json()), figures(first));
  EXPECT_EQ(test::read_file(folder_ / "runs/guard-model.jsonl"), kept);
  const json& result = first.at("results").at(0);
  EXPECT_EQ(result.at("task"), "prompt-harm");
  EXPECT_EQ(result.at("rows").at("total"), 40);
  EXPECT_EQ(result.at("classes").at("harmful").at("support"), 10);
  EXPECT_EQ(first.at("subjects")[0].at("model").at("verdict"), "unquantized");
  EXPECT_TRUE(first.at("reference").is_null());
  // The stored answers score alike, without the model.
  const json stored =
      expect_success({"eval", "guard", "--from", folder_ / "runs/guard-model.jsonl", "--json"}).json();
  EXPECT_EQ(stored["results"][0]["confusion"], result["confusion"]);
  EXPECT_EQ(stored["results"][0]["metric"], result["metric"]);
}

TEST_F(EvalGuard, KilledTenTimesItEndsWithTheSameFigures) {
  const json whole = expect_success(ask({"-o", folder_ / "whole"})).json();
  const std::vector<std::string> arguments = ask({"-o", folder_ / "cut"});
  const auto file = folder_ / "cut" / "guard-model.jsonl";
  std::mt19937 random(7);
  int killed = 0;
  for (int round = 0; round < 10; ++round) {
    // Kill when some more rows have been written, and sometimes tear the last one.
    const auto before = std::filesystem::exists(file) ? std::filesystem::file_size(file) : 0;
    const auto wanted = before + 1 + random() % 1500;
    const Outcome outcome = test::run_assay(arguments, {.meanwhile = [&](pid_t child) {
                                              for (int i = 0; i < 4000; ++i) {
                                                std::error_code missing;
                                                const auto size = std::filesystem::file_size(file, missing);
                                                if (!missing && size >= wanted) break;
                                                std::this_thread::sleep_for(std::chrono::microseconds(500));
                                              }
                                              kill(child, SIGKILL);
                                            }});
    killed += outcome.status == 128 + SIGKILL;
    if (round % 2 == 0 && std::filesystem::exists(file) && std::filesystem::file_size(file) > 20)
      std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1 - random() % 15);
  }
  EXPECT_GE(killed, 3);
  const json resumed = expect_success(arguments).json();
  EXPECT_EQ(figures(resumed), figures(whole));
  // Answer by answer, not only in their sum.
  const auto answers = [](const std::string& bytes) {
    std::map<std::string, json> found;
    for (size_t begin = bytes.find('\n') + 1; begin < bytes.size();) {
      const size_t end = bytes.find('\n', begin);
      json row = json::parse(bytes.substr(begin, end - begin));
      for (const char* measured : {"seconds", "prefill_seconds", "decode_seconds"}) row.erase(measured);
      found[row.at("id")] = row;
      begin = end + 1;
    }
    return found;
  };
  EXPECT_EQ(answers(test::read_file(file)), answers(test::read_file(folder_ / "whole/guard-model.jsonl")));
}

TEST_F(EvalGuard, AnotherModelOrSettingDoesNotGoOnThere) {
  expect_success(ask({"-o", folder_ / "runs", "--limit", "2"}));
  std::vector<std::string> other = ask({"-o", folder_ / "runs", "--limit", "2", "--prompt", "deploy"});
  expect_fault(other, {"guard-model.jsonl", "holds another run", "settings/prompt", "deploy"});
  test::change_json(folder_ / "model/config.json", [](auto& config) { config["rms_norm_eps"] = 0.5; });
  expect_fault(ask({"-o", folder_ / "runs", "--limit", "2"}), {"holds another run", "settings_sha256"});
}

TEST_F(EvalGuard, CutsShufflesAndQuickRuns) {
  const auto rows = [&](const std::vector<std::string>& more) {
    return expect_success(ask(more)).json().at("results").at(0);
  };
  const json quick = rows({"--per-class", "3"});
  EXPECT_EQ(quick["classes"]["harmful"]["support"], 3);
  EXPECT_EQ(quick["classes"]["unharmful"]["support"], 3);
  EXPECT_EQ(rows({"--limit", "5", "--shuffle", "cpython"})["rows"]["total"], 5);
  EXPECT_EQ(rows({"--limit", "4", "--order", "file"})["classes"]["harmful"]["support"], 1);
  const Outcome one = test::run_assay(ask({"--limit", "1"}));
  EXPECT_EQ(one.status, 0);
  EXPECT_NE(one.err.find("recall"), std::string::npos);
  EXPECT_TRUE(one.json()["results"][0]["one_class"]);
}

TEST_F(EvalGuard, ARowThatDoesNotFitIsKeptAsFailed) {
  std::string rows;
  for (int i = 0; i < 4; ++i)
    rows += json{{"text", i == 1 ? std::string(30000, 'a') : "What is tool " + std::to_string(i) + " for?"},
                 {"label", i % 2 == 0 ? "harmful" : "safe"}}
                .dump() +
            "\n";
  test::write_file(folder_ / "tools.jsonl", rows);
  const json result = expect_success(ask({"-o", folder_ / "runs"})).json().at("results").at(0);
  EXPECT_EQ(result.at("rows").at("total"), 4);
  EXPECT_EQ(result["rows"].at("failed"), 1);
  EXPECT_NE(test::read_file(folder_ / "runs/guard-model.jsonl").find("longer than the context"),
            std::string::npos);
}

TEST_F(EvalGuard, AReferenceGivesAgreementAndNothingElseDoes) {
  const std::string bf16 = write_predictions(
      "bf16.jsonl",
      {{"harmful", "harmful"}, {"harmful", "harmful"}, {"unharmful", "unharmful"}, {"unharmful", "harmful"}});
  std::filesystem::create_directories(folder_ / "4bit");
  const std::string other = write_predictions(
      "4bit/bf16.jsonl",
      {{"harmful", "harmful"}, {"harmful", "None"}, {"unharmful", "unharmful"}, {"unharmful", "harmful"}});
  const json with = expect_success({"eval", "guard", other, "--reference", bf16, "--json"}).json();
  const json& pair = with.at("pairs").at(0).at("comparisons").at(0);
  EXPECT_EQ(pair.at("agreement").at("value"), 0.75);
  EXPECT_EQ(pair.at("only_first_right"), 1);
  EXPECT_EQ(pair.at("flips").size(), 1U);
  EXPECT_EQ(with.at("results").size(), 2U);
  const json without = expect_success({"eval", "guard", bf16, other, "--json"}).json();
  EXPECT_TRUE(without.at("pairs").at(0).at("comparisons").at(0).at("agreement").is_null());
  EXPECT_EQ(without["pairs"][0]["comparisons"][0]["mcnemar_p"], 1.0);
  const Outcome text = expect_success({"eval", "guard", "--from", bf16});
  EXPECT_NE(text.out.find("n/a, no --reference was measured"), std::string::npos);
  EXPECT_NE(text.out.find("80.00"), std::string::npos);  // F1 of 2 TP, 1 FP
}

TEST_F(EvalGuard, MarginsWithoutAnAnswer) {
  const json document =
      expect_success(ask({"--score", "logits", "--reference", folder_ / "model", "-o", folder_ / "runs"}))
          .json();
  ASSERT_EQ(document.at("margins").size(), 2U);
  const json &reference = document["margins"][0], &same = document["margins"][1];
  EXPECT_EQ(reference.at("auprc"), same.at("auprc"));
  EXPECT_EQ(same.at("f1_at_reference_threshold").at("value"), same.at("f1_at_own_threshold"));
  EXPECT_EQ(document["pairs"][0]["comparisons"][0]["agreement"]["value"], 1.0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "runs/guard-model.logits.jsonl"));
}

TEST_F(EvalGuard, OldSchemasAreWrittenAndReadBack) {
  const std::string out = folder_ / "results_old.json";
  const json document = expect_success(ask({"--legacy-json", out, "--parser", "legacy"})).json();
  const json old = json::parse(test::read_file(out));
  EXPECT_EQ(old.at("metrics").at("total"), 40);
  EXPECT_EQ(old.at("results").at(0).at("prompt"), "What is tool 0 for?...");
  const json back = expect_success({"eval", "guard", "--from", out, "--json"}).json();
  EXPECT_EQ(back["results"][0]["confusion"], document["results"][0]["confusion"]);
  expect_fault(ask({"--legacy-json", out, "--limit", "1"}), {"results_old.json", "exists"});
}

TEST_F(EvalGuard, FaultsInOneLine) {
  test::write_file(folder_ / "empty.jsonl",
                   "{\"text\":\"a\",\"label\":\"safe\"}\n{\"text\":\"\",\"label\":\"safe\"}\n");
  expect_fault({"eval", "guard", folder_ / "model", "--data", folder_ / "empty.jsonl"},
               {"empty.jsonl:2", "an empty prompt"});
  expect_fault({"eval", "guard", folder_ / "model", "--data", "ToxicChat", "--data-dir", folder_.path()},
               {"no such data set", "0_8_toxic_chat.json"});
  expect_one_line({"eval", "guard", folder_ / "model"}, 2, {"--data"});
  expect_one_line({"eval", "guard"}, 2, {"--from"});
  expect_one_line(ask({"--quick", "--per-class", "3"}), 2, {"--quick"});
  expect_fault({"eval", "guard", folder_ / "nowhere", "--data", folder_ / "tools.jsonl"}, {"nowhere"});
  // A set does not swallow the path behind it.
  expect_fault({"eval", "guard", "--data", folder_ / "tools.jsonl", folder_ / "nowhere"}, {"nowhere"});
  test::write_file(folder_ / "other.jsonl", "{\"a\":1}\n");
  expect_fault({"eval", "guard", "--from", folder_ / "other.jsonl"},
               {"other.jsonl:1", "no stored prediction"});
}

}  // namespace
}  // namespace assay
