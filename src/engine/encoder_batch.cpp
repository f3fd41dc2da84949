#include "engine/encoder_batch.hpp"

#include <algorithm>
#include <numeric>

namespace assay {
namespace {

/// Tokens of a batch. Large enough that reading the weights once costs little beside the products, small
/// enough that the activations stay in a core's own cache.
constexpr int64_t kBatchTokens = 512;
/// Below this many tokens a thread, all threads share the products of one batch instead.
constexpr int64_t kTokensWorthAThread = 64;

int64_t text_length(const Encoding& text) {
  return static_cast<int64_t>(text.ids.size());
}

void append(EncoderBatch& batch, size_t index, int64_t length) {
  if (batch.begin.empty()) batch.begin.push_back(0);
  batch.texts.push_back(index);
  batch.begin.push_back(batch.begin.back() + length);
}

/// True when threads that take one batch after another end at about the same time.
bool shares_evenly(const std::vector<EncoderBatch>& batches, int64_t total, int threads) {
  const auto count = static_cast<int64_t>(batches.size());
  if (count >= 4 * threads) return true;
  if (count == 0 || count % threads != 0) return false;
  int64_t largest = 0;
  for (const EncoderBatch& batch : batches) largest = std::max(largest, batch.tokens());
  return largest * count * 4 <= total * 5;
}

}  // namespace

EncoderPlan plan_batches(std::span<const Encoding> texts, int threads) {
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return texts[a].ids.size() > texts[b].ids.size(); });
  int64_t total = 0;
  for (const Encoding& text : texts) total += text_length(text);
  // A whole number of batches for each thread; the last of them then end together.
  const int64_t rounds = (total + kBatchTokens * threads - 1) / (kBatchTokens * threads);
  const int64_t target = std::max<int64_t>(
      (total + rounds * threads - 1) / std::max<int64_t>(rounds * threads, 1), kTokensWorthAThread);
  EncoderPlan plan;
  for (const size_t index : order) {
    const int64_t length = text_length(texts[index]);
    if (plan.batches.empty() || plan.batches.back().tokens() + length / 2 >= target)
      plan.batches.emplace_back();
    append(plan.batches.back(), index, length);
  }
  if (!order.empty()) plan.longest = text_length(texts[order.front()]);
  plan.one_thread_each = threads > 1 && shares_evenly(plan.batches, total, threads);
  return plan;
}

}  // namespace assay
