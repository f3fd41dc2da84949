#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "base/thread_pool.hpp"

namespace assay {

// Rows of logits, [vocab_size] f32 each, as their softmax. Sums are f64 in an order that depends on the row's
// length alone: the same bits for any number of threads and any instruction set.

/// What one pass over a row finds.
struct LogitPeaks {
  float highest = 0.0f;
  /// The five largest (all of a smaller vocabulary), largest first; equal ones by id.
  std::array<int32_t, 5> best{};
  int32_t best_count = 0;
  bool finite = true;  ///< no -inf among the logits

  int32_t top1() const noexcept { return best[0]; }
};

/// Throws Error when a logit is NaN or +inf, or none is finite.
LogitPeaks find_peaks(std::span<const float> logits, ThreadPool& pool);

/// ln Σ exp(logit - highest): log p(i) = logits[i] - highest - log_sum.
double log_sum_exp(std::span<const float> logits, const LogitPeaks& peaks, ThreadPool& pool);

/// Two rows over the same vocabulary.
struct RowDivergence {
  double kl = 0.0;  ///< KL(p ‖ q) in nats; exactly 0 for equal rows, +inf where q excludes what p allows
  double p_log_sum = 0.0, q_log_sum = 0.0;  ///< as log_sum_exp gives them
};
RowDivergence compare_rows(std::span<const float> p, const LogitPeaks& p_peaks, std::span<const float> q,
                           const LogitPeaks& q_peaks, ThreadPool& pool);

/// How many of p's best are among q's, as a share of p's.
double shared_best(const LogitPeaks& p, const LogitPeaks& q) noexcept;

}  // namespace assay
