#include "io/checkpoint.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "io/checkpoint_files.hpp"
#include "io/json_text.hpp"
#include "io/names.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr size_t kMaxIndexBytes = size_t{256} << 20;

json read_optional_json(const fs::path& path) {
  if (!path_exists(path)) return nullptr;
  json value = read_json_file(path);
  if (!value.is_object()) throw Error(Fault{"not a JSON object", path.string(), {}, value.type_name(), {}});
  return value;
}

json read_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!path_exists(path)) {
    throw Error(Fault{"no config.json in the folder",
                      folder.string(),
                      {},
                      {},
                      "not a Hugging Face checkpoint, or an incomplete download?"});
  }
  return read_optional_json(path);
}

void require_folder(const fs::path& path) {
  if (!path_exists(path)) throw Error(Fault{"no such folder", path.string(), {}, {}, {}});
  if (std::error_code ignored; !fs::is_directory(path, ignored)) {
    throw Error(
        Fault{"not a folder", path.string(), "a folder with config.json and safetensors files", {}, {}});
  }
}

/// `__metadata__` may list a tensor that shares another's bytes under its own name alone.
bool is_alias(const SafetensorsFile& shard, const std::string& name) {
  const auto alias = shard.metadata().find(name);
  return alias != shard.metadata().end() && shard.find(alias->second) != nullptr;
}

using Shards = std::vector<std::unique_ptr<SafetensorsFile>>;
using Tensors = std::map<std::string, const TensorView*, std::less<>>;

std::string shard_name(const SafetensorsFile& shard) {
  return shard.file().path().filename().string();
}

const SafetensorsFile* holder_of(const Shards& shards, const std::string& name) {
  for (const auto& shard : shards) {
    if (shard->find(name) != nullptr) return shard.get();
  }
  return nullptr;
}

/// Every promise of the index must be kept by the shards, and the shards hold nothing else.
void check_index(const WeightMap& map, const Shards& shards, const fs::path& folder) {
  std::map<std::string, const SafetensorsFile*> by_name;
  for (const auto& shard : shards) by_name[shard_name(*shard)] = shard.get();
  for (const auto& [tensor, file] : map) {
    const SafetensorsFile& shard = *by_name.at(file);
    if (shard.find(tensor) != nullptr || is_alias(shard, tensor)) continue;
    const SafetensorsFile* other = holder_of(shards, tensor);
    throw Error(Fault{"the index contradicts a shard", (folder / file).string(),
                      "tensor " + quote_name(tensor),
                      other == nullptr ? "no such tensor in any shard" : "it in " + shard_name(*other),
                      "index and shards of different downloads?"});
  }
  for (const auto& shard : shards) {
    for (const TensorView& tensor : shard->tensors()) {
      const auto entry = map.find(tensor.name);
      if (entry != map.end()) continue;
      throw Error(Fault{"a tensor the index does not name",
                        shard->file().path().string(),
                        {},
                        quote_name(tensor.name),
                        "index and shards of different downloads?"});
    }
  }
}

void check_total_size(const json& index, const Shards& shards, const fs::path& folder) {
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object()) return;
  const auto claimed = metadata->find("total_size");
  if (claimed == metadata->end() || !claimed->is_number()) return;
  uint64_t total = 0;
  for (const auto& shard : shards) {
    for (const TensorView& tensor : shard->tensors()) total += tensor.bytes.size();
  }
  // Some exporters write the number as a float.
  if (claimed->get<double>() == static_cast<double>(total)) return;
  throw Error(Fault{"the index's total_size contradicts the shards", (folder / kIndexName).string(),
                    claimed->dump() + " bytes of tensors", fmt::format("{}", total),
                    "index and shards of different downloads?"});
}

Tensors collect_tensors(const Shards& shards) {
  Tensors tensors;
  std::map<std::string_view, const SafetensorsFile*> owners;
  for (const auto& shard : shards) {
    for (const TensorView& tensor : shard->tensors()) {
      const auto [owner, added] = owners.emplace(tensor.name, shard.get());
      if (!added) {
        throw Error(Fault{"a tensor stands in two shards",
                          quote_name(tensor.name),
                          {},
                          shard_name(*owner->second) + " and " + shard_name(*shard),
                          "files of two models in one folder?"});
      }
      tensors.emplace(tensor.name, &tensor);
    }
  }
  return tensors;
}

}  // namespace

CheckpointDirectory::CheckpointDirectory(const fs::path& path, bool config_only) : path_(path) {
  require_folder(path);
  config_ = read_config(path);
  generation_config_ = read_optional_json(path / "generation_config.json");
  WeightMap map;
  if (path_exists(path / kIndexName)) {
    index_ = read_json_file(path / kIndexName, kMaxIndexBytes, DuplicateMembers::kRefuse);
    map = read_weight_map(index_, path / kIndexName);
  }
  if (config_only) return;
  const std::vector<fs::path> files =
      index_.is_null() ? find_weight_files(path) : indexed_weight_files(path, map);
  for (const fs::path& file : files) shards_.push_back(std::make_unique<SafetensorsFile>(file));
  tensors_ = collect_tensors(shards_);
  if (!index_.is_null()) {
    check_index(map, shards_, path);
    check_total_size(index_, shards_, path);
  }
}

const TensorView* CheckpointDirectory::find(std::string_view name) const noexcept {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

void CheckpointDirectory::add_tensor(std::string name, DType dtype, Shape shape,
                                     std::vector<std::byte> bytes) {
  if (static_cast<size_t>(count_elements(shape)) * dtype_bytes(dtype) != bytes.size())
    throw Error(Fault{"tensor's bytes are not those of its shape",
                      quote_name(name),
                      std::string(dtype_name(dtype)) + " " + format_shape(shape),
                      std::to_string(bytes.size()) + " bytes",
                      {}});
  auto owned = std::make_unique<OwnedTensor>();
  owned->bytes = std::move(bytes);
  owned->view = {std::move(name), dtype, std::move(shape), owned->bytes};
  if (!tensors_.emplace(owned->view.name, &owned->view).second)
    throw Error(Fault{"a tensor of this name is there already", quote_name(owned->view.name), {}, {}, {}});
  owned_.push_back(std::move(owned));
}

}  // namespace assay
