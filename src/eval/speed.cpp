#include "eval/speed.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/thread_pool.hpp"
#include "engine/generate.hpp"
#include "engine/stopwatch.hpp"
#include "eval/statistics.hpp"

namespace assay {
namespace {

RateSample summarize(std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  return {.n = static_cast<int64_t>(rates.size()),
          .median = quantile(rates, 0.5),
          .min = rates.front(),
          .max = rates.back()};
}

std::vector<TokenId> random_tokens(int64_t count, int64_t vocab_size) {
  Rng rng(42);
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<TokenId>(rng.below(static_cast<uint64_t>(vocab_size))));
  return tokens;
}

/// Weights a decoded token reads: all of them, but one row of an embedding table that is not also the head.
double decoded_bytes(const ModelFile& file) {
  double bytes = 0.0;
  for (const ModelTensor& tensor : file.tensors()) {
    const bool table = tensor.slot.role == TensorRole::kTokenEmbedding && &file.output() != &tensor;
    bytes +=
        static_cast<double>(tensor.weight.bytes()) / (table ? static_cast<double>(tensor.weight.rows) : 1.0);
  }
  return bytes;
}

/// Sum of 64-bit words; only the loads matter.
uint64_t read_words(const uint64_t* words, size_t count) noexcept {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

SpeedResult measure_speed(LanguageModel& model, const SpeedOptions& options) {
  const int64_t positions = options.prefill_tokens + options.decode_tokens;
  if (positions > model.config().max_context)
    throw Error({"the model's context is too short for this test",
                 model.file().path().string(),
                 std::to_string(positions) + " positions",
                 std::to_string(model.config().max_context),
                 {}});
  const std::vector<TokenId> tokens = random_tokens(positions, model.config().vocab_size);
  const std::span<const TokenId> prompt =
      std::span(tokens).first(static_cast<size_t>(options.prefill_tokens));
  SpeedResult result;
  result.bytes_per_token = decoded_bytes(model.file());
  std::vector<double> prefill_rates, decode_rates;
  for (int run = -options.warmup; run < options.repeats; ++run) {
    KvCache cache = model.decoder().make_cache(positions);
    const Stopwatch prefill;
    std::span<const float> logits = model.decoder().forward(prompt, cache);
    const double prefill_seconds = prefill.seconds();
    const uint64_t prefill_hash = hash_logits(logits);
    const Stopwatch decode;
    for (int64_t i = 0; i < options.decode_tokens; ++i)
      logits = model.decoder().forward({&tokens[static_cast<size_t>(options.prefill_tokens + i)], 1}, cache);
    const double decode_seconds = decode.seconds();
    const uint64_t hash = hash_logits(logits);
    if (run > -options.warmup && (hash != result.decode_hash || prefill_hash != result.prefill_hash))
      throw Error({"repeats gave different logits", model.file().path().string(), {}, {}, "faulty memory?"});
    result.prefill_hash = prefill_hash;
    result.decode_hash = hash;
    result.kv_bytes = cache.bytes();
    if (run < 0) continue;
    prefill_rates.push_back(static_cast<double>(options.prefill_tokens) / prefill_seconds);
    decode_rates.push_back(static_cast<double>(options.decode_tokens) / decode_seconds);
  }
  result.prefill = summarize(prefill_rates);
  result.decode = summarize(decode_rates);
  return result;
}

double measure_read_bandwidth(int threads) {
  constexpr size_t kWords = (size_t{384} << 20) / sizeof(uint64_t);
  constexpr int kSweeps = 5;
  ThreadPool pool(threads);
  const size_t words_per_thread = kWords / static_cast<size_t>(threads) / 8 * 8;  // read_words reads eights
  std::vector<uint64_t> words(words_per_thread * static_cast<size_t>(threads), 1);
  std::vector<uint64_t> sums(static_cast<size_t>(threads));
  double best = 0.0;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    const Stopwatch sweeping;
    pool.run(threads, [&](int64_t i) {
      sums[static_cast<size_t>(i)] +=
          read_words(words.data() + static_cast<size_t>(i) * words_per_thread, words_per_thread);
    });
    best = std::max(best, static_cast<double>(words.size() * sizeof(uint64_t)) / sweeping.seconds());
  }
  ASSAY_CHECK(sums[0] == words_per_thread * kSweeps);  // keeps the loads from being optimized away
  return best;
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace assay
