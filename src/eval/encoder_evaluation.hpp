#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "engine/encoder_model.hpp"
#include "eval/classifier_comparison.hpp"
#include "eval/embedding_drift.hpp"

namespace assay {

/// What one model made of the texts, and how fast: full forward passes, tokenization included.
struct EncoderOutputs {
  std::vector<float> vectors;  ///< [texts, dim]
  int64_t dim = 0;
  std::vector<float> logits;  ///< [texts, n_classes]; empty for a model without sequence head
  int64_t n_classes = 0;
  int64_t tokens = 0;           ///< of all texts, special tokens included
  std::vector<double> seconds;  ///< of every repeat after a warm-up, each over all texts, embedding
  double load_seconds = 0;
  uint64_t weight_bytes = 0;           ///< in the files
  uint64_t resident_weight_bytes = 0;  ///< held in memory while running

  double median_seconds() const;
  VectorSet vector_set() const noexcept { return {vectors, dim}; }
};

/// Embeds every text `repeats` times (once where repeats is 0, then no speed) and classifies it once where
/// the model can.
EncoderOutputs run_encoder(EncoderModel& model, std::span<const EncoderText> texts,
                           const EmbedOptions& options, int repeats, Progress& progress);

/// The number of the label that a file names: by its text, or by its number. Throws Error for any other word.
int64_t label_number(const std::string& given, std::span<const std::string> labels, const std::string& where);

/// One criterion of the old project's checklists, with what was found.
struct Gate {
  std::string name;   ///< "cosine mean"
  std::string rule;   ///< "> 0.99"
  std::string found;  ///< "0.99921"
  bool ok = false;
};

struct GateOptions {
  int bits = 8;                                ///< of the candidate's linear weights
  std::optional<double> most_accuracy_drop{};  ///< share, e.g. 0.01
  std::optional<uint64_t> target_bytes{};
};

/// Everything measured between a reference and one candidate.
struct EncoderComparison {
  EmbeddingDrift drift;
  std::optional<ClassifierComparison> classifier;
  double speed_ratio = 0;   ///< reference seconds / candidate seconds; 0 when not timed
  double weight_ratio = 0;  ///< reference bytes in f32 / candidate bytes
  double resident_ratio = 0;
};

/// `labels`: class numbers by text, or empty. Throws Error when the models' vectors or labels do not match.
EncoderComparison compare_encoders(const EncoderOutputs& reference, const EncoderOutputs& candidate,
                                   uint64_t parameters, std::span<const int64_t> labels);

/// The checklists of documents 2 and 4 as gates. A 4-bit file with 8-bit embeddings cannot reach 7x: its rule
/// is what its format allows, and says so.
std::vector<Gate> check_gates(const EncoderComparison& comparison, const EncoderOutputs& candidate,
                              const GateOptions& options);

}  // namespace assay
