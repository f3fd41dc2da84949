#include "eval/perplexity.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "eval/logit_rows.hpp"

namespace assay {
namespace {

/// Tokens whose logits are held at once.
constexpr int64_t kLogitsChunk = 48;

/// Sums over scored tokens.
struct Tally {
  double sum = 0.0, squares = 0.0;
  int64_t tokens = 0;

  void add(double nll) {
    sum += nll;
    squares += nll * nll;
    ++tokens;
  }
};

void score_window(Decoder& decoder, std::span<const TokenId> tokens, int64_t first_position, Tally& tally,
                  Progress& progress) {
  const auto predicting = static_cast<int64_t>(tokens.size()) - 1;  // the last one predicts nothing known
  const auto width = static_cast<size_t>(decoder.config().vocab_size);
  decoder.absorb(tokens.first(static_cast<size_t>(predicting)));
  for (int64_t at = first_position; at < predicting; at += kLogitsChunk) {
    const int64_t rows = std::min(kLogitsChunk, predicting - at);
    const auto logits = decoder.logits_of(at, rows);
    for (int64_t i = 0; i < rows; ++i) {
      const auto row = logits.subspan(static_cast<size_t>(i) * width, width);
      const LogitPeaks peaks = find_peaks(row, decoder.pool());
      const auto truth = static_cast<size_t>(tokens[static_cast<size_t>(at + i + 1)]);
      tally.add(log_sum_exp(row, peaks, decoder.pool()) - (static_cast<double>(row[truth]) - peaks.highest));
    }
  }
  progress.advance(static_cast<uint64_t>(predicting));
}

uint64_t count_predicting(std::span<const Window> windows) {
  uint64_t count = 0;
  for (const Window& window : windows) count += window.tokens.size() - 1;
  return count;
}

}  // namespace

PerplexityResult measure_perplexity(LanguageModel& model, const Corpus& corpus, const WindowOptions& options,
                                    Progress& progress) {
  const std::vector<Window> windows =
      cut_corpus(model.tokenizer(), render_conversations(corpus, model), options);
  for (const Window& window : windows) require_context(model, static_cast<int64_t>(window.tokens.size()));
  std::vector<Cluster> clusters;
  Tally all;
  PerplexityResult result;
  const Window* last = nullptr;
  progress.begin("perplexity", count_predicting(windows), "token");
  for (const Window& window : windows) {
    const int64_t first = first_scored(options, ScoredPositions::kSecondHalf, window.tokens.size());
    if (first + 1 >= static_cast<int64_t>(window.tokens.size())) continue;
    if (last == nullptr || window.cluster != last->cluster) clusters.emplace_back();
    Tally tally;
    score_window(model.decoder(), window.tokens, first, tally, progress);
    clusters.back().sum += tally.sum;
    clusters.back().count += static_cast<double>(tally.tokens);
    all.sum += tally.sum;
    all.squares += tally.squares;
    all.tokens += tally.tokens;
    ++result.windows;
    last = &window;
  }
  progress.end();
  if (all.tokens == 0) throw Error("no window of the corpus has a position to score");
  const auto n = static_cast<double>(all.tokens);
  const double mean = all.sum / n;
  result.tokens = all.tokens;
  result.perplexity = std::exp(mean);
  result.standard_error =
      n > 1 ? result.perplexity * std::sqrt(std::max(0.0, all.squares / n - mean * mean) / (n - 1)) : 0.0;
  result.nll = cluster_mean(clusters, 0);
  return result;
}

PerplexityResult measure_perplexity(LanguageModel& model, std::string_view text, const WindowOptions& options,
                                    Progress& progress) {
  return measure_perplexity(model, text_corpus(text), options, progress);
}

}  // namespace assay
