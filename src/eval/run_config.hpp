#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace assay {

/// What a run configuration asks bench for. Absent values stay what the command line or the defaults say.
struct RunConfig {
  std::vector<std::filesystem::path> paths;  ///< models to run
  std::optional<int64_t> prefill, decode, batch, repeats, warmup, rounds, threads;
  std::optional<std::string> compute, kv;
  std::vector<std::string> notes;  ///< keys that are another program's and were left aside
};

/// Reads a run configuration in YAML:
///
///     hardware:
///       use_mlx_for_generation: true      # false: model.base_model is run, unquantized
///       mlx_model_path: "./mlx_model_q4"  # null: the first that exists of mlx_model_q8, mlx_model_q4,
///       mlx_model mlx_quantization: q4_bit          # q8_bit, none; held to what the files really are
///     bench: {prefill: 256, decode: 64, batch: 4, repeats: 5, warmup: 1, rounds: 1, threads: 2, compute:
///     fast,
///             kv: f16, models: [path, …]}
///     max_tokens: 128                     # decode
///     num_samples_per_prompt: 2           # batch; also below `rfai` or `model`
///
/// Relative paths start at the file's own folder. Sections of the trainer whose file this is (model, teacher,
/// training, rfai, data, evaluation, logging, huggingface) and hardware's other keys are known and left
/// aside. Throws Error with file and line for any other key, naming the nearest, for wrong types, and when
/// mlx_quantization contradicts the files at mlx_model_path.
RunConfig read_run_config(const std::filesystem::path& path);

}  // namespace assay
