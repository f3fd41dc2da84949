#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "eval/judge_run.hpp"

namespace assay {

/// What the old files say of a subject beyond its answers and scores.
struct LegacySubject {
  std::string path;
  std::string format;             ///< "mlx", "gguf" or "baseline"
  nlohmann::ordered_json config;  ///< quantization_config: {quantization, bits, mixed_precision | precision}
  std::string timestamp;          ///< UTC, ISO 8601
};

/// evaluation_{mlx,gguf,baseline}.json as LlamaPajamas wrote it, member for member, with decoding, seed,
/// token counts, finish reasons and file hash added. A score that is missing is null, and left out of the
/// means. Needs pointwise results.
nlohmann::ordered_json legacy_evaluation(const JudgedSubject& subject, const JudgeTask& task,
                                         const std::string& judge_model, const LegacySubject& facts);

}  // namespace assay
