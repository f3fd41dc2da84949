#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.hpp"
#include "eval/corpus.hpp"
#include "eval/statistics.hpp"

namespace assay {

/// One statistic. The names are ours and, where llama-perplexity prints the same thing, its own.
struct DivergenceFigure {
  std::string name;        ///< "kl_p99.9"
  std::string llama_name;  ///< "99.9% KLD"; empty where llama-perplexity has none
  std::string unit;        ///< "nats/token", "share", …
  Estimate estimate;       ///< infinite bounds where a bootstrap has nothing to say (maximum, minimum)
  int resamples = 2000;    ///< that the bounds rest on; of quantiles of large corpora fewer
};

/// Mean of a quantity over parts of the positions.
struct DivergenceCurve {
  struct Point {
    double x = 0.0;
    Estimate y{};
    int64_t tokens = 0;
    std::string label{};
  };
  std::string metric;  ///< "kl_mean" or "top1_agreement"
  std::string x_name;  ///< "position in the window" or "reference's confidence"
  std::string unit;
  std::vector<Point> points;
  int resamples = 1000;  ///< behind every point's interval
};

/// How far a candidate's predictions lie from a reference's on the same tokens, over the full vocabulary,
/// from f32 logits with f64 sums. Intervals: bootstrap over documents, or over windows of a single text. A
/// model against itself gives exactly 0.
struct DivergenceResult {
  Estimate kl;                              ///< mean KL(reference ‖ candidate) in nats
  Estimate top1_agreement;                  ///< share of positions where both rank the same token first
  Estimate top5_agreement;                  ///< mean share of the reference's five best among the candidate's
  Estimate nll_reference, nll_candidate;    ///< nats per token
  Estimate nll_difference;                  ///< candidate minus reference: ln of the perplexity ratio
  std::vector<DivergenceFigure> figures{};  ///< all statistics, these among them
  std::vector<DivergenceCurve> curves{};
  /// By document or window, in the corpus's order: what two candidates are compared by.
  std::vector<Cluster> kl_clusters{}, top1_clusters{}, nll_clusters{};
  int64_t tokens = 0, windows = 0;
  std::string cluster_unit{};  ///< "documents" or "windows"
  /// Of this candidate alone; the reference's are shared by all. Bookkeeping: everything but the models.
  double reference_seconds = 0.0, candidate_seconds = 0.0, bookkeeping_seconds = 0.0;

  /// Throws Error when there is no statistic of this name.
  const Estimate& figure(std::string_view name) const;
};

/// A model to compare; `decoder`, where given, runs its weights in another arithmetic than the model's own.
struct DivergenceCandidate {
  LanguageModel* model = nullptr;
  Decoder* decoder = nullptr;

  Decoder& running() const noexcept { return decoder != nullptr ? *decoder : model->decoder(); }
};

/// Measures every candidate against the same predictions of the reference, which runs once; all run side by
/// side, and no logits are kept. Conversations are rendered by the reference's chat template. Throws Error
/// when one cannot be compared: other vocabulary (padding included), tokenizer or BOS handling.
std::vector<DivergenceResult> measure_divergences(LanguageModel& reference,
                                                  std::span<const DivergenceCandidate> candidates,
                                                  const Corpus& corpus, const WindowOptions& options,
                                                  Progress& progress);
/// Of a plain text.
std::vector<DivergenceResult> measure_divergences(LanguageModel& reference,
                                                  std::span<LanguageModel* const> candidates,
                                                  std::string_view text, const WindowOptions& options,
                                                  Progress& progress);
DivergenceResult measure_divergence(LanguageModel& reference, LanguageModel& candidate, std::string_view text,
                                    const WindowOptions& options, Progress& progress);

/// Throws Error naming the first difference that makes predictions incomparable: width of the vocabulary
/// (padding included), BOS handling, the text of a token, or the tokens of this corpus.
void require_comparable(const LanguageModel& reference, const LanguageModel& candidate,
                        const Corpus& rendered, std::span<const Window> windows,
                        const WindowOptions& options);

}  // namespace assay
