#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "convert/plan.hpp"

namespace assay {

/// Streams the planned safetensors shards of an MLX directory. Bytes come in the order of the plan's specs; a
/// shard is committed when its last tensor is full.
class MlxWeights {
 public:
  MlxWeights(const std::filesystem::path& folder, const Plan& plan) : folder_(folder), plan_(plan) {}
  /// `bytes` must end at or before the end of the tensor part whose turn it is.
  void write(std::span<const std::byte> bytes);
  /// Throws std::logic_error when a planned byte is missing.
  void finish();

 private:
  void open_next();

  std::filesystem::path folder_;
  const Plan& plan_;
  size_t next_file_ = 0;
  uint64_t left_ = 0;  ///< bytes of the open shard still to come
  std::unique_ptr<AtomicFile> file_;
  std::unique_ptr<SafetensorsWriter> writer_;
};

/// config.json as mlx-lm saves it: sorted keys, `quantization` and its twin, the tie always spelled out, rope
/// and type keys where mlx-lm's model files look for them.
nlohmann::json mlx_config(const ConversionSource& source, const Plan& plan);

/// Writes everything beside the weights: config.json, index, README.md, and the source's tokenizer,
/// generation config, chat template and licence files as they are. Returns the names of all files, weights
/// included.
std::vector<std::string> write_mlx_side_files(const std::filesystem::path& folder,
                                              const ConversionSource& source, const Plan& plan);

}  // namespace assay
