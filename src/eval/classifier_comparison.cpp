#include "eval/classifier_comparison.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace assay {
namespace {

/// The label and probabilities of one row of logits; label -1 when a logit is not finite.
struct Answer {
  int64_t label = -1;
  std::vector<double> probabilities;
  double margin = 0.0;
};

Answer answer_of(std::span<const float> logits) {
  Answer answer;
  if (!std::all_of(logits.begin(), logits.end(), [](float value) { return std::isfinite(value); }))
    return answer;
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) {
    answer.probabilities.push_back(std::exp(logit - highest));
    sum += answer.probabilities.back();
  }
  for (double& p : answer.probabilities) p /= sum;
  answer.label = std::max_element(logits.begin(), logits.end()) - logits.begin();
  std::vector<double> sorted = answer.probabilities;
  std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
  answer.margin = sorted[0] - sorted[1];
  return answer;
}

double divergence(const Answer& reference, const Answer& candidate) {
  double sum = 0.0;
  for (size_t i = 0; i < reference.probabilities.size(); ++i) {
    const double p = reference.probabilities[i], q = candidate.probabilities[i];
    if (p > 0.0) sum += p * std::log(p / std::max(q, 1e-300));
  }
  return std::max(sum, 0.0);  // rounding of equal distributions
}

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

ClassifierScore score_classifier(std::span<const int64_t> predictions, std::span<const int64_t> labels,
                                 int64_t n_classes) {
  ASSAY_CHECK(predictions.size() == labels.size());
  std::vector<int64_t> right(static_cast<size_t>(n_classes)), given = right, wanted = right;
  int64_t hits = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    ++wanted[static_cast<size_t>(labels[i])];
    if (predictions[i] >= 0) ++given[static_cast<size_t>(predictions[i])];
    if (predictions[i] != labels[i]) continue;
    ++right[static_cast<size_t>(labels[i])];
    ++hits;
  }
  ClassifierScore score;
  score.accuracy = wilson_share(hits, static_cast<int64_t>(labels.size()));
  double sum = 0.0;
  int64_t occurring = 0;
  for (size_t c = 0; c < right.size(); ++c) {
    const ClassScore row{wanted[c], ratio(right[c], given[c]), ratio(right[c], wanted[c]),
                         ratio(2 * right[c], given[c] + wanted[c])};
    score.classes.push_back(row);
    if (given[c] + wanted[c] == 0) continue;
    sum += row.f1;
    ++occurring;
  }
  score.macro_f1 = occurring == 0 ? 0.0 : sum / static_cast<double>(occurring);
  return score;
}

ClassifierComparison compare_classifiers(std::span<const float> reference, std::span<const float> candidate,
                                         int64_t n_classes, std::span<const int64_t> labels, uint64_t seed) {
  ASSAY_CHECK(n_classes >= 2 && reference.size() == candidate.size());
  const auto width = static_cast<size_t>(n_classes);
  ClassifierComparison comparison;
  comparison.n = static_cast<int64_t>(reference.size() / width);
  std::vector<int64_t> before, after;
  std::vector<Cluster> divergences;
  for (int64_t i = 0; i < comparison.n; ++i) {
    const Answer a = answer_of(reference.subspan(static_cast<size_t>(i) * width, width));
    const Answer b = answer_of(candidate.subspan(static_cast<size_t>(i) * width, width));
    before.push_back(a.label);
    after.push_back(b.label);
    comparison.reference_not_finite += a.label < 0;
    comparison.candidate_not_finite += b.label < 0;
    if (a.label != b.label || a.label < 0)
      comparison.flips.push_back({i, a.label, b.label, a.margin, b.margin});
    if (a.label < 0 || b.label < 0) continue;
    for (size_t c = 0; c < width; ++c)
      comparison.max_probability_change =
          std::max(comparison.max_probability_change, std::abs(a.probabilities[c] - b.probabilities[c]));
    divergences.push_back({divergence(a, b), 1.0});
  }
  comparison.agreement =
      wilson_share(comparison.n - static_cast<int64_t>(comparison.flips.size()), comparison.n);
  comparison.kl = cluster_mean(divergences, seed);
  std::stable_sort(
      comparison.flips.begin(), comparison.flips.end(),
      [](const LabelFlip& a, const LabelFlip& b) { return a.reference_margin > b.reference_margin; });
  if (labels.empty()) return comparison;
  comparison.reference_score = score_classifier(before, labels, n_classes);
  comparison.candidate_score = score_classifier(after, labels, n_classes);
  for (size_t i = 0; i < labels.size(); ++i) {
    comparison.only_reference_right += before[i] == labels[i] && after[i] != labels[i];
    comparison.only_candidate_right += before[i] != labels[i] && after[i] == labels[i];
  }
  comparison.mcnemar = mcnemar_p(comparison.only_reference_right, comparison.only_candidate_right);
  return comparison;
}

}  // namespace assay
