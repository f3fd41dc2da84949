#include "engine/label_probabilities.hpp"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

std::vector<double> softmax(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  double sum = 0.0;
  for (const float logit : logits) sum += out.emplace_back(std::exp(double{logit} - most));
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace

std::vector<double> label_probabilities(std::span<const float> logits, ProblemKind problem) {
  if (problem == ProblemKind::kSingleLabel && logits.size() > 1) return softmax(logits);
  std::vector<double> out;
  for (const float logit : logits) out.push_back(1.0 / (1.0 + std::exp(-double{logit})));
  return out;
}

}  // namespace assay
