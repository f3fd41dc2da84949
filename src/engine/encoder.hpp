#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.hpp"
#include "engine/compute.hpp"
#include "models/model_file.hpp"
#include "text/tokenizer.hpp"

namespace assay {

/// Runs any encoder that EncoderTraits describes. Texts are laid end to end without padding; a text's result
/// is the same, bit for bit, in any batch, for any number of threads and on every instruction set.
///
/// fast: int8 and int4 weights multiply with activations quantized per token, sums exact; float weights in
/// f32. exact: weights decoded to f32, products in f32: what the weights alone lost.
class Encoder {
 public:
  /// `model` must outlive the encoder.
  Encoder(const ModelFile& model, const EngineOptions& options);
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  const ModelConfig& config() const noexcept;
  Compute compute() const noexcept;
  int threads() const noexcept;
  /// The encoder's threads, for work between its calls.
  ThreadPool& pool() noexcept;
  /// Bytes of weights held in memory: the packed matrices, and the embedding tables, which stay in the mapped
  /// file, at their stored size. Fast compute holds int8 weights at one byte each and int4 at half a byte;
  /// every other format, and everything in exact compute, is held as f32.
  uint64_t resident_weight_bytes() const noexcept;

  /// Most tokens of one text.
  int64_t max_tokens() const noexcept;

  /// Final hidden states: visit(index of the text, [tokens, hidden_dim]), each text once, in any order.
  /// Throws Error for an empty text, an id outside the vocabulary, or more than max_tokens().
  using VisitRows = std::function<void(size_t, std::span<const float>)>;
  void hidden_states(std::span<const Encoding> texts, const VisitRows& visit);
  /// The hidden state of the first token alone, [hidden_dim]: the last layer computes no other row.
  void first_rows(std::span<const Encoding> texts, const VisitRows& visit);
  /// Logits of a sequence head, [labels]. Throws Error when the model has none.
  void sequence_logits(std::span<const Encoding> texts, const VisitRows& visit);
  /// Logits of a token head, [tokens, labels]. Throws Error when the model has none.
  void token_logits(std::span<const Encoding> texts, const VisitRows& visit);
  /// BERT's pooler output (dense + tanh of the first row), [hidden_dim]. Throws Error when it has none.
  void pooler_output(std::span<const Encoding> texts, const VisitRows& visit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
