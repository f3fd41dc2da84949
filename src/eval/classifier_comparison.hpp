#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/statistics.hpp"

namespace assay {

struct ClassScore {
  int64_t support = 0;                       ///< texts of this class
  double precision = 0, recall = 0, f1 = 0;  ///< 0 where undefined
};

/// One model against true labels.
struct ClassifierScore {
  Estimate accuracy;
  double macro_f1 = 0;  ///< mean F1 of the classes that occur among labels or predictions
  std::vector<ClassScore> classes;
};
ClassifierScore score_classifier(std::span<const int64_t> predictions, std::span<const int64_t> labels,
                                 int64_t n_classes);

/// A text whose label changed. A margin is the first probability less the second.
struct LabelFlip {
  int64_t index = 0, reference = 0, candidate = 0;
  double reference_margin = 0, candidate_margin = 0;
};

/// Two classifiers on the same texts, and against true labels where they are known.
struct ClassifierComparison {
  int64_t n = 0;
  Estimate agreement;
  std::vector<LabelFlip> flips;       ///< the widest reference margin first
  double max_probability_change = 0;  ///< of any label of any text
  Estimate kl;                        ///< mean KL(reference ‖ candidate) of the probabilities, in nats
  int64_t reference_not_finite = 0, candidate_not_finite = 0;  ///< texts with a NaN or infinite logit
  std::optional<ClassifierScore> reference_score, candidate_score;
  int64_t only_reference_right = 0, only_candidate_right = 0;
  double mcnemar = 1;  ///< p value
};

/// logits: [n, n_classes] each, softmax gives the probabilities; labels: n class numbers, or empty. n_classes
/// must be at least 2. Texts with a logit that is not finite count as disagreement and as wrong.
ClassifierComparison compare_classifiers(std::span<const float> reference, std::span<const float> candidate,
                                         int64_t n_classes, std::span<const int64_t> labels,
                                         uint64_t seed = 0);

}  // namespace assay
