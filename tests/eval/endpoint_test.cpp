#include "eval/endpoint.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "support/judge_server.hpp"

namespace assay {
namespace {

using nlohmann::json;

const Question kQuestion{.messages = {{"system", "be brief"}, {"user", "how much is 2 + 2?"}}};

EndpointOptions options_for(const test::MockServer& server) {
  return {.url = server.url() + "/v1", .model = "judge-1", .http = {.retries = 2, .first_wait = 0.001}};
}

EndpointFailure failure_of(EndpointRespondent& respondent) {
  try {
    respondent.answer(kQuestion, {});
  } catch (const EndpointError& error) {
    return error.failure;
  }
  ADD_FAILURE() << "an answer was given";
  return {};
}

TEST(EndpointTest, AsksAsTheApiSaysAndReadsTextAndUsage) {
  json asked;
  std::string path, key;
  test::MockServer server([&](const httplib::Request& request, httplib::Response& response) {
    asked = json::parse(request.body);
    path = request.path;
    key = request.get_header_value("Authorization");
    response.set_content(test::completion("four", "length", 40, 12).dump(), "application/json");
  });
  EndpointOptions options = options_for(server);
  options.api_key = "sk-1";
  options.json_reply = true;
  EndpointRespondent respondent(options);
  const Answer answer = respondent.answer(
      kQuestion,
      {.max_tokens = 7, .temperature = 0.5, .top_p = 0.9, .seed = 3, .stop = {"\n"}, .thinking = false});
  EXPECT_EQ(path, "/v1/chat/completions");
  EXPECT_EQ(key, "Bearer sk-1");
  EXPECT_EQ(asked["model"], "judge-1");
  EXPECT_EQ(asked["messages"][0], (json{{"role", "system"}, {"content", "be brief"}}));
  EXPECT_EQ(asked["max_tokens"], 7);
  EXPECT_EQ(asked["temperature"], 0.5);
  EXPECT_EQ(asked["top_p"], 0.9);
  EXPECT_EQ(asked["seed"], 3);
  EXPECT_EQ(asked["stop"], json::array({"\n"}));
  EXPECT_EQ(asked["chat_template_kwargs"]["enable_thinking"], false);
  EXPECT_EQ(asked["response_format"]["type"], "json_object");
  EXPECT_EQ(answer.text, "four");
  EXPECT_EQ(answer.finish_reason, "length");
  EXPECT_EQ(answer.prompt_tokens, 40);
  EXPECT_EQ(answer.cached_tokens, 20);
  EXPECT_EQ(answer.answer_tokens, 12);
  EXPECT_EQ(answer.reasoning_tokens, 3);
  EXPECT_TRUE(answer.usage_known);
  EXPECT_GT(answer.decode_seconds, 0.0);
}

TEST(EndpointTest, NoUsageIsNotZeroUsage) {
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    json reply = test::completion("four");
    reply.erase("usage");
    response.set_content(reply.dump(), "application/json");
  });
  EndpointRespondent respondent(options_for(server));
  EXPECT_FALSE(respondent.answer(kQuestion, {}).usage_known);
}

TEST(EndpointTest, SurvivesLimitsAndFaults) {
  std::atomic<int> calls = 0;
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    const int call = calls++;
    response.status = call == 0 ? 429 : call == 1 ? 503 : 200;
    if (call == 0) response.set_header("Retry-After", "0");
    if (call == 2) response.set_content(test::completion("four").dump(), "application/json");
  });
  EndpointRespondent respondent(options_for(server));
  EXPECT_EQ(respondent.answer(kQuestion, {}).text, "four");
  EXPECT_EQ(respondent.retries(), 2);
}

TEST(EndpointTest, ToldFailuresApart) {
  std::atomic<int> status = 200;
  std::string body = "no completion";
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    response.status = status;
    response.set_content(body, "application/json");
  });
  EndpointRespondent respondent(options_for(server));
  for (const char* nonsense :
       {"no completion", "{}", "{\"choices\": []}", "{\"choices\": [{\"message\": 7}]}", "[]"}) {
    body = nonsense;
    EXPECT_EQ(failure_of(respondent), EndpointFailure::kNonsense) << nonsense;
  }
  status = 401;
  EXPECT_EQ(failure_of(respondent), EndpointFailure::kUnauthorized);
  status = 404;
  EXPECT_EQ(failure_of(respondent), EndpointFailure::kRefused);
  status = 500;
  EXPECT_EQ(failure_of(respondent), EndpointFailure::kUnavailable);
}

TEST(EndpointTest, TheKeyIsTakenOutOfWhateverComesBack) {
  std::atomic<int> status = 200;
  const std::string key = "sk-very-secret-0123456789";
  test::MockServer server([&](const httplib::Request& request, httplib::Response& response) {
    response.status = status;
    const std::string echo = "you sent " + request.get_header_value("Authorization");
    response.set_content(
        status == 200 ? test::completion(echo).dump() : json{{"error", {{"message", echo}}}}.dump(),
        "application/json");
  });
  EndpointOptions options = options_for(server);
  options.api_key = key;
  EndpointRespondent respondent(options);
  EXPECT_EQ(respondent.answer(kQuestion, {}).text, "you sent Bearer [key]");
  for (const int refusal : {400, 401, 500}) {
    status = refusal;
    try {
      respondent.answer(kQuestion, {});
      ADD_FAILURE();
    } catch (const EndpointError& error) {
      EXPECT_EQ(std::string(error.what()).find(key), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("you sent"), std::string::npos) << error.what();
    }
  }
}

/// A server that refuses `word` by name, as OpenAI's newer models do.
test::MockServer::Handler refusing(const std::string& word, const std::string& complaint) {
  return [=](const httplib::Request& request, httplib::Response& response) {
    const bool refused = json::parse(request.body).contains(word);
    response.status = refused ? 400 : 200;
    response.set_content(
        refused ? json{{"error", {{"message", complaint}}}}.dump() : test::completion("fine").dump(),
        "application/json");
  };
}

TEST(EndpointTest, TheLimitHasTwoNamesThatMeanTheSame) {
  test::MockServer server(
      refusing("max_tokens", "Unsupported parameter: use 'max_completion_tokens' instead."));
  EndpointRespondent respondent(options_for(server));
  EXPECT_EQ(respondent.answer(kQuestion, {}).text, "fine");
}

TEST(EndpointTest, AParameterThatChangesTheAnswerIsDroppedOnlyWhenAllowed) {
  test::MockServer server(refusing("temperature", "'temperature' does not support 0 with this model."));
  EndpointRespondent strict(options_for(server));
  EXPECT_EQ(failure_of(strict), EndpointFailure::kRefused);
  EndpointOptions options = options_for(server);
  options.may_drop_parameters = true;
  EndpointRespondent lenient(options);
  EXPECT_EQ(lenient.answer(kQuestion, {}).text, "fine");
}

TEST(EndpointTest, AddressesAndKeys) {
  EXPECT_EQ(chat_completions_url("http://h:1"), "http://h:1/v1/chat/completions");
  EXPECT_EQ(chat_completions_url("https://h/v1/"), "https://h/v1/chat/completions");
  EXPECT_EQ(chat_completions_url("https://h/x/chat/completions"), "https://h/x/chat/completions");
  EXPECT_THROW(chat_completions_url("ftp://h"), Error);
  EXPECT_FALSE(parse_endpoint_address("out/mlx-4bit"));
  EXPECT_EQ(parse_endpoint_address("https://h/v1#m:4b")->model, "m:4b");
  EXPECT_THROW(parse_endpoint_address("https://h/v1"), UsageError);
  setenv("ASSAY_TEST_KEY", "abc\n", 1);
  EXPECT_EQ(read_api_key("ASSAY_TEST_KEY"), "abc");
  unsetenv("ASSAY_TEST_KEY");
  EXPECT_EQ(read_api_key("ASSAY_TEST_KEY"), "");
  unsetenv("OPENAI_API_KEY");
  setenv("OPEN_AI_KEY", "old", 1);
  EXPECT_EQ(read_api_key("OPENAI_API_KEY"), "old");
  unsetenv("OPEN_AI_KEY");
}

}  // namespace
}  // namespace assay
