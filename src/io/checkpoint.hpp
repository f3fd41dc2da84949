#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/json_text.hpp"
#include "io/safetensors.hpp"

namespace assay {

/// A directory as the hub lays it out: config.json, one or more safetensors files with or without an index,
/// generation config, tokenizer files. Also what mlx-lm writes. Weights are mapped, not read.
class CheckpointDirectory {
 public:
  /// Reads config.json and, unless `config_only`, opens every shard and checks it against the index: a shard
  /// the index names but the folder lacks, a tensor in another shard than the index says, a tensor in two
  /// shards, a Git LFS pointer in place of a file: each is an Error that says so.
  explicit CheckpointDirectory(const std::filesystem::path& path, bool config_only = false);

  const std::filesystem::path& path() const noexcept { return path_; }
  const nlohmann::json& config() const noexcept { return config_; }
  /// Null JSON when the directory has no generation_config.json.
  const nlohmann::json& generation_config() const noexcept { return generation_config_; }
  /// Null JSON when the directory has no model.safetensors.index.json.
  const nlohmann::json& index() const noexcept { return index_; }
  const std::vector<std::unique_ptr<SafetensorsFile>>& shards() const noexcept { return shards_; }
  const TensorView* find(std::string_view name) const noexcept;
  /// Adds a tensor that is held in memory, for weights in other files than safetensors. Throws Error when the
  /// name is taken or the bytes are not those of the shape.
  void add_tensor(std::string name, DType dtype, Shape shape, std::vector<std::byte> bytes);
  /// Every tensor of every shard by name, and those that were added.
  const std::map<std::string, const TensorView*, std::less<>>& tensors() const noexcept { return tensors_; }

 private:
  std::filesystem::path path_;
  nlohmann::json config_, generation_config_, index_;
  std::vector<std::unique_ptr<SafetensorsFile>> shards_;
  struct OwnedTensor {
    std::vector<std::byte> bytes;
    TensorView view;
  };
  std::vector<std::unique_ptr<OwnedTensor>> owned_;
  std::map<std::string, const TensorView*, std::less<>> tensors_;
};

}  // namespace assay
