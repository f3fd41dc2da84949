#pragma once
#include <string_view>
#include <vector>

#include "base/progress.hpp"
#include "eval/corpus.hpp"
#include "eval/statistics.hpp"

namespace assay {

/// How far a candidate's predictions lie from a reference's on the same text, over the full vocabulary, from
/// f32 logits with f64 sums. Intervals: bootstrap over windows. A model against itself gives exactly 0.
struct DivergenceResult {
  Estimate kl;  ///< mean KL(reference ‖ candidate) in nats
  double kl_median = 0, kl_p90 = 0, kl_p99 = 0, kl_p999 = 0, kl_max = 0;
  Estimate top1_agreement;  ///< share of positions where both rank the same token first
  Estimate top5_agreement;  ///< mean share of the reference's five best among the candidate's five best
  Estimate nll_reference, nll_candidate;
  Estimate nll_difference;                   ///< candidate minus reference: ln of the perplexity ratio
  double delta_p_mean = 0, delta_p_rms = 0;  ///< change of the true next token's probability
  int64_t tokens = 0, windows = 0;
};

/// Measures every candidate against the same predictions of the reference, which runs once. Throws Error when
/// one cannot be compared: other vocabulary, tokenizer or BOS handling.
std::vector<DivergenceResult> measure_divergences(LanguageModel& reference,
                                                  std::span<LanguageModel* const> candidates,
                                                  std::string_view text, const WindowOptions& options,
                                                  Progress& progress);
DivergenceResult measure_divergence(LanguageModel& reference, LanguageModel& candidate, std::string_view text,
                                    const WindowOptions& options, Progress& progress);

}  // namespace assay
