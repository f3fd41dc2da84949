#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.hpp"
#include "text/tokenizer.hpp"

namespace assay {

/// How the next token is chosen. temperature 0 is greedy: the highest logit, ties to the lowest id.
struct SamplingOptions {
  float temperature = 0.0f;
  int64_t top_k = 0;            ///< 0: all
  float top_p = 1.0f;           ///< smallest set whose probability reaches it
  float min_p = 0.0f;           ///< at least this share of the best token's probability
  float repeat_penalty = 1.0f;  ///< divides positive and multiplies negative logits of tokens seen before
  uint64_t seed = 0;
};

/// Throws UsageError naming the option that is out of range.
void check_sampling(const SamplingOptions& options);

/// The id of the highest logit, the lowest one of equals. NaN never wins; throws Error when every logit is
/// NaN.
TokenId argmax(std::span<const float> logits);

/// Chooses tokens one after another; the same options, seed and logits give the same tokens.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  /// `history` holds the tokens of prompt and answer so far, for the repeat penalty.
  TokenId choose(std::span<const float> logits, std::span<const TokenId> history);

 private:
  struct Candidate {
    TokenId id;
    float logit;
    double probability;
  };
  /// Takes candidates without a logit out; throws Error when none is left.
  void drop_nan();
  /// Candidates in order of falling logit, cut by top-k, top-p and min-p, probabilities not normalized.
  void cut_candidates();

  SamplingOptions options_;
  Rng rng_;
  std::vector<Candidate> candidates_;
};

}  // namespace assay
