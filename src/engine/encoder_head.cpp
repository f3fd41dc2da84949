#include "engine/encoder_head.hpp"

namespace assay {
namespace {

std::span<float> run_linear(const PackedLinear& linear, std::span<const float> rows, Activation activation,
                            AlignedVector<float>& out, const EncoderKernels& kernels,
                            Shelf<BlockWorkspace>& blocks, const Team& team) {
  const int64_t count = static_cast<int64_t>(rows.size()) / linear.cols;
  const auto size = static_cast<size_t>(count * linear.rows);
  if (out.size() < size) out.resize(size);
  const auto block = blocks.borrow();
  block->input.set(rows.data(), linear.cols, count, linear.cols);
  multiply(linear, block->input, {.activation = activation}, out.data(), linear.rows, kernels, team);
  return std::span(out).first(size);
}

}  // namespace

std::span<float> mean_rows(const EncoderModelParts& model, const EncoderBatch& batch,
                           std::span<const float> rows, BatchWorkspace& work) {
  const auto dim = static_cast<size_t>(model.config.hidden_dim);
  work.first.resize(batch.texts.size() * dim);
  for (size_t text = 0; text < batch.texts.size(); ++text) {
    const auto begin = static_cast<size_t>(batch.begin[text]),
               end = static_cast<size_t>(batch.begin[text + 1]);
    for (size_t i = 0; i < dim; ++i) {
      double sum = 0.0;
      for (size_t t = begin; t < end; ++t) sum += rows[t * dim + i];
      work.first[text * dim + i] = static_cast<float>(sum / static_cast<double>(end - begin));
    }
  }
  return std::span(work.first).first(batch.texts.size() * dim);
}

std::span<float> run_pooler(const EncoderModelParts& model, std::span<const float> rows, BatchWorkspace& work,
                            Shelf<BlockWorkspace>& blocks, const Team& team) {
  return run_linear(model.weights.head.pooler, rows, Activation::kTanh, work.pooled, model.kernels, blocks,
                    team);
}

std::span<float> run_classifier(const EncoderModelParts& model, std::span<const float> rows,
                                BatchWorkspace& work, Shelf<BlockWorkspace>& blocks, const Team& team) {
  const EncoderHead& head = model.traits().head;
  const EncoderHeadWeights& weights = model.weights.head;
  if (head.has_dense) {
    const std::span<float> dense =
        run_linear(weights.dense, rows, head.dense_activation, work.dense, model.kernels, blocks, team);
    if (head.has_norm)
      norm_rows(model, weights.norm, dense.data(), static_cast<int64_t>(dense.size()) / weights.dense.rows,
                dense.data(), team);
    rows = dense;
  } else if (head.has_pooler && head.kind == EncoderHeadKind::kSequence) {
    rows = run_pooler(model, rows, work, blocks, team);
  }
  return run_linear(weights.classifier, rows, Activation::kNone, work.logits, model.kernels, blocks, team);
}

}  // namespace assay
