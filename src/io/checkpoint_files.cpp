#include "io/checkpoint_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "io/names.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

std::vector<std::string> list_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    names.push_back(entry.path().filename().string());
  if (error) throw Error(Fault{"cannot list the folder", folder.string(), {}, error.message(), {}});
  std::sort(names.begin(), names.end());
  return names;
}

bool is_weight_name(std::string_view name) {
  return name.starts_with("model") && name.ends_with(".safetensors");
}

/// The numbers of "model-00002-of-00005.safetensors".
struct PartName {
  std::string stem;
  int number = 0, count = 0;
};

std::optional<PartName> read_part_name(const std::string& name) {
  constexpr std::string_view kTail = "-00000-of-00000.safetensors";
  if (name.size() < kTail.size()) return std::nullopt;
  const std::string tail = name.substr(name.size() - kTail.size());
  for (size_t i = 0; i < kTail.size(); ++i) {
    const bool digit = tail[i] >= '0' && tail[i] <= '9';
    if (kTail[i] == '0' ? !digit : tail[i] != kTail[i]) return std::nullopt;
  }
  return PartName{name.substr(0, name.size() - kTail.size()), std::atoi(tail.substr(1, 5).c_str()),
                  std::atoi(tail.substr(10, 5).c_str())};
}

[[noreturn]] void fail_missing(const fs::path& folder, const std::vector<std::string>& missing,
                               std::string what) {
  constexpr size_t kShown = 5;
  std::string list;
  for (size_t i = 0; i < std::min(missing.size(), kShown); ++i)
    list += (i == 0 ? "" : ", ") + quote_name(missing[i]);
  if (missing.size() > kShown) list += fmt::format(" and {} more", missing.size() - kShown);
  throw Error(Fault{std::move(what), folder.string(), {}, "no " + list, "incomplete download?"});
}

/// Says which numbered parts are absent from a folder that has some.
void check_part_names(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    const auto part = is_weight_name(name) ? read_part_name(name) : std::nullopt;
    if (!part) continue;
    for (int i = 1; i <= part->count; ++i) {
      std::string sibling = fmt::format("{}-{:05}-of-{:05}.safetensors", part->stem, i, part->count);
      if (!std::binary_search(names.begin(), names.end(), sibling)) missing.push_back(std::move(sibling));
    }
    if (!missing.empty()) fail_missing(folder, missing, "parts of the checkpoint are missing");
  }
}

/// Explains a folder without model*.safetensors by what it holds instead.
[[noreturn]] void fail_without_weights(const fs::path& folder, const std::vector<std::string>& names) {
  const auto first = [&](auto matches) -> std::string {
    const auto found = std::find_if(names.begin(), names.end(), matches);
    return found == names.end() ? std::string() : *found;
  };
  std::string found, cause;
  if (const auto gguf = first([](const std::string& n) { return n.ends_with(".gguf"); }); !gguf.empty()) {
    found = gguf, cause = "give that file by its own path";
  } else if (const auto pickle = first([](const std::string& n) {
               return n.ends_with(".bin") || n.ends_with(".pt") || n.ends_with(".pth");
             });
             !pickle.empty()) {
    found = pickle, cause = "PyTorch pickles are not read, they can run code: convert to safetensors first";
  } else if (const auto npz = first([](const std::string& n) { return n.ends_with(".npz"); }); !npz.empty()) {
    found = npz, cause = "a numpy archive is not a Hugging Face checkpoint";
  } else if (const auto other = first([](const std::string& n) { return n.ends_with(".safetensors"); });
             !other.empty()) {
    found = other, cause = "weights under another name: adapters, or an exporter's own layout?";
  } else {
    cause = "incomplete download? to plan from config.json alone use --dry-run";
  }
  throw Error(Fault{"no weights in the folder", folder.string(), "model*.safetensors", std::move(found),
                    std::move(cause)});
}

/// A shard's name comes from a file and must stay inside the folder.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && is_safe_name(name) && name.find('/') == name.npos && name.find('\\') == name.npos &&
         name != "." && name != "..";
}

}  // namespace

WeightMap read_weight_map(const json& index, const fs::path& path) {
  const auto member = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || member == index.end() || !member->is_object() || member->empty()) {
    throw Error(
        Fault{"the index has no weight_map", path.string(), "an object of tensor and file names", {}, {}});
  }
  WeightMap map;
  for (const auto& [tensor, file] : member->items()) {
    if (!file.is_string() || !is_plain_file_name(file.get<std::string>())) {
      throw Error(Fault{"the index names no file for a tensor",
                        path.string() + ": " + quote_name(tensor),
                        "the name of a file in the folder",
                        quote_name(file.dump()),
                        {}});
    }
    map[tensor] = file.get<std::string>();
  }
  return map;
}

std::vector<fs::path> indexed_weight_files(const fs::path& folder, const WeightMap& map) {
  std::set<std::string> wanted;
  for (const auto& [tensor, file] : map) wanted.insert(file);
  std::vector<fs::path> files;
  std::vector<std::string> missing;
  for (const std::string& name : wanted) {
    files.push_back(folder / name);
    if (!path_exists(files.back())) missing.push_back(name);
  }
  const std::vector<std::string> present = list_files(folder);
  const bool any = std::any_of(present.begin(), present.end(), is_weight_name);
  if (missing.size() == wanted.size() && !any) fail_without_weights(folder, present);
  if (!missing.empty()) fail_missing(folder, missing, "the index names shards that the folder lacks");
  for (const std::string& name : present) {
    const bool shard_like = name == "model.safetensors" || (is_weight_name(name) && read_part_name(name));
    if (shard_like && wanted.count(name) == 0) {
      throw Error(Fault{"a weight file that the index does not name",
                        (folder / name).string(),
                        {},
                        {},
                        "a leftover of another download?"});
    }
  }
  return files;
}

std::vector<fs::path> find_weight_files(const fs::path& folder) {
  const std::vector<std::string> names = list_files(folder);
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    if (is_weight_name(name)) files.push_back(folder / name);
  }
  if (files.empty()) fail_without_weights(folder, names);
  check_part_names(folder, names);
  return files;
}

}  // namespace assay
