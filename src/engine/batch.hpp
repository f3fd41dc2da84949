#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/drafter.hpp"
#include "engine/generate.hpp"

namespace assay {

/// One prompt and how it goes on, `samples` times: sample i has the seed options.sampling.seed + i.
struct BatchRequest {
  std::vector<TokenId> prompt;
  GenerateOptions options{};
  int64_t samples = 1;
};

/// A text and the keys and values of all its tokens.
struct CachedText {
  std::vector<TokenId> tokens;
  KvCache cache;
};

struct BatchOptions {
  int64_t batch = 1;  ///< sequences that run together at most
  /// Receives the text of result `index` as it becomes certain; results of a batch interleave.
  std::function<void(size_t index, std::string_view text)> on_text{};
  /// Called as each result is complete, in the order of completion.
  std::function<void(size_t index, const Generation& result)> on_done{};
  /// What every prompt may begin with: the tokens it shares with a prompt are not computed again.
  const CachedText* prefix = nullptr;
  /// Where the first result's text and cache go, for the next turn or a file. What is there already is taken
  /// up by the first prompt as far as they agree, without a copy.
  std::unique_ptr<CachedText>* keep = nullptr;
  /// Gives every sequence a drafter of its own; none when empty.
  std::function<std::unique_ptr<Drafter>()> make_drafter{};
};

/// Continues every prompt, `batch` sequences at a time: all of them go through each pass over the weights
/// together, one token each while they decode, and the next prompt takes the place of a sequence that ended
/// at once. A prompt is computed once for all its samples. Tokens, text and logits of each result are what
/// the same request gives on its own, bit for bit. Results are in the order of requests, then samples.
/// Throws Error before any work when a prompt is empty or longer than its context, when a context exceeds
/// the model's, or when memory will not hold the weights and the caches.
std::vector<Generation> generate_batch(LanguageModel& model, std::span<const BatchRequest> requests,
                                       const BatchOptions& options);

/// False where the model's angles of rotation depend on the length of the text at each pass (dynamic NTK
/// rope): a cache cannot be taken up again nor tokens checked ahead without changing what the model says.
bool has_fixed_positions(const LanguageModel& model) noexcept;
/// Throws Error where they do; `what` names who asks.
void require_fixed_positions(const LanguageModel& model, std::string_view what);

}  // namespace assay
