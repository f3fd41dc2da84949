#include "engine/generate.hpp"

#include <algorithm>
#include <bit>

#include "base/error.hpp"
#include "engine/stopwatch.hpp"

namespace assay {
namespace {

/// Holds back text that may turn out to be the beginning of a stop text.
class StopFilter {
 public:
  StopFilter(const std::vector<std::string>& stops, const std::function<void(std::string_view)>& on_text,
             std::string& out)
      : stops_(stops), on_text_(on_text), out_(out) {}

  /// True when a stop text is complete; what precedes it has been released.
  bool push(std::string_view text) {
    pending_ += text;
    size_t stop_at = std::string::npos;
    for (const std::string& stop : stops_) stop_at = std::min(stop_at, pending_.find(stop));
    if (stop_at != std::string::npos) {
      release(stop_at);
      pending_.clear();
      return true;
    }
    release(pending_.size() - longest_possible_start());
    return false;
  }
  void flush() { release(pending_.size()); }

 private:
  /// Length of the longest end of `pending_` that begins some stop text.
  size_t longest_possible_start() const {
    size_t longest = 0;
    for (const std::string& stop : stops_) {
      for (size_t n = std::min(stop.size() - 1, pending_.size()); n > longest; --n) {
        if (pending_.ends_with(std::string_view(stop).substr(0, n))) longest = n;
      }
    }
    return longest;
  }
  void release(size_t bytes) {
    if (bytes == 0) return;
    const std::string_view text = std::string_view(pending_).substr(0, bytes);
    if (on_text_) on_text_(text);
    out_ += text;
    pending_.erase(0, bytes);
  }

  const std::vector<std::string>& stops_;
  const std::function<void(std::string_view)>& on_text_;
  std::string& out_;
  std::string pending_;
};

int64_t context_for(const LanguageModel& model, int64_t prompt_tokens, const GenerateOptions& options) {
  const int64_t limit = model.config().max_context;
  const int64_t wanted = options.context > 0 ? options.context : prompt_tokens + options.max_tokens;
  if (options.context > limit)
    throw Error({"the model was not made for such a context",
                 {},
                 "at most " + std::to_string(limit),
                 std::to_string(options.context),
                 {}});
  return std::min(wanted, limit);
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) noexcept {
  return reason == FinishReason::kEndToken || reason == FinishReason::kStopText ? "stop" : "length";
}

double Generation::prefill_tokens_per_second() const noexcept {
  return prefill_seconds > 0 ? static_cast<double>(prompt_tokens) / prefill_seconds : 0.0;
}

double Generation::decode_tokens_per_second() const noexcept {
  return decode_seconds > 0 && tokens.size() > 1 ? static_cast<double>(tokens.size() - 1) / decode_seconds
                                                 : 0.0;
}

uint64_t hash_logits(std::span<const float> logits) noexcept {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const float value : logits) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 255u)) * 0x100000001b3u;
  }
  return hash;
}

Generation generate(LanguageModel& model, std::span<const TokenId> prompt, const GenerateOptions& options,
                    const std::function<void(std::string_view)>& on_text) {
  Generation result;
  result.prompt_tokens = static_cast<int64_t>(prompt.size());
  for (const std::string& stop : options.stop) {
    if (stop.empty()) throw UsageError("an empty stop text would stop everything");
  }
  Decoder& decoder = model.decoder();
  KvCache cache = decoder.make_cache(context_for(model, result.prompt_tokens, options));
  Sampler sampler(options.sampling);
  StreamDecoder stream(model.tokenizer());
  StopFilter filter(options.stop, on_text, result.text);
  std::vector<TokenId> history(prompt.begin(), prompt.end());

  const Stopwatch prefill;
  std::span<const float> logits = decoder.forward(prompt, cache);
  result.prefill_seconds = prefill.seconds();
  const Stopwatch decode;
  while (true) {
    if (static_cast<int64_t>(result.tokens.size()) >= options.max_tokens) break;
    const TokenId id = sampler.choose(logits, history);
    result.tokens.push_back(id);
    history.push_back(id);
    if (std::binary_search(model.end_ids().begin(), model.end_ids().end(), id)) {
      result.finish = FinishReason::kEndToken;
      break;
    }
    if (filter.push(stream.push(id))) {
      result.finish = FinishReason::kStopText;
      break;
    }
    if (static_cast<int64_t>(result.tokens.size()) >= options.max_tokens) break;
    if (cache.length() >= cache.max_positions()) {
      result.finish = FinishReason::kContextFull;
      break;
    }
    logits = decoder.forward({&id, 1}, cache);
  }
  result.decode_seconds = decode.seconds();
  result.logits_hash = hash_logits(logits);
  result.kv_bytes = cache.bytes();
  if (result.finish != FinishReason::kStopText && !filter.push(stream.flush())) filter.flush();
  return result;
}

}  // namespace assay
