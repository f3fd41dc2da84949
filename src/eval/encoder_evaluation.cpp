#include "eval/encoder_evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "engine/stopwatch.hpp"

namespace assay {
namespace {

std::vector<float> flatten(const std::vector<std::vector<float>>& rows) {
  std::vector<float> flat;
  for (const std::vector<float>& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0.0 : quantile(values, 0.5);
}

Gate above(std::string name, double value, double threshold, int decimals) {
  return {std::move(name), fmt::format("> {}", threshold), fmt::format("{:.{}f}", value, decimals),
          value > threshold};
}

/// Ratios of what the format can reach: int8 with a scale a row stays below 4, int4 with a 16-bit scale per
/// 64 below 7.53.
Gate compression_gate(double ratio, int bits) {
  Gate gate = above(fmt::format("compression of {} bits", bits), ratio, bits == 8 ? 3.6 : 5.0, 2);
  gate.found += "x";
  if (bits == 4 && ratio < 7.0) gate.found += " (7x needs 4-bit embeddings too)";
  return gate;
}

}  // namespace

double EncoderOutputs::median_seconds() const {
  return median(seconds);
}

EncoderOutputs run_encoder(EncoderModel& model, std::span<const EncoderText> texts,
                           const EmbedOptions& options, int repeats, Progress& progress) {
  EncoderOutputs outputs;
  outputs.load_seconds = model.load_seconds();
  outputs.weight_bytes = model.file().weight_bytes();
  outputs.resident_weight_bytes = model.encoder().resident_weight_bytes();
  outputs.dim = model.embedding_dim(options);
  const bool classifies = model.traits().head.kind == EncoderHeadKind::kSequence;
  const auto rounds = static_cast<uint64_t>(repeats + 1 + classifies);
  progress.begin(model.file().path().filename().string(), rounds * texts.size(), "text");
  const auto advance = [&](size_t n) { progress.advance(n); };
  const int64_t before = model.tokens_run();
  outputs.vectors = flatten(model.embed(texts, options, advance));
  outputs.tokens = model.tokens_run() - before;
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch watch;
    model.embed(texts, options, advance);
    outputs.seconds.push_back(watch.seconds());
  }
  if (classifies) {
    outputs.n_classes = static_cast<int64_t>(model.traits().head.labels.size());
    outputs.logits = flatten(model.logits(texts, advance));
  }
  progress.end();
  return outputs;
}

int64_t label_number(const std::string& given, std::span<const std::string> labels,
                     const std::string& where) {
  const auto found = std::find(labels.begin(), labels.end(), given);
  if (found != labels.end()) return found - labels.begin();
  const bool number =
      !given.empty() && given.size() < 7 && given.find_first_not_of("0123456789") == std::string::npos;
  if (number && std::stoul(given) < labels.size()) return static_cast<int64_t>(std::stoul(given));
  throw Error(Fault{"label \"" + given + "\" is none of the model's",
                    where,
                    fmt::format("one of: {}", fmt::join(labels, ", ")),
                    {},
                    {}});
}

EncoderComparison compare_encoders(const EncoderOutputs& reference, const EncoderOutputs& candidate,
                                   uint64_t parameters, std::span<const int64_t> labels) {
  if (reference.dim != candidate.dim)
    throw Error(Fault{"the vectors have different lengths, so these are not formats of one model",
                      {},
                      std::to_string(reference.dim),
                      std::to_string(candidate.dim),
                      {}});
  if (reference.n_classes != candidate.n_classes)
    throw Error(Fault{"the classifiers have different labels",
                      {},
                      std::to_string(reference.n_classes) + " labels",
                      std::to_string(candidate.n_classes),
                      candidate.n_classes == 0 ? "converted without its head?" : ""});
  EncoderComparison comparison;
  comparison.drift = measure_drift(reference.vector_set(), candidate.vector_set());
  if (reference.n_classes >= 2)
    comparison.classifier =
        compare_classifiers(reference.logits, candidate.logits, reference.n_classes, labels);
  if (candidate.median_seconds() > 0)
    comparison.speed_ratio = reference.median_seconds() / candidate.median_seconds();
  comparison.weight_ratio =
      4.0 * static_cast<double>(parameters) / static_cast<double>(candidate.weight_bytes);
  comparison.resident_ratio = static_cast<double>(reference.resident_weight_bytes) /
                              static_cast<double>(std::max<uint64_t>(candidate.resident_weight_bytes, 1));
  return comparison;
}

std::vector<Gate> check_gates(const EncoderComparison& comparison, const EncoderOutputs& candidate,
                              const GateOptions& options) {
  const EmbeddingDrift& drift = comparison.drift;
  std::vector<Gate> gates;
  gates.push_back(compression_gate(comparison.weight_ratio, options.bits));
  if (options.target_bytes)
    gates.push_back({"target size",
                     fmt::format("<= {:.2f} MB", static_cast<double>(*options.target_bytes) / 1e6),
                     fmt::format("{:.2f} MB", static_cast<double>(candidate.weight_bytes) / 1e6),
                     candidate.weight_bytes <= *options.target_bytes});
  gates.push_back(above("cosine mean", drift.cosine.value, options.bits == 8 ? 0.99 : 0.97, 5));
  gates.push_back(above("cosine min", drift.cosine_min, options.bits == 8 ? 0.98 : 0.95, 5));
  gates.push_back({"mean squared error", "< 1e-3", fmt::format("{:.2e}", drift.mse), drift.mse < 1e-3});
  const int64_t broken = drift.candidate_not_finite + drift.reference_not_finite;
  gates.push_back({"no NaN or infinity", "0", std::to_string(broken), broken == 0});
  gates.push_back({"memory follows size", "> 1x", fmt::format("{:.2f}x", comparison.resident_ratio),
                   comparison.resident_ratio > 1.0});
  if (comparison.speed_ratio > 0)
    gates.push_back({"not slower than the reference", ">= 1x", fmt::format("{:.2f}x", comparison.speed_ratio),
                     comparison.speed_ratio >= 1.0});
  if (comparison.classifier && comparison.classifier->candidate_score && options.most_accuracy_drop) {
    const double drop = comparison.classifier->reference_score->accuracy.value -
                        comparison.classifier->candidate_score->accuracy.value;
    gates.push_back({"accuracy drop", fmt::format("<= {}", *options.most_accuracy_drop),
                     fmt::format("{:+.4f}", drop), drop <= *options.most_accuracy_drop});
  }
  return gates;
}

}  // namespace assay
