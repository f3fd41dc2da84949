// compare as people call it: several tasks in one command, the old projects' files, and being killed at any
// moment. A tiny model of noise answers; a judge in this process has an opinion on letters.
#include <atomic>
#include <random>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"
#include "support/judge_server.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_one_line;
using test::expect_success;

/// Scores that follow from the answer alone; verdicts as test::steady_verdict gives them.
void judge_steadily(const httplib::Request& request, httplib::Response& response) {
  const std::string text = test::user_text(request.body);
  const bool pair = text.find("<answer_a>") != std::string::npos;
  const double score = static_cast<double>(text.size() % 9) + 1.0;
  const std::string reply = pair ? test::steady_verdict(text) : test::scores(score, score, score, score);
  response.set_content(test::completion(reply).dump(), "application/json");
}

class CompareTest : public testing::Test {
 protected:
  CompareTest()
      : server_([this](const httplib::Request& request, httplib::Response& response) {
          ++asked_;
          judge_steadily(request, response);
        }) {
    source_ = test::copy_checkpoint(folder_ / "source").string();
    test::change_json(folder_ / "source/config.json",
                      [](auto& config) { config["max_position_embeddings"] = 2048; });
    std::string rows, text;
    for (int i = 0; i < 12; ++i)
      rows += json{{"text", "What is tool " + std::to_string(i) + " for?"},
                   {"label", i % 3 == 0 ? "harmful" : "safe"}}
                  .dump() +
              "\n";
    for (int i = 0; i < 200; ++i) text += "it was number " + std::to_string(i * i) + ". ";
    test::write_file(folder_ / "tools.jsonl", rows);
    test::write_file(folder_ / "text.txt", text);
  }

  /// A comparison without timing in `output`.
  std::vector<std::string> compare(const std::string& output, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"compare", source_,    "--to", "mlx:4bit,gguf:Q8_0", "-o",
                                          output,    "--rounds", "0",    "--threads",          "1",
                                          "--json",  "--seed",   "7"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::vector<std::string> guard() const {
    return {"--guard", folder_ / "tools.jsonl", "--guard-max-tokens", "8"};
  }
  std::vector<std::string> judge(const std::string& mode) const {
    return {"--judge-url", server_.url(), "--judge-model", "mock", "--mode",  mode, "--repeats",    "1",
            "--control",   "2",           "--planted",     "2",    "--limit", "3",  "--max-tokens", "6"};
  }
  static std::vector<std::string> all(const std::vector<std::vector<std::string>>& parts) {
    std::vector<std::string> whole;
    for (const auto& part : parts) whole.insert(whole.end(), part.begin(), part.end());
    return whole;
  }
  json read(const std::string& name) const { return json::parse(test::read_file(folder_ / name)); }

  test::TemporaryFolder folder_;
  std::atomic<int> asked_ = 0;
  test::MockServer server_;
  std::string source_;
};

const json* find(const json& list, const std::map<std::string, std::string>& wanted) {
  for (const json& each : list) {
    bool same = true;
    for (const auto& [name, value] : wanted) same &= each.at(name) == value;
    if (same) return &each;
  }
  return nullptr;
}

/// What must not depend on interruptions: everything but the date and what was timed.
json figures(json report) {
  report.erase("created");
  json kept = json::array();
  for (json& m : report["measurements"])
    if (m.at("metric").get<std::string>().find("seconds") == std::string::npos) kept.push_back(m);
  report["measurements"] = kept;
  return report;
}

TEST_F(CompareTest, KilledTenTimesItEndsWithTheNumbersOfOneRun) {
  const std::vector<std::string> tasks =
      all({{"--text", folder_ / "text.txt", "--ctx", "64"}, guard(), judge("pairwise")});
  const auto begin = std::chrono::steady_clock::now();
  const json whole = expect_success(compare(folder_ / "whole", tasks)).json();
  const auto took = std::chrono::steady_clock::now() - begin;
  const std::vector<std::string> arguments = compare(folder_ / "cut", tasks);
  std::mt19937 random(11);
  int killed = 0;
  for (int round = 0; round < 10; ++round) {
    // Later rounds have less left to do: they are given less time.
    const double share = static_cast<double>(random() % 1000) / 1000.0 * (round < 5 ? 0.9 : 0.4);
    test::Process process(arguments, {});
    std::this_thread::sleep_for(took * share);
    kill(process.id(), SIGKILL);
    killed += process.finish().status == 128 + SIGKILL ? 1 : 0;
  }
  EXPECT_GE(killed, 5);
  const json resumed = expect_success(arguments).json();
  json expected = figures(whole), found = figures(resumed);
  for (json* report : {&expected, &found})
    for (json& subject : (*report)["subjects"]) subject.erase("path");
  EXPECT_EQ(found["measurements"], expected["measurements"]);
  EXPECT_EQ(found["comparisons"], expected["comparisons"]);
  EXPECT_EQ(found, expected);
  // The same files, and no leftovers of the killed ones.
  auto files = test::read_tree(folder_ / "cut"), others = test::read_tree(folder_ / "whole");
  for (const auto& [name, content] : others) EXPECT_TRUE(files.contains(name)) << name;
  for (const auto& [name, content] : files) EXPECT_TRUE(others.contains(name)) << name;
  // Planted: one lost answer makes other numbers, so that the comparison above can fail.
  const std::string kept = folder_ / "cut/guard/guard-mlx_4bit.jsonl";
  std::string rows = test::read_file(kept);
  const size_t at = rows.find("\"text\":\"");
  ASSERT_NE(at, std::string::npos);
  rows.insert(at + 8, "Request: harmful ");
  test::write_file(kept, rows);
  EXPECT_NE(figures(expect_success(arguments).json())["measurements"], expected["measurements"]);
}

TEST_F(CompareTest, TheOldFilesAreWrittenOnRequest) {
  const std::string old = folder_ / "out/old";
  const std::vector<std::string> arguments =
      compare(folder_ / "out",
              all({guard(), judge("pointwise"), {"--legacy-json", old, "--legacy-schema", "confusion"}}));
  const json report = expect_success(arguments).json();
  for (const auto& [name, format] :
       std::map<std::string, std::string>{{"evaluation_baseline.json", "baseline"},
                                          {"evaluation_mlx.json", "mlx"},
                                          {"evaluation_gguf.json", "gguf"}}) {
    const json file = read("out/old/" + name);
    EXPECT_EQ(file.at("quantization_format"), format);
    EXPECT_EQ(file.at("judge_model"), "mock");
    ASSERT_EQ(file.at("prompt_results").size(), 3u);
    const json& first = file["prompt_results"][0];
    for (const char* member :
         {"prompt", "category", "model_response", "generation_time_seconds", "quality_score",
          "accuracy_score", "coherence_score", "relevance_score", "judge_reasoning"})
      EXPECT_TRUE(first.contains(member)) << member;
    double sum = 0.0;
    for (const json& result : file["prompt_results"]) sum += result.at("quality_score").get<double>();
    EXPECT_NEAR(file.at("aggregate_scores").at("quality").get<double>(), sum / 3.0, 1e-9);
    EXPECT_EQ(file.at("file_sha256").get<std::string>().size(), 64u);
  }
  EXPECT_EQ(read("out/old/evaluation_mlx.json")["quantization_config"]["bits"], 4);
  // The results read back give the counts of the report.
  for (const std::string label : {"source", "mlx:4bit", "gguf:Q8_0"}) {
    std::string name = "out/old/results_" + label + ".json";
    std::replace(name.begin(), name.end(), ':', '_');
    const json metrics = read(name).at("metrics").at("confusion");
    const json* matrix = find(report.at("matrices"), {{"subject", label}});
    ASSERT_NE(matrix, nullptr) << label;
    EXPECT_EQ((json{{metrics["tn"], metrics["fp"]}, {metrics["fn"], metrics["tp"]}}), matrix->at("counts"));
    const json back = expect_success({"eval", "guard", "--from", folder_ / name, "--json"}).json();
    EXPECT_EQ(back["results"][0]["rows"]["total"], 12);
  }
  // Below the output they belong to the latest comparison; elsewhere what stands there stays.
  expect_success(arguments);
  const int asked = asked_;
  test::write_file(folder_ / "evaluation_mlx.json", "mine");
  std::vector<std::string> elsewhere = arguments;
  *std::find(elsewhere.begin(), elsewhere.end(), old) = folder_.path();
  std::replace(elsewhere.begin(), elsewhere.end(), std::string(folder_ / "out"),
               std::string(folder_ / "new"));
  expect_fault(elsewhere, {"evaluation_mlx.json", "exists"});
  EXPECT_EQ(asked_, asked) << "told before the judge is asked";
  EXPECT_EQ(test::read_file(folder_ / "evaluation_mlx.json"), "mine");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "results_source.json"));
}

TEST_F(CompareTest, EveryNumberSaysWhatItRestsOn) {
  const json report = expect_success(compare(folder_ / "out",
                                             all({{"--text", folder_ / "text.txt", "--ctx", "64"}, guard()})))
                          .json();
  const auto fault = [](const json& number) {
    if (number.at("settings").empty()) return "settings";
    return number.at("file_sha256").get<std::string>().size() == 64 ? "" : "hash";
  };
  ASSERT_FALSE(report.at("series").empty());
  for (const json& series : report["series"]) EXPECT_STREQ(fault(series), "") << series.at("metric");
  for (const json& matrix : report.at("matrices")) EXPECT_STREQ(fault(matrix), "");
  for (const json& m : report.at("measurements")) {
    EXPECT_EQ(m.at("file_sha256").get<std::string>().size(), 64u) << m.at("metric");
    EXPECT_EQ(m.at("settings").empty(), m.at("task") == "size") << m.at("metric");
  }
  json planted = report["series"][0];
  planted["file_sha256"] = "";
  EXPECT_STREQ(fault(planted), "hash");
  // The page shows them: a hash for every curve and matrix, in the text behind its fold.
  const std::string page = test::read_file(folder_ / "out/report.html");
  EXPECT_NE(page.find("1000 resamples"), std::string::npos) << "the curves' own number";
  EXPECT_NE(page.find("What these counts rest on"), std::string::npos);
}

TEST_F(CompareTest, ChatTemplateSystemAndPromptsOfTheCommandLine) {
  test::change_json(folder_ / "source/tokenizer_config.json", [](auto& config) {
    config["chat_template"] =
        "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}<answer> ";
  });
  const auto tokens = [&](const std::string& name, const std::vector<std::string>& more) {
    expect_success(compare(folder_ / name, all({{"--prompt", "the tool", "--max-tokens", "2"}, more})));
    const std::string log = test::read_file(folder_ / (name + "/answers.jsonl"));
    const json first = json::parse(log.substr(0, log.find('\n')));
    return first.at("turns")[0].at("prompt_tokens").get<int>();
  };
  const int with = tokens("with", {}), without = tokens("without", {"--no-chat-template"}),
            system = tokens("system", {"--system", "be kind"});
  EXPECT_LT(without, with);
  EXPECT_GT(system, with);
  const json settings =
      find(read("without/report.json").at("measurements"), {{"task", "answers"}})->at("settings");
  EXPECT_EQ(settings.at("decoding").at("chat_template"), false);
  expect_one_line(compare(folder_ / "both", {"--prompt", "a", "--no-chat-template", "--system", "b"}), 2,
                  {"--system"});
  // With a judge, the prompts of the command line are those that are judged.
  const json judged =
      expect_success(compare(folder_ / "judged", all({judge("pairwise"), {"--prompt", "the tool"}}))).json();
  for (const json& answer : judged.at("answers")) EXPECT_EQ(answer.at("prompt"), "the tool");
}

TEST_F(CompareTest, WrongUsageIsToldBeforeAnythingIsBuilt) {
  const std::vector<std::vector<std::string>> cases = {
      {"--legacy-json", "old"},
      all({judge("pairwise"), {"--legacy-json", "old"}}),
      all({guard(), {"--legacy-json", "old", "--legacy-schema", "new"}}),
      {"--prompt", "a", "--prompts", "b"},
      {"--endpoint", "http://127.0.0.1:1/v1#m", "--prompt", "a", "--no-chat-template"}};
  for (size_t i = 0; i + 1 < cases.size(); ++i) {
    expect_one_line(compare(folder_ / "out", cases[i]), 2, {});
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  }
  expect_one_line(compare(folder_ / "out", cases.back()), 2, {"chat template"});
}

TEST_F(CompareTest, OneCandidateGetsAdviceThatCitesItsNumbers) {
  const json report = expect_success({"compare", source_, "--to", "mlx:4bit", "-o", folder_ / "out", "--text",
                                      folder_ / "text.txt", "--ctx", "64", "--rounds", "0", "--json"})
                          .json();
  ASSERT_FALSE(report.at("advice").empty());
  for (const json& advice : report["advice"]) EXPECT_FALSE(advice.at("measurements").empty()) << advice;
}

}  // namespace
}  // namespace assay
