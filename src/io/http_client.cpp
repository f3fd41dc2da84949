#include "io/http_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>

#include "base/error.hpp"

namespace assay {
namespace {

/// A transfer that failed in a way that the next attempt may not.
struct BrokenTransfer {
  std::string cause;
};

using Easy = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

struct Receipt {
  HttpReply reply;
  size_t max_bytes = 0;
  bool too_large = false;
};

size_t receive_body(char* bytes, size_t, size_t count, void* target) {
  Receipt& receipt = *static_cast<Receipt*>(target);
  receipt.too_large = receipt.reply.body.size() + count > receipt.max_bytes;
  if (receipt.too_large) return 0;  // ends the transfer
  receipt.reply.body.append(bytes, count);
  return count;
}

size_t receive_header(char* bytes, size_t, size_t count, void* target) {
  auto& headers = static_cast<Receipt*>(target)->reply.headers;
  const std::string_view line(bytes, count);
  if (line.starts_with("HTTP/")) headers.clear();  // a redirect's are followed by another reply's
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  std::string_view value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  value.remove_suffix(value.size() - std::min(value.find_last_not_of(" \t\r\n") + 1, value.size()));
  headers[name] = value;
  return count;
}

/// Faults that no further attempt mends.
bool is_lasting(CURLcode code) {
  return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
         code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_NOT_BUILT_IN || code == CURLE_FAILED_INIT || code == CURLE_OUT_OF_MEMORY ||
         code == CURLE_TOO_MANY_REDIRECTS;
}

bool is_worth_retrying(int status) {
  return status == 408 || status == 429 || status >= 500;
}

template <typename T>
void set(CURL* curl, CURLoption option, T value) {
  if (const CURLcode code = curl_easy_setopt(curl, option, value); code != CURLE_OK)
    throw Error(fmt::format("cannot prepare a request: {}", curl_easy_strerror(code)));
}

long milliseconds(double seconds) {
  return static_cast<long>(std::max(1.0, seconds * 1000.0));
}

HeaderList make_headers(const std::vector<std::string>& headers) {
  HeaderList list(nullptr, curl_slist_free_all);
  for (const std::string& header : headers) {
    if (header.find_first_of("\r\n") != std::string::npos)
      throw Error({"a header holds a line break", header.substr(0, header.find(':')), {}, {}, {}});
    curl_slist* longer = curl_slist_append(list.get(), header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
  }
  return list;
}

void prepare(CURL* curl, const HttpRequest& request, const HttpOptions& options, curl_slist* headers,
             Receipt& receipt) {
  curl_easy_reset(curl);
  set(curl, CURLOPT_URL, request.url.c_str());
  set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  set(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(curl, CURLOPT_NOSIGNAL, 1L);
  set(curl, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_seconds));
  set(curl, CURLOPT_TIMEOUT_MS, milliseconds(options.total_seconds));
  set(curl, CURLOPT_FOLLOWLOCATION, options.max_redirects > 0 ? 1L : 0L);
  set(curl, CURLOPT_MAXREDIRS, static_cast<long>(options.max_redirects));
  set(curl, CURLOPT_USERAGENT, "assay");
  set(curl, CURLOPT_HTTPHEADER, headers);
  set(curl, CURLOPT_WRITEFUNCTION, &receive_body);
  set(curl, CURLOPT_WRITEDATA, static_cast<void*>(&receipt));
  set(curl, CURLOPT_HEADERFUNCTION, &receive_header);
  set(curl, CURLOPT_HEADERDATA, static_cast<void*>(&receipt));
  if (is_loopback_url(request.url)) set(curl, CURLOPT_NOPROXY, "*");
  if (request.method == "HEAD") set(curl, CURLOPT_NOBODY, 1L);
  if (request.method != "POST") return;
  set(curl, CURLOPT_POST, 1L);
  set(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  set(curl, CURLOPT_POSTFIELDS, request.body.c_str());
}

/// Up to a quarter more or less, so that many clients do not come back at the same moment.
double jitter(double seconds) {
  thread_local std::minstd_rand random(std::random_device{}());
  return seconds * std::uniform_real_distribution<double>(0.75, 1.25)(random);
}

}  // namespace

/// Handles at rest, each with its open connection.
struct HttpClient::Connections {
  std::mutex mutex;
  std::vector<Easy> idle;

  Easy take() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return {curl_easy_init(), curl_easy_cleanup};
    Easy handle = std::move(idle.back());
    idle.pop_back();
    return handle;
  }
  void put_back(Easy handle) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(handle));
  }
};

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), connections_(std::make_unique<Connections>()) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK)
    throw Error(fmt::format("cannot use the network: {}", curl_easy_strerror(started)));
  if (!options_.wait)
    options_.wait = [](double seconds) {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    };
}

HttpClient::~HttpClient() = default;

HttpReply HttpClient::attempt(const HttpRequest& request, double& retry_after) {
  Easy curl = connections_->take();
  if (!curl) throw std::bad_alloc();
  const HeaderList headers = make_headers(request.headers);
  Receipt receipt{.reply = {}, .max_bytes = options_.max_reply_bytes};
  prepare(curl.get(), request, options_, headers.get(), receipt);
  const CURLcode code = curl_easy_perform(curl.get());
  if (receipt.too_large)
    throw Error({"the reply is too large",
                 shown_url(request.url),
                 fmt::format("at most {} bytes", options_.max_reply_bytes),
                 {},
                 {}});
  if (code != CURLE_OK && is_lasting(code))
    throw Error({"no connection", shown_url(request.url), {}, {}, curl_easy_strerror(code)});
  if (code != CURLE_OK) throw BrokenTransfer{curl_easy_strerror(code)};
  long status = 0;
  curl_off_t wait = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &wait);
  retry_after = static_cast<double>(wait);
  receipt.reply.status = static_cast<int>(status);
  connections_->put_back(std::move(curl));
  return std::move(receipt.reply);
}

HttpReply HttpClient::send(const HttpRequest& request) {
  double back_off = options_.first_wait;
  for (int attempts = 1;; ++attempts, back_off *= 2.0) {
    const bool last = attempts > options_.retries;
    double asked = 0.0;
    try {
      HttpReply reply = attempt(request, asked);
      reply.attempts = attempts;
      if (last || !is_worth_retrying(reply.status) || asked > options_.longest_wait) return reply;
    } catch (const BrokenTransfer& broken) {
      if (last)
        throw Error({"no reply",
                     shown_url(request.url),
                     {},
                     fmt::format("{}, {} attempts", broken.cause, attempts),
                     "is the server running, and is its address right?"});
    }
    options_.wait(std::max(asked, jitter(std::min(back_off, options_.longest_wait))));
  }
}

std::string shown_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  const size_t host = scheme + 3, path = std::min(url.find('/', host), url.size());
  const size_t user = url.substr(host, path - host).rfind('@');
  if (user == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, host)).append(url.substr(host + user + 1));
}

bool is_loopback_url(std::string_view url) {
  const std::string shown = shown_url(url);
  const size_t scheme = shown.find("://");
  if (scheme == std::string::npos) return false;
  const std::string_view rest = std::string_view(shown).substr(scheme + 3);
  if (rest.starts_with("[")) return rest.starts_with("[::1]");
  const std::string_view host = rest.substr(0, rest.find_first_of(":/"));
  return host == "localhost" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

}  // namespace assay
