#pragma once
#include <atomic>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "eval/respondent.hpp"
#include "io/http_client.hpp"

namespace assay {

/// Where an OpenAI-compatible server answers, and how it is asked.
struct EndpointOptions {
  std::string url;  ///< "https://host/v1", or the whole address of its chat/completions
  std::string model;
  std::string api_key{};             ///< sent as a bearer token where not empty; never stored or shown
  bool json_reply = false;           ///< ask for a JSON object (response_format)
  bool default_sampling = false;     ///< send no temperature, as models demand that know only their own
  bool may_drop_parameters = false;  ///< ask again without a parameter the server refuses by its name
  HttpOptions http{};
};

/// Why an endpoint gave no answer.
enum class EndpointFailure : uint8_t {
  kUnauthorized,  ///< 401, 403: the key
  kRefused,       ///< any other 4xx: this request will not succeed
  kUnavailable,   ///< no connection, 408, 429 or 5xx after every retry
  kNonsense,      ///< success, with a body that is no chat completion
};

class EndpointError : public Error {
 public:
  EndpointError(EndpointFailure kind, Fault fault) : Error(std::move(fault)), failure(kind) {}
  const EndpointFailure failure;
};

/// Somebody's server as a respondent: POST …/chat/completions of the OpenAI API. A raw question is sent as
/// one message of the user. Safe to call from several threads. The key is taken out of everything that the
/// server returns. Source: platform.openai.com/docs/api-reference/chat; chat_template_kwargs (thinking) as
/// vLLM and llama-server read it.
class EndpointRespondent : public Respondent {
 public:
  explicit EndpointRespondent(EndpointOptions options);
  /// Throws EndpointError.
  Answer answer(const Question& question, const DecodingOptions& options) override;

  /// Retries after rate limits and lost connections so far.
  int64_t retries() const noexcept { return retries_; }

 private:
  nlohmann::ordered_json body(const Question& question, const DecodingOptions& options) const;
  bool drop_refused_parameter(std::string_view complaint);
  std::string without_key(std::string text) const;

  EndpointOptions options_;
  std::string address_;
  HttpClient client_;
  std::atomic<int64_t> retries_ = 0;
  std::atomic<bool> new_limit_name_ = false;  ///< max_completion_tokens instead of max_tokens
  std::atomic<bool> plain_reply_ = false, plain_sampling_ = false;
};

/// The address of chat completions: `url` itself where it ends so, else below it; "/v1" where it names only
/// a host. Throws Error for what is no http(s) address.
std::string chat_completions_url(const std::string& url);

/// The key in the environment variable `name`. Where the name is OPENAI_API_KEY and unset, OPEN_AI_KEY is
/// read too. Empty when there is none.
std::string read_api_key(const std::string& name);

/// "https://host/v1#model" as its two parts; nothing for anything else, such as a path.
struct EndpointAddress {
  std::string url, model;
};
std::optional<EndpointAddress> parse_endpoint_address(std::string_view text);

}  // namespace assay
