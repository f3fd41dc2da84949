#include "cli/compare_divergence.hpp"

#include <cmath>
#include <filesystem>
#include <memory>

#include "eval/divergence_measurements.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// A subject's weights, once, with a decoder of each arithmetic.
struct Runner {
  Runner(const Subject& of, int threads)
      : subject(&of),
        model(of.path, {.threads = threads, .compute = Compute::kExact}),
        fast(model.file(), {.threads = threads, .compute = Compute::kFast}) {}
  const Subject* subject;
  LanguageModel model;
  Decoder fast;
};

/// One subject's result in one arithmetic on one corpus.
struct Outcome {
  const Subject* subject;
  Compute compute;
  Json settings;
  DivergenceResult result;
};

/// The page draws one curve a subject: that of its weights.
void add_curves(Report& report, const Outcome& outcome) {
  for (const DivergenceCurve& curve : outcome.result.curves) {
    Series series{.subject = outcome.subject->label,
                  .task = "divergence",
                  .metric = curve.metric,
                  .x_name = curve.x_name,
                  .unit = curve.unit,
                  .n_unit = "tokens",
                  .settings = outcome.settings,
                  .file_sha256 = outcome.subject->sha256};
    series.settings["interval"] = describe_interval(outcome.result, outcome.result.kl, curve.resamples);
    for (const DivergenceCurve::Point& point : curve.points) {
      Series::Point drawn{.x = point.x, .y = point.y.value, .n = point.tokens, .label = point.label};
      if (std::isfinite(point.y.low)) drawn.low = point.y.low;
      if (std::isfinite(point.y.high)) drawn.high = point.y.high;
      series.points.push_back(std::move(drawn));
    }
    report.series.push_back(std::move(series));
  }
}

void append(Report& report, const std::vector<PairedComparison>& made) {
  report.comparisons.insert(report.comparisons.end(), made.begin(), made.end());
}

void add_corpus(Report& report, const std::vector<Outcome>& outcomes) {
  const auto is_candidate = [&](const Outcome& o) { return o.subject->label != report.reference; };
  for (const Outcome& outcome : outcomes) {
    const Subject& subject = *outcome.subject;
    for (Measurement& made : measurements_of(outcome.result, subject.label, subject.sha256, outcome.settings))
      report.measurements.push_back(std::move(made));
    if (outcome.compute == Compute::kExact) add_curves(report, outcome);
    if (is_candidate(outcome))
      append(report,
             {compare_with_reference(outcome.result, report.reference, subject.label, outcome.settings)});
  }
  for (size_t second = 1; second < outcomes.size(); ++second)
    for (size_t first = 0; first < second; ++first) {
      const Outcome &a = outcomes[first], &b = outcomes[second];
      if (is_candidate(a) && is_candidate(b) && a.compute == b.compute)
        append(report,
               compare_divergences(a.result, b.result, a.subject->label, b.subject->label, a.settings));
    }
}

}  // namespace

void compare_divergence(Report& report, const std::vector<Corpus>& corpora, const WindowOptions& windows,
                        int threads, Progress& progress) {
  std::vector<std::unique_ptr<Runner>> runners;
  for (const Subject& subject : report.subjects) {
    if (subject.kind == "endpoint")
      report.notes.push_back(subject.label + ": an endpoint gives no logits, so its divergence is unknown");
    else
      runners.push_back(std::make_unique<Runner>(subject, threads));
  }
  std::vector<DivergenceCandidate> candidates;
  for (const auto& runner : runners) candidates.push_back({.model = &runner->model});
  for (const auto& runner : runners)
    candidates.push_back({.model = &runner->model, .decoder = &runner->fast});
  LanguageModel reference(runners.front()->subject->path, {.threads = threads, .compute = Compute::kExact});
  for (const Corpus& corpus : corpora) {
    std::vector<DivergenceResult> results =
        measure_divergences(reference, candidates, corpus, windows, progress);
    std::vector<Outcome> outcomes;
    for (size_t i = 0; i < results.size(); ++i) {
      const Compute compute = i < runners.size() ? Compute::kExact : Compute::kFast;
      Json settings = divergence_settings(results[i], corpus, windows, compute, Compute::kExact);
      settings["corpus"] = std::filesystem::path(corpus.path).filename().string();
      outcomes.push_back(
          {runners[i % runners.size()]->subject, compute, std::move(settings), std::move(results[i])});
    }
    add_corpus(report, outcomes);
  }
}

}  // namespace assay
