#include "io/http_client.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.hpp"
#include "support/mock_server.hpp"

namespace assay {
namespace {

/// Sleeps are written down instead of slept.
struct Waits {
  std::vector<double> seconds;
  HttpOptions options(HttpOptions from = {}) {
    from.wait = [this](double time) { seconds.push_back(time); };
    return from;
  }
};

std::string error_of(HttpClient& client, const HttpRequest& request) {
  try {
    client.send(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(HttpClientTest, SendsBodyAndHeadersAndReadsThem) {
  test::MockServer server([](const httplib::Request& request, httplib::Response& response) {
    response.status = 201;
    response.set_header("X-Seen", request.get_header_value("X-Asked"));
    response.set_content(request.method + " " + request.path + " " + request.body, "text/plain");
  });
  HttpClient client;
  const HttpReply posted =
      client.send({.url = server.url() + "/a/b", .method = "POST", .headers = {"X-Asked: 7"}, .body = "{}"});
  EXPECT_EQ(posted.status, 201);
  EXPECT_EQ(posted.body, "POST /a/b {}");
  EXPECT_EQ(posted.headers.at("x-seen"), "7");
  EXPECT_EQ(posted.attempts, 1);
  EXPECT_EQ(client.send({.url = server.url() + "/c"}).body, "GET /c ");
}

TEST(HttpClientTest, WaitsAsLongAsTheServerAsks) {
  std::atomic<int> calls = 0;
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    response.status = calls++ == 0 ? 429 : 200;
    if (response.status == 429) response.set_header("Retry-After", "17");
    response.set_content("done", "text/plain");
  });
  Waits waits;
  HttpClient client(waits.options());
  const HttpReply reply = client.send({.url = server.url()});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.attempts, 2);
  ASSERT_EQ(waits.seconds.size(), 1u);
  EXPECT_DOUBLE_EQ(waits.seconds[0], 17.0);
}

TEST(HttpClientTest, GivesUpWhereTheServerAsksForTooMuch) {
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    response.status = 429;
    response.set_header("Retry-After", "86400");
  });
  Waits waits;
  HttpClient client(waits.options());
  EXPECT_EQ(client.send({.url = server.url()}).status, 429);
  EXPECT_TRUE(waits.seconds.empty());
}

TEST(HttpClientTest, BacksOffTwiceAsLongEachTime) {
  std::atomic<int> calls = 0;
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    ++calls;
    response.status = 500;
    response.set_content("broken", "text/plain");
  });
  Waits waits;
  HttpClient client(waits.options({.retries = 4, .first_wait = 1.0, .longest_wait = 5.0}));
  const HttpReply reply = client.send({.url = server.url()});
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(reply.body, "broken");
  EXPECT_EQ(calls, 5);
  ASSERT_EQ(waits.seconds.size(), 4u);
  const double expected[] = {1.0, 2.0, 4.0, 5.0};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_GE(waits.seconds[i], 0.75 * expected[i]);
    EXPECT_LE(waits.seconds[i], 1.25 * expected[i]);
  }
}

TEST(HttpClientTest, ARefusalIsNotAskedAgain) {
  std::atomic<int> calls = 0;
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    ++calls;
    response.status = 401;
  });
  Waits waits;
  HttpClient client(waits.options());
  EXPECT_EQ(client.send({.url = server.url()}).status, 401);
  EXPECT_EQ(calls, 1);
}

TEST(HttpClientTest, AStalledServerIsAskedAgain) {
  std::atomic<int> calls = 0;
  test::MockServer server([&](const httplib::Request&, httplib::Response& response) {
    if (calls++ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(600));
    response.set_content("late", "text/plain");
  });
  Waits waits;
  HttpClient client(waits.options({.total_seconds = 0.2}));
  const HttpReply reply = client.send({.url = server.url()});
  EXPECT_EQ(reply.body, "late");
  EXPECT_EQ(reply.attempts, 2);
}

TEST(HttpClientTest, NobodyThereIsAnErrorThatNamesTheAddressButNoSecret) {
  std::string address;
  {
    address = test::MockServer([](const auto&, auto&) {}).url();
  }
  Waits waits;
  HttpClient client(waits.options({.retries = 2}));
  const std::string where = "http://me:pass-word@" + address.substr(7) + "/v1?key=in-query";
  const std::string message =
      error_of(client, {.url = where, .headers = {"Authorization: Bearer in-header"}, .body = "in-body"});
  EXPECT_NE(message.find(address.substr(7) + "/v1"), std::string::npos) << message;
  EXPECT_NE(message.find("3 attempts"), std::string::npos) << message;
  for (const char* secret : {"pass-word", "in-query", "in-header", "in-body"})
    EXPECT_EQ(message.find(secret), std::string::npos) << message;
  EXPECT_EQ(waits.seconds.size(), 2u);
}

TEST(HttpClientTest, AReplyBeyondTheLimitIsRefused) {
  test::MockServer server([](const httplib::Request& request, httplib::Response& response) {
    response.set_content(std::string(request.path == "/fits" ? 1000 : 1001, 'x'), "text/plain");
  });
  HttpClient client({.max_reply_bytes = 1000, .retries = 0});
  EXPECT_EQ(client.send({.url = server.url() + "/fits"}).body.size(), 1000u);
  EXPECT_NE(error_of(client, {.url = server.url() + "/exceeds"}).find("too large"), std::string::npos);
}

TEST(HttpClientTest, OtherProtocolsAndBrokenHeadersAreRefused) {
  HttpClient client({.retries = 0});
  EXPECT_NE(error_of(client, {.url = "file:///etc/hostname"}), "no error");
  EXPECT_NE(error_of(client, {.url = "http://127.0.0.1:1/", .headers = {"A: b\r\nC: d"}}).find("line break"),
            std::string::npos);
}

TEST(HttpClientTest, ARedirectIsFollowedOnlyWhenAllowed) {
  test::MockServer server([](const httplib::Request& request, httplib::Response& response) {
    if (request.path == "/there") return response.set_content("here", "text/plain");
    response.set_redirect("/there");
  });
  EXPECT_EQ(HttpClient().send({.url = server.url()}).status, 302);
  EXPECT_EQ(HttpClient({.max_redirects = 1}).send({.url = server.url()}).body, "here");
}

TEST(HttpClientTest, ManyThreadsShareOneClient) {
  test::MockServer server([](const httplib::Request& request, httplib::Response& response) {
    response.set_content(request.body, "text/plain");
  });
  HttpClient client;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string body = std::to_string(t * 100 + i);
        right += client.send({.url = server.url(), .method = "POST", .body = body}).body == body ? 1 : 0;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 80);
}

TEST(HttpClientTest, KnowsThisMachine) {
  for (const char* url :
       {"http://localhost:8080/v1", "http://127.0.0.1", "https://u:p@127.0.1.1:1/x", "http://[::1]:8000/v1"})
    EXPECT_TRUE(is_loopback_url(url)) << url;
  for (const char* url : {"https://api.example.com/v1", "http://localhost.example.com",
                          "http://127.0.0.1.example.com", "http://example.com/@localhost", "no address"})
    EXPECT_FALSE(is_loopback_url(url)) << url;
  EXPECT_EQ(shown_url("https://u:p@h/v1?k=1#x"), "https://h/v1");
  EXPECT_EQ(shown_url("https://h/a@b"), "https://h/a@b");
}

}  // namespace
}  // namespace assay
