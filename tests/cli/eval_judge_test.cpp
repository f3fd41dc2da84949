// eval judge through the real binary, against a judge in this process.
#include <chrono>
#include <thread>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"
#include "support/judge_server.hpp"

namespace assay {
namespace {

using nlohmann::json;

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

}  // namespace
}  // namespace assay
