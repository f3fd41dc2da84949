#pragma once
#include <filesystem>
#include <mutex>

#include "engine/encoder.hpp"
#include "engine/encoder_forward.hpp"

namespace assay {

/// What a run hands back.
enum class EncoderOutput : uint8_t { kHidden, kFirst, kSequence, kToken, kPooler };

/// The machine inside Encoder, on a table of kernels of the caller's choice (tests compare instruction sets).
class EncoderRunner {
 public:
  /// `model` must outlive the runner. Throws Error when it is no encoder.
  EncoderRunner(const ModelFile& model, const EngineOptions& options, const EncoderKernels& kernels);
  EncoderRunner(const EncoderRunner&) = delete;
  EncoderRunner& operator=(const EncoderRunner&) = delete;

  /// visit is called from one thread at a time. Throws Error before anything runs when a text cannot be run
  /// or the model lacks the head.
  void run(std::span<const Encoding> texts, EncoderOutput output, const Encoder::VisitRows& visit);

  const ModelConfig& config() const noexcept { return config_; }
  Compute compute() const noexcept { return compute_; }
  int64_t max_tokens() const noexcept { return max_tokens_; }
  const EncoderWeights& weights() const noexcept { return weights_; }
  ThreadPool& pool() noexcept { return pool_; }

 private:
  void check_text(const Encoding& text) const;
  void check_output(EncoderOutput output) const;
  void run_batch(std::span<const Encoding> texts, const EncoderBatch& batch, EncoderOutput output,
                 const Encoder::VisitRows& visit, const Team& team);

  const ModelConfig& config_;
  std::filesystem::path path_;
  Compute compute_;
  ThreadPool pool_;
  EncoderWeights weights_;
  EncoderPositions positions_;
  EncoderModelParts parts_;  // refers to the members above
  int64_t max_tokens_;
  Shelf<BatchWorkspace> batches_;
  Shelf<BlockWorkspace> blocks_;
  std::mutex visiting_;
};

}  // namespace assay
