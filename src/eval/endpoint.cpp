#include "eval/endpoint.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
using ErrorHandler = Json::error_handler_t;

constexpr std::string_view kCompletions = "/chat/completions";

/// A member that is an object, or an empty one.
Json object_member(const Json& json, const char* name) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  return json.is_object() && found != json.end() && found->is_object() ? *found : Json::object();
}

int64_t count_member(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number() ? found->get<int64_t>() : 0;
}

/// Text of a message: a string, null (a model that only reasoned), or a list of parts.
std::string message_text(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return {};
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (content->is_array())
    for (const Json& part : *content)
      if (part.is_object() && part.contains("text") && part["text"].is_string())
        text += part["text"].get<std::string>();
  return text;
}

/// What a server says of its own refusal: error.message, error, or the first of its body.
std::string complaint_of(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  const Json error = object_member(json, "error");
  if (error.contains("message") && error["message"].is_string()) return error["message"].get<std::string>();
  if (json.is_object() && json.contains("error") && json["error"].is_string())
    return json["error"].get<std::string>();
  return body;
}

void read_usage(const Json& reply, Answer& answer) {
  const Json usage = object_member(reply, "usage");
  answer.usage_known = usage.contains("prompt_tokens") && usage.contains("completion_tokens");
  answer.prompt_tokens = count_member(usage, "prompt_tokens");
  answer.answer_tokens = count_member(usage, "completion_tokens");
  answer.cached_tokens = count_member(object_member(usage, "prompt_tokens_details"), "cached_tokens");
  answer.reasoning_tokens =
      count_member(object_member(usage, "completion_tokens_details"), "reasoning_tokens");
}

/// Nothing when the body is no chat completion.
std::optional<Answer> read_completion(const std::string& body) {
  const Json reply = Json::parse(body, nullptr, false);
  if (!reply.is_object() || !reply.contains("choices")) return std::nullopt;
  const Json& choices = reply["choices"];
  if (!choices.is_array() || choices.empty() || !choices[0].is_object()) return std::nullopt;
  const Json message = object_member(choices[0], "message");
  if (message.empty()) return std::nullopt;
  Answer answer{.text = message_text(message), .finish_reason = "stop"};
  const auto finish = choices[0].find("finish_reason");
  if (finish != choices[0].end() && finish->is_string()) answer.finish_reason = finish->get<std::string>();
  read_usage(reply, answer);
  return answer;
}

EndpointFailure failure_of(int status) {
  if (status == 401 || status == 403) return EndpointFailure::kUnauthorized;
  if (status == 408 || status == 429 || status >= 500) return EndpointFailure::kUnavailable;
  return EndpointFailure::kRefused;
}

std::string_view likely_cause(int status) {
  if (status == 401 || status == 403)
    return "is the key right? --api-key-env names the variable that holds it";
  if (status == 404) return "is there such a model, and does the address end before /chat/completions?";
  if (status == 429) return "a rate limit or an empty account";
  return {};
}

}  // namespace

EndpointRespondent::EndpointRespondent(EndpointOptions options)
    : options_(std::move(options)),
      address_(chat_completions_url(options_.url)),
      client_(options_.http),
      plain_sampling_(options_.default_sampling) {}

Json EndpointRespondent::body(const Question& question, const DecodingOptions& decoding) const {
  Json messages = Json::array();
  for (const ChatMessage& message : question.messages)
    messages.push_back({{"role", message.role}, {"content", message.content}});
  if (messages.empty()) messages.push_back({{"role", "user"}, {"content", question.raw}});
  Json body = {{"model", options_.model}, {"messages", messages}};
  body[new_limit_name_ ? "max_completion_tokens" : "max_tokens"] = decoding.max_tokens;
  if (!plain_sampling_) {
    body["temperature"] = decoding.temperature;
    if (decoding.top_p != 1.0) body["top_p"] = decoding.top_p;
    if (decoding.top_k > 0) body["top_k"] = decoding.top_k;
    if (decoding.temperature > 0.0) body["seed"] = decoding.seed;
  }
  if (!decoding.stop.empty()) body["stop"] = decoding.stop;
  if (decoding.thinking) body["chat_template_kwargs"] = {{"enable_thinking", *decoding.thinking}};
  if (options_.json_reply && !plain_reply_) body["response_format"] = {{"type", "json_object"}};
  return body;
}

/// Newer models know only max_completion_tokens, which means the same. Leaving out the others changes what
/// is asked: only with may_drop_parameters.
bool EndpointRespondent::drop_refused_parameter(std::string_view complaint) {
  const auto names = [&](std::string_view word) { return complaint.find(word) != std::string_view::npos; };
  if (names("max_completion_tokens") && !new_limit_name_.exchange(true)) return true;
  if (!options_.may_drop_parameters) return false;
  if (names("response_format") && options_.json_reply && !plain_reply_.exchange(true)) return true;
  return names("temperature") && !plain_sampling_.exchange(true);
}

std::string EndpointRespondent::without_key(std::string text) const {
  if (options_.api_key.empty()) return text;
  for (size_t at = text.find(options_.api_key); at != std::string::npos; at = text.find(options_.api_key, at))
    text.replace(at, options_.api_key.size(), "[key]");
  return text;
}

Answer EndpointRespondent::answer(const Question& question, const DecodingOptions& decoding) {
  HttpRequest request{.url = address_, .method = "POST", .headers = {"Content-Type: application/json"}};
  if (!options_.api_key.empty()) request.headers.push_back("Authorization: Bearer " + options_.api_key);
  for (;;) {
    request.body = body(question, decoding).dump(-1, ' ', false, ErrorHandler::replace);
    const auto begin = std::chrono::steady_clock::now();
    HttpReply reply;
    try {
      reply = client_.send(request);
    } catch (const Error& error) {
      throw EndpointError(EndpointFailure::kUnavailable, error.fault());
    }
    retries_ += reply.attempts - 1;
    const std::string text = without_key(std::move(reply.body));
    const std::string complaint = complaint_of(text).substr(0, 300);
    if (reply.status == 400 && drop_refused_parameter(complaint)) continue;
    if (reply.status < 200 || reply.status > 299)
      throw EndpointError(failure_of(reply.status), {"the endpoint refuses",
                                                     shown_url(address_),
                                                     {},
                                                     fmt::format("HTTP {}: {}", reply.status, complaint),
                                                     std::string(likely_cause(reply.status))});
    std::optional<Answer> answer = read_completion(text);
    if (!answer)
      throw EndpointError(EndpointFailure::kNonsense, {"the endpoint's reply is no chat completion",
                                                       shown_url(address_),
                                                       "an object with choices",
                                                       text.substr(0, 200),
                                                       {}});
    answer->decode_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return *answer;
  }
}

std::string chat_completions_url(const std::string& url) {
  const size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  if (scheme == 0 || url.size() == scheme)
    throw Error({"not an address", shown_url(url), "http:// or https:// and a host", {}, {}});
  std::string base = url;
  while (base.ends_with('/')) base.pop_back();
  if (base.ends_with(kCompletions)) return base;
  if (base.find('/', scheme) == std::string::npos) base += "/v1";
  return base + std::string(kCompletions);
}

std::string read_api_key(const std::string& name) {
  const auto value = [](const std::string& variable) {
    const char* found = std::getenv(variable.c_str());
    return std::string(found == nullptr ? "" : found);
  };
  std::string key = value(name);
  if (key.empty() && name == "OPENAI_API_KEY") key = value("OPEN_AI_KEY");
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' ')) key.pop_back();
  return key;
}

std::optional<EndpointAddress> parse_endpoint_address(std::string_view text) {
  if (!text.starts_with("http://") && !text.starts_with("https://")) return std::nullopt;
  const size_t hash = text.find('#');
  if (hash == std::string_view::npos || hash + 1 == text.size())
    throw UsageError(
        {"the endpoint's address names no model", shown_url(text), "https://host/v1#model", {}, {}});
  return EndpointAddress{std::string(text.substr(0, hash)), std::string(text.substr(hash + 1))};
}

}  // namespace assay
