#include "eval/perplexity.hpp"

#include <cmath>

#include "eval/log_softmax.hpp"

namespace assay {

PerplexityResult measure_perplexity(LanguageModel& model, std::string_view text, const WindowOptions& options,
                                    Progress& progress) {
  require_context(model, options.context);
  const auto windows = cut_windows(model.tokenizer(), text, options);
  const int64_t first_scored = options.context / 2;
  std::vector<Cluster> clusters;
  std::vector<double> log_probabilities;
  double sum = 0.0, squares = 0.0;
  PerplexityResult result;
  result.windows = static_cast<int64_t>(windows.size());
  progress.begin("perplexity", windows.size() * static_cast<uint64_t>(options.context), "token");
  for (const auto& window : windows) {
    Cluster cluster;
    KvCache cache = model.decoder().make_cache(options.context);
    model.decoder().forward_all(window, cache, [&](int64_t position, std::span<const float> logits) {
      progress.advance(1);
      if (position < first_scored || position + 1 >= options.context) return;
      log_softmax(logits, log_probabilities);
      const double nll = -log_probabilities[static_cast<size_t>(window[static_cast<size_t>(position + 1)])];
      cluster.sum += nll;
      cluster.count += 1.0;
      squares += nll * nll;
    });
    sum += cluster.sum;
    result.tokens += static_cast<int64_t>(cluster.count);
    clusters.push_back(cluster);
  }
  progress.end();
  const auto n = static_cast<double>(result.tokens);
  const double mean = sum / n;
  result.perplexity = std::exp(mean);
  result.standard_error =
      n > 1 ? result.perplexity * std::sqrt(std::max(0.0, squares / n - mean * mean) / (n - 1)) : 0.0;
  result.nll = cluster_mean(clusters, 0);
  return result;
}

}  // namespace assay
