#include "engine/continuation.hpp"

#include <algorithm>

#include "base/error.hpp"

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

}  // namespace

struct Continuation::State {
  const LanguageModel& model;
  GenerateOptions options;
  int64_t positions;
  std::function<void(std::string_view)> on_text;
  std::vector<TokenId> history;
  Generation result{};
  Sampler sampler{options.sampling};
  StreamDecoder stream{model.tokenizer()};
  StopFilter filter{options.stop, on_text, result.text};

  int64_t produced() const { return static_cast<int64_t>(result.tokens.size()); }

  /// Chooses and keeps a token; true when the answer goes on after it.
  bool choose(std::span<const float> logits) {
    if (produced() >= options.max_tokens) return false;
    const TokenId id = sampler.choose(logits, history);
    result.tokens.push_back(id);
    history.push_back(id);
    if (std::binary_search(model.end_ids().begin(), model.end_ids().end(), id)) {
      result.finish = FinishReason::kEndToken;
    } else if (filter.push(stream.push(id))) {
      result.finish = FinishReason::kStopText;
    } else if (produced() < options.max_tokens) {
      // The last token of an answer needs no position.
      if (static_cast<int64_t>(history.size()) <= positions) return true;
      result.finish = FinishReason::kContextFull;
    }
    return false;
  }
};

Continuation::Continuation(const LanguageModel& model, std::span<const TokenId> prompt,
                           const GenerateOptions& options, int64_t positions,
                           std::function<void(std::string_view)> on_text)
    : state_(new State{.model = model,
                       .options = options,
                       .positions = positions,
                       .on_text = std::move(on_text),
                       .history = {prompt.begin(), prompt.end()}}) {
  state_->result.prompt_tokens = static_cast<int64_t>(prompt.size());
}
Continuation::~Continuation() = default;
Continuation::Continuation(Continuation&&) noexcept = default;
Continuation& Continuation::operator=(Continuation&&) noexcept = default;

bool Continuation::push(std::span<const float> logits) {
  if (state_->choose(logits)) return true;
  state_->result.logits_hash = hash_logits(logits);
  return false;
}

TokenId Continuation::last() const noexcept {
  return state_->history.back();
}

std::span<const TokenId> Continuation::history() const noexcept {
  return state_->history;
}

int64_t Continuation::tokens_left() const noexcept {
  const int64_t by_positions = state_->positions + 1 - static_cast<int64_t>(state_->history.size());
  return std::min(state_->options.max_tokens - state_->produced(), by_positions);
}

Generation Continuation::take_result() {
  State& state = *state_;
  if (state.result.finish != FinishReason::kStopText && !state.filter.push(state.stream.flush()))
    state.filter.flush();
  return std::move(state.result);
}

}  // namespace assay
