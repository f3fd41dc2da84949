#include "eval/divergence.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/stopwatch.hpp"
#include "eval/divergence_statistics.hpp"
#include "eval/logit_rows.hpp"

namespace assay {
namespace {

/// Rows of logits that all models together hold at once: enough that the output layer's weights are read and
/// decoded rarely, few enough that they cost little memory (84 · 151,936 · 4 bytes = 51 MB).
constexpr int64_t kLogitsRows = 84;
/// Tokens that the float products take at once.
constexpr int64_t kTileTokens = 6;

/// A model on its way through the windows.
struct Runner {
  Decoder* decoder = nullptr;
  double seconds = 0.0;

  void absorb(std::span<const TokenId> tokens) {
    const Stopwatch watch;
    decoder->absorb(tokens);
    seconds += watch.seconds();
  }

  std::span<const float> logits_of(int64_t first, int64_t count) {
    const Stopwatch watch;
    const auto logits = decoder->logits_of(first, count);
    seconds += watch.seconds();
    return logits;
  }
};

struct Course {
  Runner runner;
  std::vector<TokenDivergence> tokens{};
  double bookkeeping_seconds = 0.0;
};

/// The reference's logits of a few tokens and what was found in them.
struct ReferenceRows {
  std::span<const float> logits;  ///< [peaks.size(), vocab_size]
  std::vector<LogitPeaks> peaks;

  std::span<const float> row(size_t i) const {
    const size_t width = logits.size() / peaks.size();
    return logits.subspan(i * width, width);
  }
};

ReferenceRows rows_of(std::span<const float> logits, int64_t count, ThreadPool& pool) {
  ReferenceRows rows{logits, {}};
  const size_t width = logits.size() / static_cast<size_t>(count);
  for (int64_t i = 0; i < count; ++i)
    rows.peaks.push_back(find_peaks(logits.subspan(static_cast<size_t>(i) * width, width), pool));
  return rows;
}

TokenDivergence compare_token(std::span<const float> p, const LogitPeaks& p_peaks, std::span<const float> q,
                              TokenId next, ThreadPool& pool) {
  const LogitPeaks q_peaks = find_peaks(q, pool);
  const RowDivergence row = compare_rows(p, p_peaks, q, q_peaks, pool);
  const auto truth = static_cast<size_t>(next);
  const auto nll = [&](std::span<const float> logits, const LogitPeaks& peaks, double log_sum) {
    return log_sum - (static_cast<double>(logits[truth]) - peaks.highest);
  };
  return {.kl = row.kl,
          .reference_nll = nll(p, p_peaks, row.p_log_sum),
          .candidate_nll = nll(q, q_peaks, row.q_log_sum),
          .confidence = static_cast<float>(std::exp(-row.p_log_sum)),
          .top5 = static_cast<float>(shared_best(p_peaks, q_peaks)),
          .top1 = p_peaks.top1() == q_peaks.top1()};
}

/// The side-by-side run of a reference and its candidates.
class SideBySide {
 public:
  SideBySide(LanguageModel& reference, std::span<const DivergenceCandidate> candidates, Progress& progress)
      : reference_{&reference.decoder()}, progress_(progress) {
    for (const DivergenceCandidate& candidate : candidates)
      courses_.push_back({.runner = {&candidate.running()}});
  }

  void run_window(std::span<const TokenId> tokens, int64_t first_position, uint32_t cluster) {
    const auto predicting = static_cast<int64_t>(tokens.size()) - 1;  // the last one predicts nothing known
    const auto heard = tokens.first(static_cast<size_t>(predicting));
    reference_.absorb(heard);
    for (Course& course : courses_) course.runner.absorb(heard);
    const int64_t each = kLogitsRows / (1 + static_cast<int64_t>(courses_.size()));
    const int64_t chunk = std::max<int64_t>(1, each / kTileTokens) * kTileTokens;
    for (int64_t at = first_position; at < predicting; at += chunk)
      compare(tokens, at, std::min(chunk, predicting - at), cluster);
    progress_.advance(static_cast<uint64_t>(predicting) * courses_.size());
  }

  std::vector<DivergenceResult> finish() {
    std::vector<DivergenceResult> results;
    for (Course& course : courses_) {
      const Stopwatch watch;
      results.push_back(summarize_divergence(course.tokens));
      results.back().reference_seconds = reference_.seconds;
      results.back().candidate_seconds = course.runner.seconds;
      results.back().bookkeeping_seconds = course.bookkeeping_seconds + watch.seconds();
    }
    return results;
  }

 private:
  /// Scores `count` positions from `at` on.
  void compare(std::span<const TokenId> tokens, int64_t at, int64_t count, uint32_t cluster) {
    const auto logits = reference_.logits_of(at, count);
    const Stopwatch watch;
    const ReferenceRows rows = rows_of(logits, count, reference_.decoder->pool());
    double seconds = watch.seconds();
    for (Course& course : courses_) {
      const auto candidate = course.runner.logits_of(at, count);
      const size_t width = candidate.size() / static_cast<size_t>(count);
      const Stopwatch comparing;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t position = at + i;
        const auto row = static_cast<size_t>(i);
        course.tokens.push_back(
            compare_token(rows.row(row), rows.peaks[row], candidate.subspan(row * width, width),
                          tokens[static_cast<size_t>(position + 1)], course.runner.decoder->pool()));
        course.tokens.back().position = static_cast<int32_t>(position);
        course.tokens.back().cluster = cluster;
      }
      course.bookkeeping_seconds += seconds + comparing.seconds();
      seconds = 0.0;  // the reference's share counts once
    }
  }

  Runner reference_;
  std::vector<Course> courses_;
  Progress& progress_;
};

uint64_t count_predicting(std::span<const Window> windows) {
  uint64_t count = 0;
  for (const Window& window : windows) count += window.tokens.size() - 1;
  return count;
}

}  // namespace

const Estimate& DivergenceResult::figure(std::string_view name) const {
  for (const DivergenceFigure& each : figures)
    if (each.name == name) return each.estimate;
  throw Error({"divergence has no such statistic", {}, {}, std::string(name), {}});
}

std::vector<DivergenceResult> measure_divergences(LanguageModel& reference,
                                                  std::span<const DivergenceCandidate> candidates,
                                                  const Corpus& corpus, const WindowOptions& options,
                                                  Progress& progress) {
  const Corpus rendered = render_conversations(corpus, reference);
  const std::vector<Window> windows = cut_corpus(reference.tokenizer(), rendered, options);
  size_t longest = 0;
  for (const Window& window : windows) longest = std::max(longest, window.tokens.size());
  require_context(reference, static_cast<int64_t>(longest));
  for (const DivergenceCandidate& candidate : candidates) {
    require_context(*candidate.model, static_cast<int64_t>(longest));
    require_comparable(reference, *candidate.model, rendered, windows, options);
  }
  SideBySide run(reference, candidates, progress);
  progress.begin("divergence", count_predicting(windows) * candidates.size(), "token");
  size_t scored = 0, clusters = 0;
  const Window* last = nullptr;
  for (const Window& window : windows) {
    const int64_t first = first_scored(options, ScoredPositions::kAll, window.tokens.size());
    if (first + 1 >= static_cast<int64_t>(window.tokens.size())) continue;
    if (last == nullptr || window.cluster != last->cluster) ++clusters;
    run.run_window(window.tokens, first, static_cast<uint32_t>(clusters - 1));
    last = &window;
    ++scored;
  }
  if (scored == 0) throw Error("no window of the corpus has a position to score");
  std::vector<DivergenceResult> results = run.finish();
  progress.end();
  for (DivergenceResult& result : results) {
    result.windows = static_cast<int64_t>(scored);
    const bool has_documents = rendered.documents.size() > 1 && clusters > 1;
    result.cluster_unit = has_documents ? "documents" : "windows";
  }
  return results;
}

std::vector<DivergenceResult> measure_divergences(LanguageModel& reference,
                                                  std::span<LanguageModel* const> candidates,
                                                  std::string_view text, const WindowOptions& options,
                                                  Progress& progress) {
  std::vector<DivergenceCandidate> running;
  for (LanguageModel* candidate : candidates) running.push_back({.model = candidate});
  return measure_divergences(reference, running, text_corpus(text), options, progress);
}

DivergenceResult measure_divergence(LanguageModel& reference, LanguageModel& candidate, std::string_view text,
                                    const WindowOptions& options, Progress& progress) {
  LanguageModel* const candidates[] = {&candidate};
  return measure_divergences(reference, candidates, text, options, progress).front();
}

}  // namespace assay
