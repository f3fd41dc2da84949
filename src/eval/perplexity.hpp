#pragma once
#include <string_view>

#include "base/progress.hpp"
#include "eval/corpus.hpp"
#include "eval/statistics.hpp"

namespace assay {

/// Perplexity as llama-perplexity computes it: windows of `context` tokens, of which the second half
/// (positions context/2 … context-2) is scored unless the options say otherwise. Comparable with llama.cpp on
/// the same file and plain text.
struct PerplexityResult {
  double perplexity = 0.0;
  double standard_error = 0.0;  ///< perplexity · sqrt(var(nll) / (n - 1)), as llama-perplexity prints it
  Estimate nll{};      ///< mean negative log-likelihood, nats per token, bootstrap over documents or windows
  int64_t tokens = 0;  ///< scored tokens
  int64_t windows = 0;
};

/// Throws Error when nothing can be scored or the windows exceed the model's context. Conversations are
/// rendered by the model's chat template.
PerplexityResult measure_perplexity(LanguageModel& model, const Corpus& corpus, const WindowOptions& options,
                                    Progress& progress);
/// Of a plain text; throws Error when it fills no window.
PerplexityResult measure_perplexity(LanguageModel& model, std::string_view text, const WindowOptions& options,
                                    Progress& progress);

}  // namespace assay
