#include "eval/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "eval/endpoint.hpp"
#include "eval/judge_answers.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostFailuresInARow = 3;

size_t bytes_of(const Question& question) {
  size_t bytes = question.raw.size();
  for (const ChatMessage& message : question.messages) bytes += message.role.size() + message.content.size();
  return bytes;
}

/// The verdict or scores of an attempt; nothing, and why, where there is none to be used.
std::optional<JudgeReply> read_reply(JudgeMode mode, const std::string& text,
                                     const std::string& finish_reason, std::string& fault) {
  if (finish_reason == "length") {
    fault = "cut by its limit of tokens";
    return std::nullopt;
  }
  JudgeReply reply;
  if (mode == JudgeMode::kPairwise) {
    const auto preference = parse_pairwise_reply(text, fault);
    if (!preference) return std::nullopt;
    reply.preference = *preference;
  } else {
    auto scores = parse_pointwise_reply(text, fault);
    if (!scores) return std::nullopt;
    reply.scores = std::move(*scores);
  }
  return reply;
}

}  // namespace

/// What the threads of one ask() share.
struct Judge::Crew {
  std::atomic<bool> stop = false;
  std::exception_ptr fault{};
};

Judge::Judge(Respondent* respondent, JudgeOptions options, RecordLog& log)
    : respondent_(respondent), options_(std::move(options)), log_(log) {
  if (options_.budget && !options_.price)
    throw UsageError("a budget needs prices: --price-input and --price-output, or --prices");
  add_recorded(log.earlier());
}

void Judge::add_recorded(const std::vector<Json>& records) {
  for (const Json& record : records) {
    try {
      Attempt attempt{
          .text = record.at("reply"), .finish_reason = record.value("finish_reason", "stop"), .usage = {}};
      if (const auto usage = record.find("usage"); usage != record.end())
        attempt.usage = {.calls = 1,
                         .input = usage->value("input_tokens", int64_t{0}),
                         .cached_input = usage->value("cached_input_tokens", int64_t{0}),
                         .output = usage->value("output_tokens", int64_t{0}),
                         .reasoning = usage->value("reasoning_tokens", int64_t{0}),
                         .estimated = usage->value("calls_estimated_from_bytes", int64_t{0})};
      attempts_[record.at("key")].push_back(std::move(attempt));
    } catch (const Json::exception& fault) {
      throw Error({"a recorded reply cannot be read", {}, "members \"key\" and \"reply\"", fault.what(), {}});
    }
  }
}

JudgeRequest Judge::make_request(JudgeMode mode, Question question, int order, uint64_t repeat,
                                 Json about) const {
  Json document = {options_.model, template_sha256(mode), order, repeat,
                   options_.temperature ? Json(*options_.temperature) : Json()};
  for (const ChatMessage& message : question.messages) document.push_back({message.role, message.content});
  const std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {.key = sha256_of_text(text),
          .mode = mode,
          .question = std::move(question),
          .repeat = repeat,
          .about = std::move(about)};
}

std::vector<Judge::Attempt> Judge::attempts_at(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = attempts_.find(key);
  return found == attempts_.end() ? std::vector<Attempt>() : found->second;
}

std::optional<JudgeReply> Judge::reply_to(const JudgeRequest& request) const {
  std::string fault;
  for (const Attempt& attempt : attempts_at(request.key))
    if (auto reply = read_reply(request.mode, attempt.text, attempt.finish_reason, fault)) return reply;
  return std::nullopt;
}

bool Judge::is_open(const JudgeRequest& request) const {
  return !reply_to(request) && attempts_at(request.key).size() < static_cast<size_t>(options_.attempts);
}

bool Judge::reserve(double worst) {
  const std::lock_guard lock(mutex_);
  if (options_.budget && spent_ + reserved_ + worst > *options_.budget) {
    stopped_by_budget_ = true;
    return false;
  }
  reserved_ += worst;
  return true;
}

void Judge::settle(double worst, double actual) {
  const std::lock_guard lock(mutex_);
  reserved_ -= worst;
  spent_ += actual;
}

void Judge::keep(const JudgeRequest& request, size_t attempt, Answer answer, int64_t limit) {
  std::string fault;
  answer.text = valid_utf8(answer.text);
  const bool valid = read_reply(request.mode, answer.text, answer.finish_reason, fault).has_value();
  const TokenUsage usage = usage_of(answer, bytes_of(request.question));
  log_.append({{"key", request.key},
               {"judge", options_.model},
               {"mode", judge_mode_name(request.mode)},
               {"about", request.about},
               {"repeat", request.repeat},
               {"attempt", attempt},
               {"max_tokens", limit},
               {"valid", valid},
               {"fault", fault},
               {"finish_reason", answer.finish_reason},
               {"reply", answer.text},
               {"usage", to_json(usage)},
               {"seconds", answer.prefill_seconds + answer.decode_seconds}});
  const std::lock_guard lock(mutex_);
  attempts_[request.key].push_back({answer.text, answer.finish_reason, usage});
  failures_in_a_row_ = 0;
}

/// One call. False where the request is to be left for another time.
bool Judge::call(const JudgeRequest& request, size_t attempt, int64_t limit, Crew& crew) {
  const TokenPrice price = options_.price.value_or(TokenPrice{});
  const TokenUsage most{
      .calls = 1, .input = static_cast<int64_t>(bytes_of(request.question)), .output = limit};
  const double worst = cost_of(most, price);
  if (!reserve(worst)) {
    crew.stop = true;
    return false;
  }
  const DecodingOptions decoding{.max_tokens = limit,
                                 .temperature = options_.temperature.value_or(0.0),
                                 .seed = request.repeat * static_cast<uint64_t>(options_.attempts) + attempt,
                                 .thinking = options_.thinking};
  Answer answer;
  try {
    answer = respondent_->answer(request.question, decoding);
  } catch (const EndpointError& error) {
    settle(worst, 0.0);
    if (error.failure == EndpointFailure::kUnauthorized) throw;
    if (error.failure != EndpointFailure::kNonsense) {
      const std::lock_guard lock(mutex_);
      ++failures_;
      if (++failures_in_a_row_ >= kMostFailuresInARow) throw;
      return false;
    }
    answer = {.text = "", .finish_reason = "no chat completion", .usage_known = false};
    keep(request, attempt, answer, limit);
    return true;
  } catch (...) {
    settle(worst, 0.0);
    throw;
  }
  settle(worst, cost_of(usage_of(answer, bytes_of(request.question)), price));
  keep(request, attempt, answer, limit);
  return true;
}

void Judge::pursue(const JudgeRequest& request, Crew& crew) {
  while (!crew.stop && is_open(request)) {
    const std::vector<Attempt> earlier = attempts_at(request.key);
    const auto cut = std::count_if(earlier.begin(), earlier.end(),
                                   [](const Attempt& attempt) { return attempt.finish_reason == "length"; });
    if (!call(request, earlier.size(), options_.max_tokens << std::min<int64_t>(cut, 8), crew)) return;
  }
}

void Judge::ask(std::span<const JudgeRequest> requests, Progress& progress) {
  std::vector<const JudgeRequest*> open;
  for (const JudgeRequest& request : requests) {
    if (!asked_keys_.emplace(request.key, asked_.size()).second) continue;
    asked_.push_back(request);
    for (const Attempt& attempt : attempts_at(request.key))
      spent_ += cost_of(attempt.usage, options_.price.value_or(TokenPrice{}));
    if (is_open(request)) open.push_back(&request);
  }
  if (respondent_ == nullptr || open.empty()) return;
  progress.begin("judge", open.size(), "verdict");
  Crew crew;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < open.size() && !crew.stop; i = next++) {
      try {
        pursue(*open[i], crew);
        const std::lock_guard lock(mutex_);
        progress.advance(1);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!crew.fault) crew.fault = std::current_exception();
        crew.stop = true;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < std::min<int>(options_.parallel, static_cast<int>(open.size())); ++i)
    threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  progress.end();
  if (crew.fault) std::rethrow_exception(crew.fault);
}

JudgeLedger Judge::ledger(std::span<const JudgeRequest> requests) const {
  JudgeLedger ledger;
  std::map<std::string, bool> seen;
  for (const JudgeRequest& request : requests) {
    if (!seen.emplace(request.key, true).second) continue;
    const bool valid = reply_to(request).has_value();
    const std::vector<Attempt> attempts = attempts_at(request.key);
    for (const Attempt& attempt : attempts) ledger.usage.add(attempt.usage);
    ++ledger.requests;
    ledger.valid += valid ? 1 : 0;
    ledger.missing += valid ? 0 : 1;
    ledger.invalid_replies += static_cast<int64_t>(attempts.size()) - (valid ? 1 : 0);
  }
  const std::lock_guard lock(mutex_);
  ledger.failures = failures_;
  ledger.stopped_by_budget = stopped_by_budget_;
  ledger.price = options_.price;
  if (options_.price) ledger.cost = cost_of(ledger.usage, *options_.price);
  return ledger;
}

Json Judge::settings(JudgeMode mode) const {
  return {{"judge_model", options_.model},
          {"template_sha256", template_sha256(mode)},
          {"judge_temperature", options_.temperature ? Json(*options_.temperature) : Json("the model's own")},
          {"attempts", options_.attempts}};
}

Json to_json(const JudgeLedger& ledger) {
  Json json = to_json(ledger.usage);
  json["requests"] = ledger.requests;
  json["valid"] = ledger.valid;
  json["invalid_replies"] = ledger.invalid_replies;
  json["missing"] = ledger.missing;
  json["stopped_by_budget"] = ledger.stopped_by_budget;
  json["cost"] = ledger.cost ? Json(*ledger.cost) : Json();
  json["cost_per_verdict"] =
      ledger.cost && ledger.valid > 0 ? Json(*ledger.cost / static_cast<double>(ledger.valid)) : Json();
  json["price"] = ledger.price ? to_json(*ledger.price) : Json();
  return json;
}

}  // namespace assay
