// eval judge through the real binary, against a judge in this process.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"
#include "support/judge_server.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_success;

const std::string kKey = "sk-never-to-be-seen-4711";

/// A steady judge that sends the key back, to see whether it is kept.
void judge_steadily(const httplib::Request& request, httplib::Response& response) {
  json verdict = json::parse(test::steady_verdict(test::user_text(request.body)));
  verdict["echo"] = request.get_header_value("Authorization");
  response.set_content(test::completion(verdict.dump()).dump(), "application/json");
}

class EvalJudgeTest : public testing::Test {
 protected:
  EvalJudgeTest() : server_(judge_steadily) { source_ = test::copy_checkpoint(folder_ / "source").string(); }

  std::vector<std::string> arguments(const std::string& output) const {
    return {"eval",        "judge",         source_, "--reference",  source_, "--judge-url",
            server_.url(), "--judge-model", "mock",  "--max-tokens", "8",     "--repeats",
            "2",           "--control",     "3",     "--planted",    "0",     "-o",
            output,        "--json"};
  }
  test::Surroundings around() const { return {.environment = {{"OPENAI_API_KEY", kKey}}}; }

  test::TemporaryFolder folder_;
  test::MockServer server_;
  std::string source_;
};

TEST_F(EvalJudgeTest, TheKeyIsInNoOutput) {
  const test::Outcome outcome = test::expect_success(arguments(folder_ / "out"), around());
  EXPECT_EQ(outcome.out.find(kKey), std::string::npos);
  EXPECT_EQ(outcome.err.find(kKey), std::string::npos);
  const auto files = test::read_tree(folder_ / "out");
  EXPECT_EQ(files.size(), 3u);
  for (const auto& [name, content] : files) EXPECT_EQ(content.find(kKey), std::string::npos) << name;
  EXPECT_NE(files.at("judge.jsonl").find("Bearer [key]"), std::string::npos) << "it was sent and echoed";
  EXPECT_EQ(outcome.json()["results"][0]["pairwise"]["identical_answers"], 7);
}

TEST_F(EvalJudgeTest, KilledTenTimesItEndsWithTheSameNumbers) {
  const json whole = test::expect_success(arguments(folder_ / "whole"), around()).json();
  for (int run = 0; run < 10; ++run) {
    test::Process process(arguments(folder_ / "killed"), around());
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + run * run * 4));
    kill(process.id(), SIGKILL);
    process.finish();
  }
  const json resumed = test::expect_success(arguments(folder_ / "killed"), around()).json();
  EXPECT_EQ(resumed["control"], whole["control"]);
  EXPECT_EQ(resumed["ledger"], whole["ledger"]);
  EXPECT_EQ(resumed["results"][0]["pairwise"], whole["results"][0]["pairwise"]);
}

TEST_F(EvalJudgeTest, WrongUsageIsRefusedBeforeAnythingRuns) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{},
                                               {"--judge-url", "http://127.0.0.1:1", "--reference", "y"},
                                               {"--reference", "y", "--judge-url", "http://127.0.0.1:1",
                                                "--judge-model", "m", "--legacy-json", "old"}}) {
    std::vector<std::string> arguments = {"eval", "judge", "x"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(test::run_assay(arguments).status, 2);
  }
}

/// A judge that counts its calls.
class CountedJudgeTest : public testing::Test {
 protected:
  CountedJudgeTest()
      : server_([this](const httplib::Request& request, httplib::Response& response) {
          ++asked_;
          const std::string text = test::user_text(request.body);
          const bool pair = text.find("<answer_a>") != std::string::npos;
          response.set_content(
              test::completion(pair ? test::steady_verdict(text) : test::scores(7, 8, 9, 6)).dump(),
              "application/json");
        }) {
    source_ = test::copy_checkpoint(folder_ / "source").string();
    expect_success({"quantize", source_, "--to", "mlx:4bit,gguf:Q4_0", "-o", folder_ / "out"});
    mlx_ = folder_ / "out" / "mlx-4bit";
  }

  /// Arguments of a run in which no two answers are equal by chance, so that every pair is asked about.
  std::vector<std::string> judge(const std::vector<std::string>& more,
                                 std::vector<std::string> paths = {}) const {
    if (paths.empty()) paths = {mlx_};
    std::vector<std::string> arguments = {"eval", "judge"};
    arguments.insert(arguments.end(), paths.begin(), paths.end());
    arguments.insert(arguments.end(), {"--reference", source_, "--max-tokens", "8", "--repeats", "1",
                                       "--control", "0", "--planted", "0", "--parallel", "1", "--json"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::vector<std::string> by_server(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--judge-url", server_.url(), "--judge-model", "mock"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static std::vector<json> lines_of(const std::string& text) {
    std::vector<json> lines;
    for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
      lines.push_back(json::parse(text.substr(begin, text.find('\n', begin) - begin)));
    return lines;
  }

  test::TemporaryFolder folder_;
  std::atomic<int> asked_ = 0;
  test::MockServer server_;
  std::string source_, mlx_;
};

TEST_F(CountedJudgeTest, RequestsForABatchServiceAndTheirReplies) {
  const std::string requests = folder_ / "requests.jsonl", replies = folder_ / "replies.jsonl";
  const std::vector<std::string> ask =
      judge(by_server({"--judge-requests", requests, "-o", folder_ / "verdicts"}));
  expect_success(ask);
  EXPECT_EQ(asked_, 0);
  const std::vector<json> lines = lines_of(test::read_file(requests));
  ASSERT_GT(lines.size(), 0u);
  EXPECT_EQ(lines.size() % 2, 0u) << "both orders";
  std::string answers, wrong;
  for (const json& line : lines) {
    EXPECT_EQ(line.at("key").get<std::string>().size(), 64u);
    const std::string question = line.at("messages").back().at("content");
    answers += json{{"key", line["key"]}, {"reply", test::steady_verdict(question)}}.dump() + "\n";
    wrong += json{{"key", std::string(64, '0')}, {"reply", test::steady_verdict(question)}}.dump() + "\n";
  }
  test::write_file(replies, answers);
  const std::vector<std::string> offline = {"--judge-replies", replies, "--judge-model", "mock"};
  const json recorded = expect_success(judge(offline)).json();
  EXPECT_EQ(recorded.at("ledger").at("missing"), 0);
  EXPECT_EQ(recorded["ledger"].at("valid"), lines.size());
  // The same verdicts as from the judge itself.
  const json asked = expect_success(judge(by_server({}))).json();
  const auto verdicts = [](json document) {
    json& pairwise = document["results"][0]["pairwise"];
    pairwise.erase("ledger");  // recorded replies without usage cost nothing
    return pairwise;
  };
  EXPECT_EQ(verdicts(recorded), verdicts(asked));
  EXPECT_EQ(asked_, lines.size());
  // A file that is in the way stays; planted replies to other questions are none.
  test::expect_fault(ask, {"requests.jsonl", "exists"});
  test::write_file(replies, wrong);
  const test::Outcome none = test::run_assay(judge(offline));
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("not one valid verdict"), std::string::npos);
}

TEST_F(CountedJudgeTest, OldFilesOfEveryFormat) {
  const std::string old = folder_ / "old";
  std::string gguf;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out"))
    if (entry.path().extension() == ".gguf") gguf = entry.path();
  const std::vector<std::string> arguments =
      judge(by_server({"--mode", "pointwise", "--legacy-json", old}), {mlx_, gguf});
  expect_success(arguments);
  for (const char* format : {"baseline", "mlx", "gguf"}) {
    const json file =
        json::parse(test::read_file(folder_ / ("old/evaluation_" + std::string(format) + ".json")));
    EXPECT_EQ(file.at("quantization_format"), format);
    EXPECT_EQ(file.at("aggregate_scores").at("accuracy"), 7.0);
    EXPECT_EQ(file["aggregate_scores"].at("quality"), 6.0);
    EXPECT_EQ(file.at("prompt_results").size(), 7u);
    EXPECT_EQ(file.contains("hardware_info"), std::string(format) != "baseline");
  }
  const int asked = asked_;
  test::expect_fault(arguments, {"evaluation_baseline.json", "exists"});
  EXPECT_EQ(asked_, asked) << "told before the judge is asked";
}

TEST_F(CountedJudgeTest, PricesOfATableMakeTheCost) {
  test::write_file(
      folder_ / "prices.yaml",
      "version: 2025-08\ncurrency: EUR\nmodels:\n  mock: {input: 2.0, cached_input: 0.5, output: 8}\n");
  const json document = expect_success(judge(by_server({"--prices", folder_ / "prices.yaml"}))).json();
  const json& ledger = document.at("ledger");
  // Every reply: 100 tokens in, 50 of them cached, 20 out.
  const double calls = asked_;
  EXPECT_GT(calls, 0);
  EXPECT_NEAR(ledger.at("cost").get<double>(), calls * (50 * 2.0 + 50 * 0.5 + 20 * 8.0) / 1e6, 1e-12);
  EXPECT_EQ(ledger.at("price").at("currency"), "EUR");
  EXPECT_EQ(ledger.at("price").at("version"), "2025-08");
  // By hand the same price costs the same; another one does not.
  const auto by_hand = [&](const char* output) {
    return expect_success(
               judge(by_server({"--price-input", "2", "--price-cached", "0.5", "--price-output", output})))
        .json()
        .at("ledger")
        .at("cost");
  };
  EXPECT_EQ(by_hand("8"), ledger["cost"]);
  EXPECT_NE(by_hand("9"), ledger["cost"]);
  EXPECT_EQ(expect_success(judge(by_server({}))).json().at("ledger").at("cost"), 0.0) << "on this machine";
  test::write_file(folder_ / "prices.yaml", "version: 1\nmodels:\n  other: {input: 2.0, output: 8}\n");
  test::expect_fault(judge(by_server({"--prices", folder_ / "prices.yaml"})), {"prices.yaml", "mock"});
}

TEST_F(CountedJudgeTest, TheBudgetStopsBeforeItIsExceeded) {
  // A token out costs 1, one in nothing. A call may cost 100 and does cost 20, so before the sixth, with 100
  // spent, 180 no longer hold 100 more.
  const auto spend = [&](const char* budget) {
    return judge(by_server({"--price-input", "0", "--price-output", "1000000", "--judge-max-tokens", "100",
                            "--budget", budget, "-o", folder_ / "verdicts"}));
  };
  const test::Outcome stopped = test::run_assay(spend("180"));
  EXPECT_EQ(stopped.status, 1);
  EXPECT_NE(stopped.err.find("stopped before the budget of 180"), std::string::npos) << stopped.err;
  EXPECT_EQ(asked_, 5);
  const json ledger = stopped.json().at("ledger");
  EXPECT_EQ(ledger.at("cost"), 100.0);
  EXPECT_EQ(ledger.at("valid"), 5);
  EXPECT_EQ(ledger.at("missing").get<int>() + 5, ledger.at("requests").get<int>());
  EXPECT_EQ(ledger.at("stopped_by_budget"), true);
  // Nothing more is asked while the money is the same, and what was paid stays counted when there is more.
  EXPECT_EQ(test::run_assay(spend("199")).status, 1);
  EXPECT_EQ(asked_, 5);
  EXPECT_EQ(test::run_assay(spend("200")).status, 1);
  EXPECT_EQ(asked_, 6);
  const json whole = expect_success(spend("100000")).json().at("ledger");
  EXPECT_EQ(whole.at("missing"), 0);
  EXPECT_EQ(whole.at("cost").get<double>(), 20.0 * asked_);
  test::expect_one_line(
      judge({"--judge-url", server_.url(), "--judge-model", "m", "--budget", "1", "--price-input", "1"}), 2,
      {"--price-output"});
}

}  // namespace
}  // namespace assay
