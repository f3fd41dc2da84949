#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/footprint.hpp"
#include "engine/language_model.hpp"

namespace assay {

/// Repeated timings: seconds, or rates (units per second).
struct SpeedSample {
  std::vector<double> values;  ///< in the order they were measured
  double median = 0.0, min = 0.0, max = 0.0;
  /// The 5 % and 95 % quantiles; absent below kPercentileRuns values, where they would be the extremes again.
  std::optional<double> p5{}, p95{};

  int64_t n() const noexcept { return static_cast<int64_t>(values.size()); }
};

/// From here on at least one value lies beyond either quantile.
inline constexpr size_t kPercentileRuns = 20;

/// `values` must not be empty.
SpeedSample summarize_speed(std::vector<double> values);

struct SpeedOptions {
  int64_t prefill_tokens = 256;
  int64_t decode_tokens = 64;
  int64_t batch = 0;  ///< sequences that decode together, each after a prompt of its own; 0: no such test
  int repeats = 5;
  int warmup = 1;
};

struct SpeedResult {
  SpeedSample prefill, decode;  ///< tokens per second; the first token's time belongs to prefill
  SpeedSample batch;            ///< tokens per second of all sequences together; empty without a batch
  SpeedSample token_seconds;    ///< of every decoded token of the counted runs
  Footprint footprint;
  double kv_bytes_per_token = 0.0;  ///< keys and values that a decoded token reads, on average over the test
  uint64_t kv_bytes = 0;
  uint64_t peak_rss_bytes = 0;  ///< of this process after prefill and decode, before a batch
  uint64_t batch_kv_bytes = 0;  ///< of all caches of the batch
  /// Of the last logits of each (batch: of the first sequence), the same for every repeat.
  uint64_t prefill_hash = 0, decode_hash = 0, batch_hash = 0;

  /// Of prefill: multiply-adds with weights per token, the head's share in the last token spread over all.
  double prefill_macs_per_token(int64_t tokens) const noexcept;
  double decode_macs_per_token() const noexcept;
  double decode_bytes_per_token() const noexcept;
  /// Every weight is read once for all sequences.
  double batch_bytes_per_token(int64_t sequences) const noexcept;
};

/// Throws Error when the model's context is too short for the test.
void check_context(const ModelFile& model, const SpeedOptions& options);

/// Times prefill, decode and, where asked for, a batch on a fixed sequence of pseudo-random token ids.
/// Repeats after `warmup` runs that are not counted. Throws Error when the model's context is too short, or
/// when repeats give different logits.
SpeedResult measure_speed(LanguageModel& model, const SpeedOptions& options);

/// Seconds to open the model at `path`, `repeats` times after one that is not counted: its files are then in
/// the page cache.
SpeedSample measure_load(const std::filesystem::path& path, const EngineOptions& engine, int repeats);

}  // namespace assay
