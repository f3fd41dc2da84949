#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/thread_pool.hpp"
#include "convert/batch_config.hpp"
#include "convert/recipe.hpp"

namespace assay {

/// Shares of answers that are right, of a checkpoint and of what was made of it.
struct AccuracyChange {
  double reference = 0.0, candidate = 0.0;
  uint64_t texts = 0;

  double drop() const noexcept { return reference - candidate; }
};
/// Measures an output against its checkpoint on labelled texts.
using MeasureAccuracy = std::function<AccuracyChange(const std::filesystem::path& checkpoint,
                                                     const std::filesystem::path& output)>;

struct BatchRunOptions {
  std::filesystem::path output{};       ///< folder of the outputs
  std::filesystem::path checkpoints{};  ///< where hf_name is looked for first; may be empty
  std::string model{};                  ///< one entry's name; empty: all
  int bits = 0;                         ///< instead of the entries'; 0: theirs
  std::string recipe{};                 ///< instead of what the bits choose
  std::string embeddings{}, head{};     ///< as of with_encoder_options()
  bool skip = true;                     ///< leave complete outputs alone; false replaces them
  bool dry_run = false;                 ///< plan, write nothing
  MeasureAccuracy measure_accuracy{};   ///< unset: max_accuracy_drop is not checked, which the outcome says
};

enum class BatchStatus : uint8_t { kConverted, kSkipped, kPlanned, kFailed };
std::string_view status_name(BatchStatus status) noexcept;

/// What became of one entry.
struct BatchOutcome {
  BatchModel model;
  std::string recipe;
  std::filesystem::path checkpoint, output;
  BatchStatus status = BatchStatus::kFailed;
  std::string error{};                ///< why it failed
  double weights_mb = 0.0;            ///< MiB of the weight files on disk, or as planned
  std::vector<std::string> missed{};  ///< gates that do not hold, one sentence each
  std::vector<std::string> notes{};
  std::optional<AccuracyChange> accuracy{};

  bool ok() const noexcept { return status != BatchStatus::kFailed && missed.empty(); }
};

/// Converts the entries one after the other; one that fails does not stop the next. Each output is the folder
/// NAME-mlx-qBITS-v2 and appears whole or not at all. Throws only for what concerns all of them: an unknown
/// name, recipe or option.
std::vector<BatchOutcome> run_batch(const BatchConfig& config, const BatchRunOptions& options,
                                    ThreadPool& pool, Progress& progress);

/// {name, hf_name, success, status, recipe, output_path, weights_mb, target_size_mb, target_met, …,
/// metadata}.
nlohmann::ordered_json outcome_json(const BatchOutcome& outcome);

/// The recipe of an entry: 8 bits are npz:int8 with the embeddings in int8 too, 4 bits int4 with the entry's
/// group size.
Recipe batch_recipe(const BatchModel& model, const BatchRunOptions& options);

/// The folder of a checkpoint named `hf_name`: a path as it stands, below `checkpoints`, below the folder of
/// models.yaml, or in the cache that huggingface_hub keeps ($HF_HUB_CACHE, $HF_HOME/hub,
/// ~/.cache/huggingface/hub). Throws Error that lists where it was looked for.
std::filesystem::path find_checkpoint(const std::string& hf_name, const std::filesystem::path& checkpoints,
                                      const std::filesystem::path& config_folder);

/// Why the output at `output` need not be made again: empty when it must. Complete are outputs whose metadata
/// names this recipe and whose weight files have the recorded size, and those of the converter before assay,
/// which recorded neither.
bool is_complete_output(const std::filesystem::path& output, const std::string& recipe);

}  // namespace assay
