#pragma once
#include <cstdint>

#include "base/progress.hpp"
#include "report/report.hpp"

namespace assay {

/// How speed is compared: every round runs every subject once, in a process of its own, so that what disturbs
/// the machine disturbs all of them, and rounds pair the times.
struct SpeedComparisonOptions {
  int64_t prefill_tokens = 128, decode_tokens = 64;
  int rounds = 7;  ///< below six no difference can be shown
  int threads = 0;
};

/// Adds to `report` the machine, and of every subject that is a file: prefill and decode (median over the
/// rounds), load time, bytes of weights and KV cache, peak memory; and the paired
/// differences of decode speed between all of them.
void compare_speed(Report& report, const SpeedComparisonOptions& options, Progress& progress);

}  // namespace assay
