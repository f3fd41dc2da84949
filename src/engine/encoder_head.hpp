#pragma once
#include <span>

#include "engine/encoder_forward.hpp"

namespace assay {

/// The mean of each text's rows, [texts, hidden_dim], in `work`.
std::span<float> mean_rows(const EncoderModelParts& model, const EncoderBatch& batch,
                           std::span<const float> rows, BatchWorkspace& work);

/// BERT's pooler: dense + tanh, row by row; in `work`.
std::span<float> run_pooler(const EncoderModelParts& model, std::span<const float> rows, BatchWorkspace& work,
                            Shelf<BlockWorkspace>& blocks, const Team& team);

/// The head's layers on rows of hidden states: [rows, labels], in `work`. A sequence head without a dense
/// layer of its own reads the pooler, if there is one.
std::span<float> run_classifier(const EncoderModelParts& model, std::span<const float> rows,
                                BatchWorkspace& work, Shelf<BlockWorkspace>& blocks, const Team& team);

}  // namespace assay
