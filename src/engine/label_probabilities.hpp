#pragma once
#include <span>
#include <vector>

#include "models/encoder_config.hpp"

namespace assay {

/// What the logits of a text say, as transformers' text-classification pipeline: a softmax over labels that
/// exclude each other; a sigmoid each for one label alone and for labels that do not. In f64.
std::vector<double> label_probabilities(std::span<const float> logits, ProblemKind problem);

}  // namespace assay
