#pragma once
#include <string_view>

#include "base/progress.hpp"
#include "eval/corpus.hpp"
#include "eval/statistics.hpp"

namespace assay {

/// Perplexity of a text as llama-perplexity computes it: windows of `context` tokens, of which the second
/// half (positions context/2 … context-2) is scored. Comparable with llama.cpp on the same file and text.
struct PerplexityResult {
  double perplexity = 0.0;
  double standard_error = 0.0;  ///< perplexity · sqrt(var(nll) / (n - 1)), as llama-perplexity prints it
  Estimate nll{};               ///< mean negative log-likelihood, nats per token, bootstrap over windows
  int64_t tokens = 0;           ///< scored tokens
  int64_t windows = 0;
};

/// Throws Error when the text fills no window or the windows exceed the model's context.
PerplexityResult measure_perplexity(LanguageModel& model, std::string_view text, const WindowOptions& options,
                                    Progress& progress);

}  // namespace assay
