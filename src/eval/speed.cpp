#include "eval/speed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/memory.hpp"
#include "base/rng.hpp"
#include "engine/generate.hpp"
#include "engine/stopwatch.hpp"
#include "eval/statistics.hpp"

namespace assay {
namespace {

std::vector<TokenId> random_tokens(int64_t count, int64_t vocab_size) {
  Rng rng(42);
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<TokenId>(rng.below(static_cast<uint64_t>(vocab_size))));
  return tokens;
}

/// One file's runs, and what they gave so far.
class SpeedTest {
 public:
  SpeedTest(LanguageModel& model, const SpeedOptions& options)
      : model_(model),
        options_(options),
        tokens_(random_tokens(options.prefill_tokens + options.decode_tokens, model.config().vocab_size)) {}

  void run(bool counted) {
    Decoder& decoder = model_.decoder();
    KvCache cache = decoder.make_cache(static_cast<int64_t>(tokens_.size()));
    cache.reserve(cache.max_positions());  // as a server does, so that no run pays for growing
    const auto prompt = std::span(tokens_).first(static_cast<size_t>(options_.prefill_tokens));
    const Stopwatch prefill;
    std::span<const float> logits = decoder.forward(prompt, cache);
    const double prefill_seconds = prefill.seconds();
    const uint64_t prefill_hash = hash_logits(logits);
    double decode_seconds = 0.0;
    for (const TokenId& token : std::span(tokens_).subspan(prompt.size())) {
      const Stopwatch step;
      logits = decoder.forward({&token, 1}, cache);
      latencies_.push_back(step.seconds());
      decode_seconds += latencies_.back();
    }
    keep_hashes(prefill_hash, hash_logits(logits));
    result_.kv_bytes = cache.bytes();
    if (counted) {
      prefill_rates_.push_back(static_cast<double>(options_.prefill_tokens) / prefill_seconds);
      decode_rates_.push_back(static_cast<double>(options_.decode_tokens) / decode_seconds);
    } else {
      latencies_.clear();
    }
  }

  /// Sequences that share the prompt but not its cache; each then gets the tokens of decode, so that the last
  /// logits of every one must be those of the sequence alone.
  void run_batch(bool counted) {
    Decoder& decoder = model_.decoder();
    const auto prompt = std::span(tokens_).first(static_cast<size_t>(options_.prefill_tokens));
    KvCache first = decoder.make_cache(static_cast<int64_t>(tokens_.size()));
    first.reserve(first.max_positions());
    decoder.forward(prompt, first);
    std::vector<KvCache> caches(static_cast<size_t>(options_.batch), first);
    std::vector<int64_t> rows(caches.size());
    std::iota(rows.begin(), rows.end(), int64_t{0});
    std::vector<SequenceStep> steps(caches.size());
    std::span<const float> logits;
    const Stopwatch watch;
    for (const TokenId& token : std::span(tokens_).subspan(prompt.size())) {
      for (size_t i = 0; i < caches.size(); ++i) steps[i] = {{&token, 1}, &caches[i]};
      decoder.run_steps(steps);
      logits = decoder.logits_at(rows);
    }
    const double seconds = watch.seconds();
    keep_batch(logits);
    result_.batch_kv_bytes = static_cast<uint64_t>(caches.size()) * first.bytes();
    if (counted)
      batch_rates_.push_back(static_cast<double>(options_.batch * options_.decode_tokens) / seconds);
  }

  SpeedResult finish() {
    result_.footprint = footprint_of(model_.file());
    const uint64_t read = kv_bytes_read(model_.config(), model_.decoder().kv_format(),
                                        options_.prefill_tokens, options_.decode_tokens);
    result_.kv_bytes_per_token = static_cast<double>(read) / static_cast<double>(options_.decode_tokens);
    result_.prefill = summarize_speed(std::move(prefill_rates_));
    result_.decode = summarize_speed(std::move(decode_rates_));
    if (!batch_rates_.empty()) result_.batch = summarize_speed(std::move(batch_rates_));
    result_.token_seconds = summarize_speed(std::move(latencies_));
    return std::move(result_);
  }

 private:
  void keep_hashes(uint64_t prefill, uint64_t decode) {
    if (ran_ && (prefill != result_.prefill_hash || decode != result_.decode_hash))
      throw Error({"repeats gave different logits", model_.file().path().string(), {}, {}, "faulty memory?"});
    ran_ = true;
    result_.prefill_hash = prefill;
    result_.decode_hash = decode;
  }

  /// Throws Error unless every sequence of the batch got the logits of decode.
  void keep_batch(std::span<const float> logits) {
    const size_t vocab = logits.size() / static_cast<size_t>(options_.batch);
    for (size_t i = 0; i < logits.size(); i += vocab) {
      result_.batch_hash = hash_logits(logits.subspan(i, vocab));
      if (result_.batch_hash != result_.decode_hash)
        throw Error({"a sequence of the batch got other logits than alone",
                     model_.file().path().string(),
                     fmt::format("{:016x}", result_.decode_hash),
                     fmt::format("{:016x}", result_.batch_hash),
                     {}});
    }
  }

  LanguageModel& model_;
  const SpeedOptions& options_;
  std::vector<TokenId> tokens_;
  std::vector<double> prefill_rates_, decode_rates_, batch_rates_, latencies_;
  SpeedResult result_;
  bool ran_ = false;
};

}  // namespace

SpeedSample summarize_speed(std::vector<double> values) {
  std::vector<double> ascending = values;
  std::sort(ascending.begin(), ascending.end());
  SpeedSample sample{.values = std::move(values),
                     .median = quantile(ascending, 0.5),
                     .min = ascending.front(),
                     .max = ascending.back()};
  if (ascending.size() >= kPercentileRuns) {
    sample.p5 = quantile(ascending, 0.05);
    sample.p95 = quantile(ascending, 0.95);
  }
  return sample;
}

double SpeedResult::prefill_macs_per_token(int64_t tokens) const noexcept {
  return static_cast<double>(footprint.layer_macs) +
         static_cast<double>(footprint.head_macs) / static_cast<double>(tokens);
}
double SpeedResult::decode_macs_per_token() const noexcept {
  return static_cast<double>(footprint.layer_macs + footprint.head_macs);
}
double SpeedResult::batch_bytes_per_token(int64_t sequences) const noexcept {
  return static_cast<double>(footprint.decoded_bytes) / static_cast<double>(sequences) + kv_bytes_per_token;
}
double SpeedResult::decode_bytes_per_token() const noexcept {
  return static_cast<double>(footprint.decoded_bytes) + kv_bytes_per_token;
}

void check_context(const ModelFile& model, const SpeedOptions& options) {
  const int64_t positions = options.prefill_tokens + options.decode_tokens;
  if (positions > model.config().max_context)
    throw Error({"the model's context is too short for this test",
                 model.path().string(),
                 std::to_string(positions) + " positions",
                 std::to_string(model.config().max_context),
                 {}});
}

SpeedResult measure_speed(LanguageModel& model, const SpeedOptions& options) {
  check_context(model.file(), options);
  SpeedTest test(model, options);
  for (int run = -options.warmup; run < options.repeats; ++run) test.run(run >= 0);
  const uint64_t peak = peak_rss_bytes();
  for (int run = options.batch > 0 ? -options.warmup : options.repeats; run < options.repeats; ++run)
    test.run_batch(run >= 0);
  SpeedResult result = test.finish();
  result.peak_rss_bytes = peak;
  return result;
}

SpeedSample measure_load(const std::filesystem::path& path, const EngineOptions& engine, int repeats) {
  std::vector<double> seconds;
  for (int run = -1; run < repeats; ++run) {
    const LanguageModel model(path, engine);
    if (run >= 0) seconds.push_back(model.load_seconds());
  }
  return summarize_speed(std::move(seconds));
}

}  // namespace assay
