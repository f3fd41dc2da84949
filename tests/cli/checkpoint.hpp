#pragma once
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/test_data.hpp"

namespace assay::test {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// Every file below `folder` with its content, hidden ones too.
inline std::map<std::string, std::string> read_tree(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    files[entry.path().lexically_relative(folder).string()] =
        entry.is_directory() ? "" : read_file(entry.path());
  return files;
}

inline void change_json(const std::filesystem::path& path,
                        const std::function<void(nlohmann::ordered_json&)>& change) {
  nlohmann::ordered_json document = nlohmann::ordered_json::parse(read_file(path));
  change(document);
  write_file(path, document.dump());
}

/// A safetensors file as header and data, for planting faults in either.
struct RawSafetensors {
  nlohmann::ordered_json header;
  std::string data;

  static RawSafetensors load(const std::filesystem::path& path) {
    const std::string bytes = read_file(path);
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    return {nlohmann::ordered_json::parse(bytes.substr(8, length)), bytes.substr(8 + length)};
  }

  void save(const std::filesystem::path& path) const {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const uint64_t length = text.size();
    write_file(path, std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data);
  }

  /// Overwrites element `index` of a 16-bit tensor.
  void set(const std::string& tensor, size_t index, uint16_t bits) {
    const size_t begin = header.at(tensor).at("data_offsets").at(0);
    std::memcpy(data.data() + begin + 2 * index, &bits, sizeof bits);
  }

  void remove(const std::string& tensor) {
    const size_t begin = header.at(tensor).at("data_offsets").at(0),
                 end = header.at(tensor).at("data_offsets").at(1);
    header.erase(tensor);
    data.erase(begin, end - begin);
    for (auto& [name, entry] : header.items())
      if (name != "__metadata__" && entry.at("data_offsets").at(0) >= end)
        for (auto& offset : entry.at("data_offsets")) offset = offset.get<size_t>() - (end - begin);
  }

  void add(const std::string& tensor, size_t elements) {
    header[tensor] = {{"dtype", "BF16"},
                      {"shape", {elements}},
                      {"data_offsets", {data.size(), data.size() + 2 * elements}}};
    data.resize(data.size() + 2 * elements, '\0');
  }
};

/// Copies the tiny llama with rows of 256 and a tokenizer to `folder`, which must not exist.
inline std::filesystem::path copy_checkpoint(const std::filesystem::path& folder,
                                             const std::string& name = "llama-rows256") {
  std::filesystem::create_directories(folder);
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
    std::filesystem::copy_file(source_file("tests/models/" + name) / file, folder / file);
  return folder;
}

/// Cuts model.safetensors into two shards with an index, in the way of a large checkpoint.
inline void split_checkpoint(const std::filesystem::path& folder) {
  const RawSafetensors whole = RawSafetensors::load(folder / "model.safetensors");
  nlohmann::ordered_json map;
  size_t count = 0, total = 0;
  RawSafetensors shards[2];
  const std::string names[2] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  for (const auto& [name, entry] : whole.header.items()) {
    if (name == "__metadata__") continue;
    const size_t which = count++ < 5 ? 0 : 1, begin = entry.at("data_offsets").at(0),
                 size = entry.at("data_offsets").at(1).get<size_t>() - begin;
    RawSafetensors& shard = shards[which];
    shard.header[name] = entry;
    shard.header[name]["data_offsets"] = {shard.data.size(), shard.data.size() + size};
    shard.data += whole.data.substr(begin, size);
    map[name] = names[which];
    total += size;
  }
  for (size_t i = 0; i < 2; ++i) shards[i].save(folder / names[i]);
  write_file(folder / "model.safetensors.index.json",
             nlohmann::ordered_json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump());
  std::filesystem::remove(folder / "model.safetensors");
}

}  // namespace assay::test
