#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace assay {

/// One entry of models.yaml: an encoder to convert and what the result must meet.
struct BatchModel {
  std::string name;     ///< names the output: NAME-mlx-q8-v2
  std::string hf_name;  ///< a folder, or "organisation/name" of a checkpoint that is on this machine
  std::string task;     ///< told, not used
  int bits = 8;         ///< 8 or 4
  int group_size = 64;  ///< of 4-bit codes: 32 or 64. 8-bit ones have no groups
  std::optional<double>
      target_size_mb{};  ///< in MiB, as the converter before assay counted; of the weight files
  std::optional<double> max_accuracy_drop{};  ///< as a share: 0.015 is 1.5 points
  std::vector<std::string> benchmarks{};      ///< told, not used: the evaluation file says what is measured
};

struct BatchConfig {
  std::filesystem::path path;
  std::vector<BatchModel> models;
  std::vector<std::string> warnings;  ///< keys that nobody reads, with their line
};

/// Reads models.yaml: `models`, a list of {name, hf_name, task, quantization: {bits, dtype, group_size,
/// target_size_mb, max_accuracy_drop}, benchmarks}; target_size_mb and max_accuracy_drop may also stand
/// beside `quantization`. Throws Error with file and line for what is missing, of the wrong type, out of
/// range or contradictory (dtype int4 with 8 bits), and for a name given twice. Unknown keys become warnings.
BatchConfig read_batch_config(const std::filesystem::path& path);

/// The entry of that name. Throws UsageError that lists the names otherwise.
const BatchModel& find_batch_model(const BatchConfig& config, const std::string& name);

}  // namespace assay
