#include "engine/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_set>

#include "base/error.hpp"

namespace assay {

void check_sampling(const SamplingOptions& options) {
  const auto refuse = [](const char* option, const char* range, double found) {
    throw UsageError({std::string(option) + " is out of range", {}, range, std::to_string(found), {}});
  };
  if (!(options.temperature >= 0.0f) || std::isinf(options.temperature))
    refuse("--temp", "0 or more", options.temperature);
  if (options.top_k < 0) refuse("--top-k", "0 or more", static_cast<double>(options.top_k));
  if (!(options.top_p > 0.0f && options.top_p <= 1.0f))
    refuse("--top-p", "above 0, at most 1", options.top_p);
  if (!(options.min_p >= 0.0f && options.min_p <= 1.0f)) refuse("--min-p", "0 to 1", options.min_p);
  if (!(options.repeat_penalty > 0.0f) || std::isinf(options.repeat_penalty))
    refuse("--repeat-penalty", "above 0", options.repeat_penalty);
}

TokenId argmax(std::span<const float> logits) {
  size_t best = 0;
  while (best < logits.size() && std::isnan(logits[best])) ++best;
  if (best == logits.size()) throw Error("the model gives NaN logits");
  for (size_t i = best + 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<TokenId>(best);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), rng_(options.seed) {
  check_sampling(options);
}

TokenId Sampler::choose(std::span<const float> logits, std::span<const TokenId> history) {
  const bool greedy = options_.temperature == 0.0f;
  if (greedy && options_.repeat_penalty == 1.0f) return argmax(logits);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) candidates_.push_back({static_cast<TokenId>(i), logits[i], 0.0});
  if (options_.repeat_penalty != 1.0f) {
    const std::unordered_set<TokenId> seen(history.begin(), history.end());
    for (const TokenId id : seen) {
      float& logit = candidates_[static_cast<size_t>(id)].logit;
      logit = logit > 0.0f ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    }
  }
  if (greedy) {
    drop_nan();
    return std::max_element(candidates_.begin(), candidates_.end(),
                            [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; })
        ->id;
  }
  cut_candidates();
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += candidate.probability;
  double left = rng_.uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.probability;
    if (left < 0.0) return candidate.id;
  }
  return candidates_.back().id;
}

void Sampler::drop_nan() {
  std::erase_if(candidates_, [](const Candidate& c) { return std::isnan(c.logit); });
  if (candidates_.empty()) throw Error("the model gives NaN logits");
}

void Sampler::cut_candidates() {
  drop_nan();
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const size_t keep = options_.top_k > 0
                          ? std::min<size_t>(static_cast<size_t>(options_.top_k), candidates_.size())
                          : candidates_.size();
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(keep),
                    candidates_.end(), before);
  candidates_.resize(keep);
  const double highest = candidates_.front().logit;
  double total = 0.0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = std::exp((candidate.logit - highest) / options_.temperature);
    total += candidate.probability;
  }
  double sum = 0.0;
  size_t count = 0;
  while (count < candidates_.size() && candidates_[count].probability >= options_.min_p) {
    sum += candidates_[count++].probability;
    if (sum >= options_.top_p * total) break;
  }
  candidates_.resize(std::max<size_t>(count, 1));
}

}  // namespace assay
