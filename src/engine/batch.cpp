#include "engine/batch.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "engine/batch_limits.hpp"
#include "engine/continuation.hpp"
#include "engine/stopwatch.hpp"

namespace assay {
namespace {

/// A prompt on its way through the model, and then what its samples start from.
struct Prompt {
  const BatchRequest* request;
  size_t first_result;
  KvCache cache;
  int64_t cached_tokens;
  double seconds = 0.0;
  int64_t started = 0;          ///< samples
  std::vector<float> logits{};  ///< after its last token; empty before
  Stopwatch watch{};

  bool ready() const { return !logits.empty(); }
  std::span<const TokenId> rest() const {
    return std::span(request->prompt).subspan(static_cast<size_t>(cache.length()));
  }
};

/// A sample that decodes.
struct Sequence {
  size_t result;
  int64_t cached_tokens;
  double prefill_seconds;
  Continuation answer;
  KvCache cache;
  std::unique_ptr<Drafter> drafter{};
  std::vector<TokenId> feed{};  ///< the last token, and guesses of what follows it
  int64_t drafted = 0, accepted = 0;
  Stopwatch watch{};

  void choose_feed() {
    feed = {answer.last()};
    if (drafter == nullptr) return;
    const std::vector<TokenId> guess = drafter->propose(answer.history(), answer.tokens_left() - 1);
    feed.insert(feed.end(), guess.begin(), guess.end());
    drafted += static_cast<int64_t>(guess.size());
  }

  /// Takes the logits after every token of the feed, as far as the guesses were right, and forgets the
  /// others. False when the answer is complete.
  bool take(std::span<const float> logits) {
    const size_t width = logits.size() / feed.size();
    size_t used = 0;
    bool goes_on = true;
    do {
      goes_on = answer.push(logits.subspan(used++ * width, width));
    } while (goes_on && used < feed.size() && feed[used] == answer.last());
    accepted += static_cast<int64_t>(used) - 1;
    if (drafter != nullptr)
      drafter->learn(static_cast<int64_t>(feed.size()) - 1, static_cast<int64_t>(used) - 1);
    cache.truncate(cache.length() - static_cast<int64_t>(feed.size() - used));
    return goes_on;
  }
};

class Scheduler {
 public:
  Scheduler(LanguageModel& model, std::span<const BatchRequest> requests, const BatchOptions& options)
      : model_(model), requests_(requests), options_(options) {
    size_t count = 0;
    for (const BatchRequest& request : requests) {
      const std::string number = std::to_string(contexts_.size() + 1);
      contexts_.push_back(context_of(model, request, requests.size() > 1 ? "prompt " + number : ""));
      count += static_cast<size_t>(request.samples);
    }
    results_.resize(count);
    require_batch_memory(model, requests, contexts_, options.batch);
  }

  std::vector<Generation> run() {
    while (true) {
      admit();
      if (sequences_.empty() && prompts_.empty()) return std::move(results_);
      run_pass();
    }
  }

 private:
  /// Fills free places: samples of prompts that are ready first, then new prompts.
  void admit() {
    while (true) {
      std::erase_if(prompts_, [](const Prompt& prompt) { return prompt.started == prompt.request->samples; });
      const auto ready = std::find_if(prompts_.begin(), prompts_.end(), [](auto& p) { return p.ready(); });
      const auto waiting =
          std::count_if(prompts_.begin(), prompts_.end(), [](auto& p) { return !p.ready(); });
      if (static_cast<int64_t>(sequences_.size()) + waiting >= options_.batch) return;
      if (ready != prompts_.end()) {
        start_sample(*ready);
      } else if (next_request_ < requests_.size()) {
        start_prompt();
      } else {
        return;
      }
    }
  }

  void start_prompt() {
    const BatchRequest& request = requests_[next_request_];
    KvCache cache = model_.decoder().make_cache(contexts_[next_request_]);
    if (options_.keep != nullptr && *options_.keep != nullptr && next_request_ == 0) {
      const std::unique_ptr<CachedText> last = std::exchange(*options_.keep, nullptr);
      take_prefix(request.prompt, last->tokens, std::move(last->cache), cache);
    } else if (options_.prefix != nullptr) {
      take_prefix(request.prompt, options_.prefix->tokens, options_.prefix->cache, cache);
    }
    const int64_t cached = cache.length();
    // Growing copies what is there, so the first part of the answer has its place from the start.
    constexpr int64_t kAnswer = 256;
    const auto wanted =
        static_cast<int64_t>(request.prompt.size()) + std::min(kAnswer, request.options.max_tokens);
    cache.reserve(std::min(wanted, cache.max_positions()) - cached);
    prompts_.push_back({&request, next_result_, std::move(cache), cached});
    next_result_ += static_cast<size_t>(request.samples);
    ++next_request_;
  }

  /// All but the prompt's last token at most, whose logits are needed.
  static void take_prefix(std::span<const TokenId> prompt, std::span<const TokenId> tokens, KvCache prefix,
                          KvCache& cache) {
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), prompt.begin(), prompt.end()).first;
    const int64_t same = std::min<int64_t>(differ - tokens.begin(), static_cast<int64_t>(prompt.size()) - 1);
    if (same == 0) return;
    const int64_t positions = cache.max_positions();
    cache = std::move(prefix);
    cache.truncate(same);
    cache.set_max_positions(positions);
  }

  void start_sample(Prompt& prompt) {
    const BatchRequest& request = *prompt.request;
    const int64_t sample = prompt.started++;
    const size_t result = prompt.first_result + static_cast<size_t>(sample);
    GenerateOptions options = request.options;
    options.sampling.seed += static_cast<uint64_t>(sample);
    std::function<void(std::string_view)> on_text;
    if (options_.on_text) on_text = [this, result](std::string_view text) { options_.on_text(result, text); };
    Continuation answer(model_, request.prompt, options, prompt.cache.max_positions(), std::move(on_text));
    const bool last = prompt.started == request.samples;
    Sequence sequence{
        .result = result,
        .cached_tokens = sample > 0 ? static_cast<int64_t>(request.prompt.size()) : prompt.cached_tokens,
        .prefill_seconds = sample > 0 ? 0.0 : prompt.seconds,
        .answer = std::move(answer),
        .cache = last ? std::move(prompt.cache) : prompt.cache};
    if (options_.make_drafter) sequence.drafter = options_.make_drafter();
    if (!sequence.answer.push(prompt.logits)) return finish(sequence);
    sequence.choose_feed();
    sequences_.push_back(std::move(sequence));
  }

  void finish(Sequence& sequence) {
    const uint64_t kv_bytes = sequence.cache.bytes();
    if (options_.keep != nullptr && sequence.result == 0) {
      const auto kept = sequence.answer.history().first(static_cast<size_t>(sequence.cache.length()));
      *options_.keep =
          std::make_unique<CachedText>(CachedText{{kept.begin(), kept.end()}, std::move(sequence.cache)});
    }
    Generation result = sequence.answer.take_result();
    result.cached_tokens = sequence.cached_tokens;
    result.prefill_seconds = sequence.prefill_seconds;
    result.decode_seconds = sequence.watch.seconds();
    result.kv_bytes = kv_bytes;
    result.drafted = sequence.drafted;
    result.accepted = sequence.accepted;
    results_[sequence.result] = std::move(result);
    if (options_.on_done) options_.on_done(sequence.result, results_[sequence.result]);
  }

  /// One pass over the weights: what every sequence feeds, and as much of the prompts as memory allows.
  void run_pass() {
    std::vector<SequenceStep> steps;
    std::vector<int64_t> rows;  // whose logits are needed
    int64_t tokens = 0;
    for (Sequence& sequence : sequences_) {
      steps.push_back({sequence.feed, &sequence.cache});
      for (size_t i = 0; i < sequence.feed.size(); ++i) rows.push_back(tokens++);
    }
    int64_t budget = std::max(kLeastPrompt, model_.decoder().chunk_tokens() - tokens);
    std::vector<Prompt*> complete;
    for (Prompt& prompt : prompts_) {
      if (prompt.ready() || budget == 0) continue;
      const auto rest = prompt.rest();
      const auto part = rest.first(static_cast<size_t>(std::min(budget, static_cast<int64_t>(rest.size()))));
      steps.push_back({part, &prompt.cache});
      tokens += static_cast<int64_t>(part.size());
      budget -= static_cast<int64_t>(part.size());
      if (part.size() < rest.size()) continue;
      complete.push_back(&prompt);
      rows.push_back(tokens - 1);
    }
    model_.decoder().run_steps(steps);
    if (!rows.empty()) hand_out(model_.decoder().logits_at(rows), rows.size(), complete);
  }

  void hand_out(std::span<const float> logits, size_t rows, std::span<Prompt* const> complete) {
    const size_t width = logits.size() / rows;
    size_t row = 0;
    const auto next = [&](size_t count) {
      return logits.subspan(std::exchange(row, row + count) * width, count * width);
    };
    std::vector<Sequence> going;
    for (Sequence& sequence : sequences_) {
      if (sequence.take(next(sequence.feed.size())))
        going.push_back(std::move(sequence));
      else
        finish(sequence);
    }
    for (Prompt* prompt : complete) {
      const auto after = next(1);
      prompt->logits.assign(after.begin(), after.end());
      prompt->seconds = prompt->watch.seconds();
    }
    sequences_ = std::move(going);
    for (Sequence& sequence : sequences_) sequence.choose_feed();
  }

  /// Tokens of prompts that a pass takes even where the decoding ones alone fill it.
  static constexpr int64_t kLeastPrompt = 64;

  LanguageModel& model_;
  std::span<const BatchRequest> requests_;
  const BatchOptions& options_;
  std::vector<int64_t> contexts_;  ///< of the requests
  std::vector<Prompt> prompts_;    ///< of which samples are still to start
  std::vector<Sequence> sequences_;
  std::vector<Generation> results_;
  size_t next_request_ = 0, next_result_ = 0;
};

}  // namespace

std::vector<Generation> generate_batch(LanguageModel& model, std::span<const BatchRequest> requests,
                                       const BatchOptions& options) {
  ASSAY_CHECK(options.batch >= 1);
  for (const BatchRequest& request : requests) {
    ASSAY_CHECK(request.samples >= 1);
    for (const std::string& stop : request.options.stop)
      if (stop.empty()) throw UsageError("an empty stop text would stop everything");
    check_sampling(request.options.sampling);
  }
  if (options.prefix != nullptr || options.keep != nullptr) require_fixed_positions(model, "a saved cache");
  if (options.make_drafter) require_fixed_positions(model, "guessing ahead");
  return Scheduler(model, requests, options).run();
}

bool has_fixed_positions(const LanguageModel& model) noexcept {
  return model.config().rope.scaling != RopeConfig::Scaling::kDynamicNtk;
}

void require_fixed_positions(const LanguageModel& model, std::string_view what) {
  if (!has_fixed_positions(model))
    throw Error({std::string(what) + " would change what this model says", model.file().path().string(),
                 "positions that stay", "dynamic NTK rope",
                 "its angles depend on the length of the text at each pass"});
}

}  // namespace assay
