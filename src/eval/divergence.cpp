#include "eval/divergence.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "eval/log_softmax.hpp"

namespace assay {
namespace {

void require_comparable(const LanguageModel& reference, const LanguageModel& candidate,
                        const std::vector<std::vector<TokenId>>& windows, std::string_view text,
                        const WindowOptions& options) {
  const std::string where = candidate.file().path().string();
  if (reference.config().vocab_size != candidate.config().vocab_size)
    throw Error({"cannot be compared: the vocabularies differ",
                 where,
                 std::to_string(reference.config().vocab_size) + " tokens",
                 std::to_string(candidate.config().vocab_size),
                 {}});
  if (cut_windows(candidate.tokenizer(), text, options) != windows)
    throw Error({"cannot be compared: the tokenizers differ", where,
                 "the reference's token ids for this text", "others",
                 "another tokenizer, or a BOS added by one of the two only"});
}

std::array<size_t, 5> top_five(std::span<const double> values) {
  std::array<size_t, 5> best{};
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t count = std::min<size_t>(5, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
      [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  std::copy_n(order.begin(), count, best.begin());
  return best;
}

/// Sums of one window, and everything the quantiles need.
class Collector {
 public:
  void begin_window() {
    for (auto* clusters : {&kl_, &top1_, &top5_, &nll_reference_, &nll_candidate_, &nll_difference_})
      clusters->emplace_back();
  }

  void add(std::span<const double> log_p, std::span<const double> log_q, TokenId next) {
    double kl = 0.0;
    for (size_t i = 0; i < log_p.size(); ++i) {
      const double p = std::exp(log_p[i]);
      if (p > 0.0) kl += p * (log_p[i] - log_q[i]);
    }
    const auto best_p = top_five(log_p), best_q = top_five(log_q);
    double shared = 0.0;
    for (const size_t id : best_p) shared += std::count(best_q.begin(), best_q.end(), id) > 0 ? 0.2 : 0.0;
    const auto truth = static_cast<size_t>(next);
    count(kl_, kl);
    count(top1_, best_p[0] == best_q[0] ? 1.0 : 0.0);
    count(top5_, shared);
    count(nll_reference_, -log_p[truth]);
    count(nll_candidate_, -log_q[truth]);
    count(nll_difference_, log_p[truth] - log_q[truth]);
    const double delta_p = std::exp(log_q[truth]) - std::exp(log_p[truth]);
    delta_p_sum_ += delta_p;
    delta_p_squares_ += delta_p * delta_p;
    divergences_.push_back(kl);
  }

  DivergenceResult finish() {
    std::sort(divergences_.begin(), divergences_.end());
    const auto n = static_cast<double>(divergences_.size());
    return {.kl = cluster_mean(kl_, 0),
            .kl_median = quantile(divergences_, 0.5),
            .kl_p90 = quantile(divergences_, 0.9),
            .kl_p99 = quantile(divergences_, 0.99),
            .kl_p999 = quantile(divergences_, 0.999),
            .kl_max = divergences_.back(),
            .top1_agreement = cluster_mean(top1_, 0),
            .top5_agreement = cluster_mean(top5_, 0),
            .nll_reference = cluster_mean(nll_reference_, 0),
            .nll_candidate = cluster_mean(nll_candidate_, 0),
            .nll_difference = cluster_mean(nll_difference_, 0),
            .delta_p_mean = delta_p_sum_ / n,
            .delta_p_rms = std::sqrt(delta_p_squares_ / n),
            .tokens = static_cast<int64_t>(divergences_.size()),
            .windows = static_cast<int64_t>(kl_.size())};
  }

 private:
  static void count(std::vector<Cluster>& clusters, double value) {
    clusters.back().sum += value;
    clusters.back().count += 1.0;
  }

  std::vector<Cluster> kl_, top1_, top5_, nll_reference_, nll_candidate_, nll_difference_;
  std::vector<double> divergences_;
  double delta_p_sum_ = 0.0, delta_p_squares_ = 0.0;
};

/// One candidate's run over the windows.
struct Course {
  LanguageModel* model;
  Collector collector;
  std::optional<KvCache> cache;

  void begin_window(int64_t context) {
    collector.begin_window();
    cache.emplace(model->decoder().make_cache(context));
  }
};

/// Positions whose reference logits are held at once. Dynamic NTK rope turns by the length of the whole call,
/// so there a window is never split.
int64_t block_positions(const LanguageModel& reference, std::span<const Course> courses, int64_t context) {
  const auto needs_all = [](const LanguageModel& model) {
    return model.config().rope.scaling == RopeConfig::Scaling::kDynamicNtk;
  };
  if (needs_all(reference) || std::any_of(courses.begin(), courses.end(),
                                          [&](const Course& course) { return needs_all(*course.model); }))
    return context;
  constexpr int64_t kBlock = 64;
  return std::min(kBlock, context);
}

}  // namespace

std::vector<DivergenceResult> measure_divergences(LanguageModel& reference,
                                                  std::span<LanguageModel* const> candidates,
                                                  std::string_view text, const WindowOptions& options,
                                                  Progress& progress) {
  require_context(reference, options.context);
  const auto windows = cut_windows(reference.tokenizer(), text, options);
  std::vector<Course> courses;
  for (LanguageModel* candidate : candidates) {
    require_context(*candidate, options.context);
    require_comparable(reference, *candidate, windows, text, options);
    courses.push_back({candidate, {}, {}});
  }
  const int64_t block_size = block_positions(reference, courses, options.context);
  std::vector<std::vector<double>> held(
      static_cast<size_t>(block_size));  // log p after each position of the block
  std::vector<double> log_q;
  progress.begin("divergence", windows.size() * static_cast<uint64_t>(options.context) * candidates.size(),
                 "token");
  for (const auto& window : windows) {
    KvCache reference_cache = reference.decoder().make_cache(options.context);
    for (Course& course : courses) course.begin_window(options.context);
    for (int64_t begin = 0; begin < options.context; begin += block_size) {
      const auto block = std::span(window).subspan(
          static_cast<size_t>(begin), static_cast<size_t>(std::min(block_size, options.context - begin)));
      reference.decoder().forward_all(block, reference_cache, [&](int64_t i, std::span<const float> logits) {
        log_softmax(logits, held[static_cast<size_t>(i)]);
      });
      for (Course& course : courses)
        course.model->decoder().forward_all(
            block, *course.cache, [&](int64_t i, std::span<const float> logits) {
              progress.advance(1);
              if (begin + i + 1 >= options.context) return;
              log_softmax(logits, log_q);
              course.collector.add(held[static_cast<size_t>(i)], log_q,
                                   window[static_cast<size_t>(begin + i + 1)]);
            });
    }
  }
  progress.end();
  std::vector<DivergenceResult> results;
  for (Course& course : courses) results.push_back(course.collector.finish());
  return results;
}

DivergenceResult measure_divergence(LanguageModel& reference, LanguageModel& candidate, std::string_view text,
                                    const WindowOptions& options, Progress& progress) {
  LanguageModel* const candidates[] = {&candidate};
  return measure_divergences(reference, candidates, text, options, progress).front();
}

}  // namespace assay
