#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/encoder_model.hpp"

namespace assay {

/// Classification by labels that the model never saw: each label becomes a sentence, and a model of
/// entailment says whether the text implies it. Source: transformers, pipelines/zero_shot_classification.py.
struct ZeroShotOptions {
  std::vector<std::string> labels;
  std::string hypothesis = "This example is {}.";  ///< {} stands for the label
  bool multi_label = false;  ///< labels do not exclude each other: each has a probability of its own
};

/// Columns of the logits that count.
struct EntailmentColumns {
  size_t entailment = 0, contradiction = 0;
  bool guessed = false;  ///< no label begins with "entail": the last one is taken, as transformers does
};

/// The first label that begins with "entail" in any case, and label 0 for contradiction, or the last one
/// where entailment is label 0. `labels` must not be empty.
EntailmentColumns find_entailment(std::span<const std::string> labels);

/// The hypotheses in the labels' order. Throws UsageError when there are no labels, or when the template does
/// not hold {} once.
std::vector<std::string> fill_hypotheses(const ZeroShotOptions& options);

/// Probabilities of one text's candidates from their rows of logits: the entailment column softmaxed over the
/// candidates; or, for `multi_label` and for a single candidate, entailment against contradiction in each.
std::vector<double> score_candidates(std::span<const std::vector<float>> logits,
                                     const EntailmentColumns& columns, bool multi_label);

/// One row of probabilities per text, one for each label. A text that is too long for its hypothesis loses
/// its end. Throws Error when the model has no sequence head of at least two labels, or a hypothesis alone is
/// too long.
std::vector<std::vector<double>> classify_zero_shot(EncoderModel& model, std::span<const std::string> texts,
                                                    const ZeroShotOptions& options,
                                                    const EncoderModel::Advance& advance = {});

}  // namespace assay
