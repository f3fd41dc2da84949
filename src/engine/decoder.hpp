#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.hpp"
#include "engine/compute.hpp"
#include "engine/kv_cache.hpp"
#include "models/model_file.hpp"
#include "text/tokenizer.hpp"

namespace assay {

/// Tokens that follow what a sequence's cache holds.
struct SequenceStep {
  std::span<const TokenId> tokens;
  KvCache* cache = nullptr;
};

/// Runs any decoder-only model that ModelConfig describes. Weights stay packed in their mapped files; only
/// norms and biases are copied to f32. Logits are the same, bit for bit, for any number of threads, however
/// the tokens are split over calls and whatever other sequences run beside them (dynamic NTK rope excepted:
/// there transformers itself lets frequencies depend on the length at each call).
class Decoder {
 public:
  /// `model` must outlive the decoder. Throws Error when a weight is in a format assay cannot decode or its
  /// rows do not fit the format.
  Decoder(const ModelFile& model, const EngineOptions& options);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  const ModelConfig& config() const noexcept;
  Compute compute() const noexcept;
  KvFormat kv_format() const noexcept;
  int threads() const noexcept;
  /// The team that runs the layers, for work on logits between calls and inside forward_all's `visit`.
  ThreadPool& pool() noexcept;

  KvCache make_cache(int64_t max_positions) const;

  /// Appends `tokens` to the sequence in `cache` and returns the logits after the last one, [vocab_size].
  /// The span stays valid until the next call. Throws Error for an id outside the vocabulary, no tokens, or a
  /// full context.
  std::span<const float> forward(std::span<const TokenId> tokens, KvCache& cache);

  /// The same, but hands the logits after every token to `visit(index, logits)`, in order.
  void forward_all(std::span<const TokenId> tokens, KvCache& cache,
                   const std::function<void(int64_t, std::span<const float>)>& visit);

  /// In two steps, for many sequences: appends the tokens of every step, each to a cache of its own, in one
  /// pass over the weights, and keeps their final hidden states, which serve logits_at() until the next call
  /// of any other kind. Same faults; nothing has run then.
  void run_steps(std::span<const SequenceStep> steps);
  /// Logits after some of those tokens, counted over all steps, [rows.size(), vocab_size]. Valid until the
  /// next call.
  std::span<const float> logits_at(std::span<const int64_t> rows);
  /// How many tokens a pass should take, so that memory stays small; where dynamic NTK rope must see a
  /// sequence whole, all.
  int64_t chunk_tokens() const noexcept;

  /// In two steps, for models held against each other: runs a text of its own, [tokens], and keeps its final
  /// hidden states, which serve logits_of() until the next call of any other kind. Same logits, same faults.
  /// Layer by layer, so that keys and values of one layer are held at a time; memory grows by 4 · hidden_dim
  /// and one layer's keys and values a token.
  void absorb(std::span<const TokenId> tokens);
  /// Logits after `count` of those tokens from `first` on, [count, vocab_size]. Valid until the next call.
  std::span<const float> logits_of(int64_t first, int64_t count);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
