#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// One request over http or https. Headers may hold secrets: they appear in no message of this client.
struct HttpRequest {
  std::string url;
  std::string method = "GET";          ///< "GET", "HEAD" or "POST"
  std::vector<std::string> headers{};  ///< "Name: value"
  std::string body{};                  ///< of a POST
};

struct HttpOptions {
  double connect_seconds = 10.0;
  double total_seconds = 300.0;  ///< one attempt, from its first byte sent to its last one received
  size_t max_reply_bytes = size_t{64} << 20;
  int max_redirects = 0;               ///< a redirect beyond them is a reply like any other
  int retries = 6;                     ///< attempts after the first one
  double first_wait = 1.0;             ///< seconds before the first retry; doubled at each further one
  double longest_wait = 120.0;         ///< seconds; a server that asks for more is given up
  std::function<void(double)> wait{};  ///< sleeps for so many seconds; empty: really sleeps
};

struct HttpReply {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers{};  ///< names in lower case; of the last reply of a redirect
  int attempts = 1;
};

/// Sends requests one after another or from many threads at once, and keeps connections open between them.
/// Tried again, with exponential back-off: connections that fail or break or stall, and the answers 408, 429
/// and 5xx, for which the server's Retry-After (seconds or a date) counts where it is longer.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The reply, whatever its status, once the retries are used up. Throws Error when there is none (unknown
  /// host, refused, timeout, certificate) and when the reply is larger than allowed.
  HttpReply send(const HttpRequest& request);

 private:
  struct Connections;
  HttpReply attempt(const HttpRequest& request, double& retry_after);

  HttpOptions options_;
  std::unique_ptr<Connections> connections_;
};

/// The address without user, password, query and fragment: what messages and files may show of it.
std::string shown_url(std::string_view url);
/// Whether the address names this machine itself: localhost, 127.0.0.0/8 or [::1].
bool is_loopback_url(std::string_view url);

}  // namespace assay
