#pragma once
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// Which files of a checkpoint folder hold its weights.
namespace assay {

/// False also where the folder above may not be searched.
inline bool path_exists(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

inline constexpr const char* kIndexName = "model.safetensors.index.json";

/// Tensor name to the file name of its shard.
using WeightMap = std::map<std::string, std::string>;

/// The index's `weight_map`. Throws Error unless it is an object of plain file names inside the folder.
WeightMap read_weight_map(const nlohmann::json& index, const std::filesystem::path& path);

/// The files an index names, in order of their names. Throws Error listing those that are missing, and for a
/// weight file in the folder that the index does not name.
std::vector<std::filesystem::path> indexed_weight_files(const std::filesystem::path& folder,
                                                        const WeightMap& map);
/// Every `model*.safetensors` of a folder without an index, in order of their names; parts numbered
/// "-00001-of-00002" must be complete. Throws Error saying what is there instead when there is none.
std::vector<std::filesystem::path> find_weight_files(const std::filesystem::path& folder);

}  // namespace assay
