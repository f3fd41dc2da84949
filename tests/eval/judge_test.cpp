#include "eval/judge.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <set>

#include "eval/endpoint.hpp"
#include "support/judge_server.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

/// A judge that answers by a function of the question and how often it was asked before.
class ScriptedJudge : public Respondent {
 public:
  using Script = std::function<Answer(const std::string& question, int call, const DecodingOptions& options)>;
  explicit ScriptedJudge(Script script) : script_(std::move(script)) {}
  Answer answer(const Question& question, const DecodingOptions& options) override {
    return script_(question.messages.back().content, calls++, options);
  }
  std::atomic<int> calls = 0;

 private:
  Script script_;
};

Answer reply(const std::string& text, const std::string& finish = "stop") {
  return {.text = text, .finish_reason = finish, .prompt_tokens = 1000, .answer_tokens = 100};
}

const JudgePrompt kPrompt{
    .id = "1", .category = "code", .turns = {"write a program"}, .expected_qualities = {}};

std::vector<JudgeRequest> requests_for(const Judge& judge, size_t n) {
  std::vector<JudgeRequest> requests;
  for (size_t i = 0; i < n; ++i)
    requests.push_back(judge.make_request(JudgeMode::kPairwise,
                                          pairwise_question(kPrompt, {"x"}, {std::to_string(i)}), 0, 0, {}));
  return requests;
}

TEST(JudgeTest, AsksOnceAndNeverAgain) {
  const test::TemporaryFolder folder;
  ScriptedJudge judge(
      [](const std::string&, int, const DecodingOptions&) { return reply(test::verdict("B")); });
  for (int run = 0; run < 2; ++run) {
    RecordLog log(folder / "judge.jsonl");
    Judge asked(&judge, {.model = "m", .parallel = 3}, log);
    const auto requests = requests_for(asked, 10);
    asked.ask(requests, silent_progress());
    asked.ask(requests, silent_progress());
    EXPECT_EQ(judge.calls, 10);
    EXPECT_EQ(asked.reply_to(requests[9])->preference, Preference::kB);
    const JudgeLedger ledger = asked.ledger(requests);
    EXPECT_EQ(ledger.usage.calls, 10);
    EXPECT_EQ(ledger.usage.input, 10000);
    EXPECT_EQ(ledger.valid, 10);
    EXPECT_EQ(ledger.missing, 0);
  }
}

TEST(JudgeTest, AnotherModelTemplateOrderOrRepeatIsAnotherRequest) {
  RecordLog log;
  const Judge one(nullptr, {.model = "m"}, log), other(nullptr, {.model = "n"}, log),
      warm(nullptr, {.model = "m", .temperature = 1.0}, log);
  const auto key = [](const Judge& judge, int order, uint64_t repeat, const char* b) {
    return judge.make_request(JudgeMode::kPairwise, pairwise_question(kPrompt, {"a"}, {b}), order, repeat, {})
        .key;
  };
  const std::set<std::string> keys = {key(one, 0, 0, "b"), key(other, 0, 0, "b"), key(warm, 0, 0, "b"),
                                      key(one, 1, 0, "b"), key(one, 0, 1, "b"),   key(one, 0, 0, "c")};
  EXPECT_EQ(keys.size(), 6u);
  EXPECT_EQ(key(one, 0, 0, "b"), key(one, 0, 0, "b"));
}

TEST(JudgeTest, InvalidRepliesAreAskedAgainThenMissingNeverAVerdict) {
  const char* kInvalid[] = {"the verdict is A", "{\"verdict\": \"C\"}",         "[\"A\"]", "",
                            "{\"verdict\": 1}", "{\"verdict\": \"A\"} and more"};
  for (const char* text : kInvalid) {
    ScriptedJudge judge([&](const std::string&, int, const DecodingOptions&) { return reply(text); });
    RecordLog log;
    Judge asked(&judge, {.model = "m", .attempts = 3}, log);
    const auto requests = requests_for(asked, 1);
    asked.ask(requests, silent_progress());
    EXPECT_EQ(judge.calls, 3) << text;
    EXPECT_FALSE(asked.reply_to(requests[0])) << text;
    const JudgeLedger ledger = asked.ledger(requests);
    EXPECT_EQ(ledger.missing, 1);
    EXPECT_EQ(ledger.invalid_replies, 3);
    EXPECT_EQ(ledger.usage.calls, 3) << "what was paid is counted";
  }
}

TEST(JudgeTest, ACutReplyIsNoVerdictAndIsGivenMoreRoom) {
  std::vector<int64_t> limits;
  ScriptedJudge judge([&](const std::string&, int call, const DecodingOptions& options) {
    limits.push_back(options.max_tokens);
    return reply(test::verdict("A"), call < 2 ? "length" : "stop");
  });
  RecordLog log;
  Judge asked(&judge, {.model = "m", .attempts = 3, .max_tokens = 100}, log);
  const auto requests = requests_for(asked, 1);
  asked.ask(requests, silent_progress());
  EXPECT_EQ(limits, (std::vector<int64_t>{100, 200, 400}));
  EXPECT_TRUE(asked.reply_to(requests[0]));
  EXPECT_EQ(asked.ledger(requests).invalid_replies, 2);
}

TEST(JudgeTest, ThinkingAndACodeBlockAroundTheObjectAreNoFault) {
  std::string fault;
  EXPECT_EQ(parse_pairwise_reply("<think>\nA? B!\n</think>\n```json\n{\"verdict\": \"tie\"}\n```", fault),
            Preference::kTie);
  EXPECT_EQ(parse_pairwise_reply(" {\"verdict\": \"b\"}\n", fault), Preference::kB);
  EXPECT_FALSE(parse_pairwise_reply("<think>{\"verdict\": \"A\"}", fault));
}

TEST(JudgeTest, TheBudgetIsNeverExceeded) {
  // Each call costs 1000 · 1 + 100 · 10 = 2000 millionths; at most (bytes · 1 + 100 · 10) is foreseen.
  ScriptedJudge judge([](const std::string& question, int, const DecodingOptions&) {
    Answer answer = reply(test::verdict("A"));
    answer.prompt_tokens = static_cast<int64_t>(question.size());
    return answer;
  });
  RecordLog log;
  const JudgeOptions options{.model = "m",
                             .max_tokens = 100,
                             .parallel = 4,
                             .price = TokenPrice{.input = 1.0, .output = 10.0},
                             .budget = 0.02};
  Judge asked(&judge, options, log);
  const auto requests = requests_for(asked, 50);
  asked.ask(requests, silent_progress());
  const JudgeLedger ledger = asked.ledger(requests);
  EXPECT_TRUE(ledger.stopped_by_budget);
  EXPECT_LE(*ledger.cost, 0.02);
  EXPECT_GT(*ledger.cost, 0.01) << "stops near the budget, not far before it";
  EXPECT_GT(ledger.missing, 0);
  EXPECT_EQ(ledger.valid + ledger.missing, 50);
  EXPECT_THROW(Judge(&judge, {.model = "m", .budget = 1.0}, log), UsageError);
}

TEST(JudgeTest, WhatWasSpentBeforeCountsTowardsTheBudget) {
  const test::TemporaryFolder folder;
  ScriptedJudge judge(
      [](const std::string&, int, const DecodingOptions&) { return reply(test::verdict("A")); });
  JudgeOptions options{
      .model = "m", .max_tokens = 100, .price = TokenPrice{.input = 1.0, .output = 10.0}, .budget = 0.01};
  int first = 0;
  for (int run = 0; run < 2; ++run) {
    RecordLog log(folder / "judge.jsonl");
    Judge asked(&judge, options, log);
    asked.ask(requests_for(asked, 50), silent_progress());
    if (run == 0) first = judge.calls;
  }
  EXPECT_GT(first, 0);
  EXPECT_EQ(judge.calls, first);
}

TEST(JudgeTest, StopsWhenTheServerIsGoneAndLosesNothing) {
  const test::TemporaryFolder folder;
  const auto script = [](int fail_from) {
    return [=](const std::string&, int call, const DecodingOptions&) {
      if (call >= fail_from) throw EndpointError(EndpointFailure::kUnavailable, {"gone", {}, {}, {}, {}});
      return reply(test::verdict("A"));
    };
  };
  {
    RecordLog log(folder / "judge.jsonl");
    ScriptedJudge judge(script(4));
    Judge asked(&judge, {.model = "m"}, log);
    EXPECT_THROW(asked.ask(requests_for(asked, 20), silent_progress()), EndpointError);
    EXPECT_EQ(judge.calls, 7) << "three failures in a row";
  }
  RecordLog log(folder / "judge.jsonl");
  ScriptedJudge judge(script(1000));
  Judge asked(&judge, {.model = "m"}, log);
  asked.ask(requests_for(asked, 20), silent_progress());
  EXPECT_EQ(judge.calls, 16);
  EXPECT_EQ(asked.ledger(requests_for(asked, 20)).valid, 20);
}

TEST(JudgeTest, OneRefusedRequestIsLeftAndTheOthersGoOn) {
  ScriptedJudge judge([](const std::string& question, int, const DecodingOptions&) {
    if (question.find("\n7\n") != std::string::npos)
      throw EndpointError(EndpointFailure::kRefused, {"filtered", {}, {}, {}, {}});
    return reply(test::verdict("A"));
  });
  RecordLog log;
  Judge asked(&judge, {.model = "m"}, log);
  const auto requests = requests_for(asked, 20);
  asked.ask(requests, silent_progress());
  EXPECT_EQ(asked.ledger(requests).missing, 1);
  EXPECT_EQ(asked.ledger(requests).failures, 1);
}

TEST(JudgeTest, RecordedRepliesNeedNoJudge) {
  RecordLog log;
  Judge judge(nullptr, {.model = "m"}, log);
  const auto requests = requests_for(judge, 2);
  judge.add_recorded({{{"key", requests[0].key}, {"reply", test::verdict("tie")}}});
  judge.ask(requests, silent_progress());
  EXPECT_EQ(judge.reply_to(requests[0])->preference, Preference::kTie);
  EXPECT_FALSE(judge.reply_to(requests[1]));
  EXPECT_TRUE(judge.is_open(requests[1]));
  EXPECT_THROW(judge.add_recorded({{{"key", "x"}}}), Error);
}

TEST(RecordLogTest, ACutLineIsRemovedAndABrokenOneIsRefused) {
  const test::TemporaryFolder folder;
  const auto path = folder / "log.jsonl";
  { RecordLog(path).append({{"a", 1}}); }
  std::ofstream(path, std::ios::app) << "{\"a\": 2, \"b";
  {
    RecordLog log(path);
    ASSERT_EQ(log.earlier().size(), 1u);
    log.append({{"a", 3}});
    EXPECT_THROW(RecordLog second(path), Error) << "one process at a time";
  }
  EXPECT_EQ(RecordLog(path).earlier().size(), 2u);
  std::ofstream(path, std::ios::app) << "nonsense\n{}\n";
  EXPECT_THROW(RecordLog log(path), Error);
}

TEST(TokenPriceTest, CountsCachedInputAtItsOwnPrice) {
  const TokenUsage usage{.calls = 1, .input = 3'000'000, .cached_input = 1'000'000, .output = 500'000};
  EXPECT_DOUBLE_EQ(cost_of(usage, {.input = 2.0, .output = 8.0}), 3 * 2.0 + 0.5 * 8.0);
  EXPECT_DOUBLE_EQ(cost_of(usage, {.input = 2.0, .output = 8.0, .cached_input = 0.5}), 2 * 2.0 + 0.5 + 4.0);
  // The seed's own bill: 14 prompts for $0.0006 at $0.05 and $0.40 a million.
  EXPECT_NEAR(cost_of({.calls = 14, .input = 14 * 450, .output = 14 * 50}, {.input = 0.05, .output = 0.40}),
              0.0006, 0.00001);
}

TEST(TokenPriceTest, ReadsYamlAndJson) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "p.yaml")
      << "version: '2025-08'\ncurrency: EUR\nmodels:\n  m-1: {input: 0.05, cached_input: "
         "0.005, output: 0.4}\n";
  std::ofstream(folder / "p.json")
      << R"({"models": {"m-1": {"input": 0.05, "output": 0.4}, "bad": {"input": -1}}})";
  const TokenPrice price = read_token_price(folder / "p.yaml", "m-1");
  EXPECT_EQ(price.currency, "EUR");
  EXPECT_EQ(price.version, "2025-08");
  EXPECT_DOUBLE_EQ(*price.cached_input, 0.005);
  EXPECT_DOUBLE_EQ(read_token_price(folder / "p.json", "m-1").output, 0.4);
  EXPECT_THROW(read_token_price(folder / "p.json", "bad"), Error);
  EXPECT_THROW(read_token_price(folder / "p.json", "other"), Error);
}

}  // namespace
}  // namespace assay
