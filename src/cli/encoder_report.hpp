#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/encoder_evaluation.hpp"

namespace assay {

/// One candidate of `eval encoder`.
struct EncoderReport {
  std::string path;
  EncoderOutputs outputs;
  EncoderComparison comparison;
  std::optional<SimilarityScores> similarity;
  std::vector<Gate> gates;
};

/// All of it. `engine` is the drift of our full-precision vectors from another engine's.
struct EncoderSummary {
  std::string reference_path, compute;
  EncoderOutputs reference{};
  std::optional<EmbeddingDrift> engine{};
  std::vector<EncoderReport> candidates{};
  std::vector<std::string> texts{};
};

std::string encoder_report_text(const EncoderSummary& summary, const std::vector<std::string>& labels);
nlohmann::ordered_json encoder_report_json(const EncoderSummary& summary);

}  // namespace assay
