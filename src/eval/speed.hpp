#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/language_model.hpp"

namespace assay {

/// The middle and the spread of repeated timings, as rates (units per second).
struct RateSample {
  int64_t n = 0;
  double median = 0.0, min = 0.0, max = 0.0;
};

struct SpeedOptions {
  int64_t prefill_tokens = 256;
  int64_t decode_tokens = 64;
  int repeats = 5;
  int warmup = 1;
};

struct SpeedResult {
  RateSample prefill, decode;    ///< tokens per second; the first token's time belongs to prefill
  double bytes_per_token = 0.0;  ///< weight bytes that one decoded token reads (embedding table: one row)
  uint64_t kv_bytes = 0;
  uint64_t prefill_hash = 0, decode_hash = 0;  ///< of the last logits of each; the same for every repeat
};

/// Times prefill and decode on a fixed sequence of pseudo-random token ids. Repeats after `warmup` runs that
/// are not counted. Throws Error when the model's context is too short, or when repeats give different
/// logits.
SpeedResult measure_speed(LanguageModel& model, const SpeedOptions& options);

/// This machine's read bandwidth in bytes per second with so many threads: the best of several sweeps over a
/// buffer of 384 MiB in all, far larger than most caches.
double measure_read_bandwidth(int threads);

/// The processor's name, from /proc/cpuinfo; "unknown" where there is none.
std::string processor_name();

}  // namespace assay
