#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/generate.hpp"

namespace assay {

/// One answer as it grows: chooses tokens from logits, turns them into text and knows when to end.
class Continuation {
 public:
  /// `model` must outlive it. `positions`: how many tokens the sequence's cache has room for. `on_text`
  /// receives the text as it becomes certain (never part of a stop text). Throws UsageError for options out
  /// of range.
  Continuation(const LanguageModel& model, std::span<const TokenId> prompt, const GenerateOptions& options,
               int64_t positions, std::function<void(std::string_view)> on_text = {});
  ~Continuation();
  Continuation(Continuation&&) noexcept;
  Continuation& operator=(Continuation&&) noexcept;

  /// Chooses the token that follows, given the logits after the last one. False when the answer is complete,
  /// which may be with this token; else last() has to go through the model, and its logits come here next.
  bool push(std::span<const float> logits);
  TokenId last() const noexcept;
  /// Prompt and answer so far.
  std::span<const TokenId> history() const noexcept;
  /// Tokens that could follow last() at most, by the limits on tokens and positions.
  int64_t tokens_left() const noexcept;
  /// The answer; to be asked once, after push() gave false. Times and bytes are the caller's to fill in.
  Generation take_result();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
