#include "engine/drafter.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "engine/sampler.hpp"

namespace assay {
namespace {

class LookupDrafter final : public Drafter {
 public:
  explicit LookupDrafter(int64_t guess) : guess_(guess) {}

  std::vector<TokenId> propose(std::span<const TokenId> history, int64_t most) override {
    const auto count = static_cast<size_t>(std::min(guess_, most));
    for (size_t length = std::min(kLongest, history.size() - 1); length > 0 && count > 0; --length) {
      const auto end = history.last(length);
      for (size_t at = history.size() - length; at-- > 0;) {
        if (!std::equal(end.begin(), end.end(), history.begin() + static_cast<std::ptrdiff_t>(at))) continue;
        const auto after = history.subspan(at + length);
        return {after.begin(), after.begin() + static_cast<std::ptrdiff_t>(std::min(count, after.size()))};
      }
    }
    return {};
  }
  void learn(int64_t, int64_t) override {}

 private:
  static constexpr size_t kLongest = 3;  ///< longer ends add nothing: one of three is mostly right already
  int64_t guess_;
};

class ModelDrafter final : public Drafter {
 public:
  ModelDrafter(LanguageModel& draft, int64_t guess)
      : decoder_(draft.decoder()),
        guess_(guess),
        width_(std::min<int64_t>(guess, 4)),
        cache_(decoder_.make_cache(draft.config().max_context)) {}

  std::vector<TokenId> propose(std::span<const TokenId> history, int64_t most) override {
    std::vector<TokenId> proposed;
    const int64_t room = cache_.max_positions() - static_cast<int64_t>(history.size());
    const int64_t count = std::min({width_, most, room});
    if (count <= 0) return proposed;
    catch_up(history);
    while (true) {
      proposed.push_back(argmax(logits_));
      if (static_cast<int64_t>(proposed.size()) == count) return proposed;
      seen_.push_back(proposed.back());
      logits_ = decoder_.forward({&seen_.back(), 1}, cache_);
    }
  }

  void learn(int64_t proposed, int64_t accepted) override {
    if (proposed == 0) return;
    width_ = accepted == proposed ? std::min(guess_, width_ + 2) : std::max<int64_t>(1, accepted + 1);
  }

 private:
  /// Runs what the history has beyond the tokens in the cache; always the last token at least, whose logits
  /// are needed.
  void catch_up(std::span<const TokenId> history) {
    const auto [ours, theirs] = std::mismatch(seen_.begin(), seen_.end(), history.begin(), history.end());
    const size_t same = std::min(static_cast<size_t>(ours - seen_.begin()), history.size() - 1);
    cache_.truncate(static_cast<int64_t>(same));
    logits_ = decoder_.forward(history.subspan(same), cache_);
    seen_.assign(history.begin(), history.end());
  }

  Decoder& decoder_;
  int64_t guess_, width_;
  KvCache cache_;
  std::vector<TokenId> seen_;  ///< tokens in the cache
  std::span<const float> logits_;
};

}  // namespace

std::unique_ptr<Drafter> make_lookup_drafter(int64_t guess) {
  return std::make_unique<LookupDrafter>(guess);
}

std::unique_ptr<Drafter> make_model_drafter(LanguageModel& draft, int64_t guess) {
  return std::make_unique<ModelDrafter>(draft, guess);
}

void require_same_vocabulary(const LanguageModel& model, const LanguageModel& draft) {
  const Tokenizer &ours = model.tokenizer(), &theirs = draft.tokenizer();
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    throw Error({"the draft model has another vocabulary", draft.file().path().string(), expected, found,
                 "a draft must be a smaller model of the same family"});
  };
  if (ours.vocab_size() != theirs.vocab_size())
    refuse(std::to_string(ours.vocab_size()) + " tokens", std::to_string(theirs.vocab_size()));
  for (TokenId id = 0; id < ours.vocab_size(); ++id)
    if (ours.token(id) != theirs.token(id))
      refuse("token " + std::to_string(id) + " = \"" + std::string(ours.token(id)) + "\"",
             "\"" + std::string(theirs.token(id)) + "\"");
}

}  // namespace assay
