#pragma once
#include <cstdint>
#include <span>

#include "eval/divergence.hpp"

namespace assay {

/// What is kept of one scored position.
struct TokenDivergence {
  double kl = 0.0;
  double reference_nll = 0.0, candidate_nll = 0.0;  ///< of the true next token
  float confidence = 0.0f;                          ///< the reference's highest probability
  float top5 = 0.0f;                                ///< share of the five best that both have
  bool top1 = false;
  int32_t position = 0;  ///< in its window, from 0
  uint32_t cluster = 0;  ///< document or window, counted from 0 without gaps

  /// Change of the true next token's probability.
  double delta_p() const noexcept;
};

/// Resamples behind the interval of a quantile over so many tokens: one of them is a walk over all, so that
/// above 100,000 tokens there are fewer than 2,000, and never below 200.
int quantile_resamples(size_t tokens) noexcept;

/// Everything but seconds, windows and the clusters' name. tokens must not be empty, clusters ascend.
DivergenceResult summarize_divergence(std::span<const TokenDivergence> tokens);

}  // namespace assay
