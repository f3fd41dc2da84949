#include <fmt/format.h>

#include <optional>

#include "base/error.hpp"
#include "io/gguf_layout.hpp"
#include "io/names.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

/// Most parts a split may claim; the name has five digits, the key is a u16.
constexpr int64_t kMaxParts = 65535;

/// What a part says of the split it belongs to. Source: llama.cpp llama-quant.cpp, gguf-split.
struct SplitClaim {
  int64_t number = 0;   ///< split.no, from 0
  int64_t count = 1;    ///< split.count
  int64_t tensors = 0;  ///< split.tensors.count, over all parts
};

/// Nothing for a file that stands alone.
std::optional<SplitClaim> read_claim(const GgufMetadata& metadata, const std::string& where) {
  if (metadata.find("split.count") == nullptr) return std::nullopt;
  SplitClaim claim;
  try {
    claim = {metadata.integer("split.no"), metadata.integer("split.count"),
             metadata.integer("split.tensors.count")};
  } catch (const Error& error) {
    throw Error(Fault{"the split's own keys are incomplete", where, {}, error.what(), "corrupt file?"});
  }
  if (claim.count <= 1) return std::nullopt;
  if (claim.count > kMaxParts || claim.number < 0 || claim.number >= claim.count || claim.tensors < 0) {
    throw Error(Fault{"the split's own keys contradict each other",
                      where,
                      {},
                      fmt::format("part {} of {}", claim.number + 1, claim.count),
                      "corrupt file?"});
  }
  return claim;
}

/// "model" of "model-00002-of-00005.gguf"; throws Error unless the name tells the part it is.
std::string split_stem(const fs::path& path, const SplitClaim& claim) {
  const std::string name = path.filename().string();
  const std::string ending = fmt::format("-{:05}-of-{:05}.gguf", claim.number + 1, claim.count);
  if (!name.ends_with(ending)) {
    throw Error(Fault{"one part of a split under a name that does not say so", path.string(),
                      fmt::format("a name that ends {}", ending), name,
                      "renamed? the other parts are found by name"});
  }
  return name.substr(0, name.size() - ending.size());
}

std::vector<fs::path> locate_parts(const fs::path& path, const SplitClaim& claim) {
  const std::string stem = split_stem(path, claim);
  std::vector<fs::path> parts;
  std::string missing;
  size_t missing_count = 0;
  for (int64_t i = 1; i <= claim.count; ++i) {
    parts.push_back(path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", stem, i, claim.count));
    if (std::error_code ignored; fs::exists(parts.back(), ignored)) continue;
    if (++missing_count <= 5) missing += (missing.empty() ? "" : ", ") + parts.back().filename().string();
  }
  if (missing_count > 0) {
    if (missing_count > 5) missing += fmt::format(" and {} more", missing_count - 5);
    throw Error(Fault{"parts of a split are missing", path.string(), fmt::format("{} parts", claim.count),
                      "no " + missing, "incomplete download?"});
  }
  return parts;
}

/// A later part must tell the same split as the first; the architecture stands in the first alone, or agrees.
void check_same_split(const GgufPart& part, const std::string& where, int64_t number, const GgufPart& first,
                      const SplitClaim& expected) {
  const auto claim = read_claim(part.metadata, where);
  constexpr const char* kCause = "parts of different models under matching names?";
  if (!claim || claim->count != expected.count || claim->tensors != expected.tensors) {
    const std::string found = claim ? fmt::format("{} parts with {} tensors", claim->count, claim->tensors)
                                    : std::string("a file that is no part");
    throw Error(Fault{"parts of a split disagree", where,
                      fmt::format("{} parts with {} tensors", expected.count, expected.tensors), found,
                      kCause});
  }
  if (claim->number != number) {
    throw Error(Fault{"a part of a split says another number than its name", where,
                      fmt::format("part {}", number + 1), fmt::format("part {}", claim->number + 1),
                      "renamed?"});
  }
  const std::string ours = first.metadata.string_or("general.architecture", "");
  const std::string theirs = part.metadata.string_or("general.architecture", ours);
  if (ours != theirs) {
    throw Error(Fault{"parts of a split disagree", where, "architecture " + quote_name(ours),
                      quote_name(theirs), kCause});
  }
}

GgufMetadata without_split_keys(GgufMetadata metadata) {
  for (const char* key : {"split.no", "split.count", "split.tensors.count"}) metadata.erase(key);
  return metadata;
}

/// Every part of the split, the first one's metadata cleared of the split's keys.
std::vector<GgufPart> read_parts(const std::vector<MappedFile>& files, const SplitClaim& claim) {
  std::vector<GgufPart> parts;
  int64_t tensors = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string where = files[i].path().string();
    parts.push_back(parse_gguf(files[i].bytes(), where));
    check_same_split(parts.back(), where, static_cast<int64_t>(i), parts.front(), claim);
    tensors += static_cast<int64_t>(parts.back().tensors.size());
  }
  if (tensors != claim.tensors) {
    throw Error(Fault{"the parts of a split do not hold its tensors", files.front().path().string(),
                      fmt::format("{} tensors", claim.tensors), fmt::format("{}", tensors), "corrupt file?"});
  }
  parts.front().metadata = without_split_keys(std::move(parts.front().metadata));
  return parts;
}

}  // namespace

int64_t GgufTensor::rows() const noexcept {
  int64_t rows = 1;
  for (size_t i = 1; i < dims.size(); ++i) rows *= dims[i];
  return rows;
}

WeightView GgufTensor::view() const noexcept {
  WeightView view;
  view.format = ggml_format(kind);
  view.rows = rows();
  view.cols = cols();
  view.codes = bytes;
  return view;
}

GgufFile::GgufFile(const fs::path& path) {
  files_.emplace_back(path);
  std::vector<GgufPart> parts;
  parts.push_back(parse_gguf(files_[0].bytes(), path.string()));
  if (const auto claim = read_claim(parts[0].metadata, path.string())) {
    std::vector<MappedFile> files;
    for (const fs::path& part : locate_parts(path, *claim)) files.emplace_back(part);
    files_ = std::move(files);
    parts = read_parts(files_, *claim);
  }
  version_ = parts[0].version;
  metadata_ = std::move(parts[0].metadata);
  for (size_t i = 0; i < parts.size(); ++i) {
    for (GgufTensor& tensor : parts[i].tensors) {
      if (!index_.emplace(tensor.name, tensors_.size()).second) {
        throw Error(Fault{"a tensor stands in two parts of a split",
                          files_[i].path().string() + ": " + quote_name(tensor.name),
                          {},
                          {},
                          "parts of different models under matching names?"});
      }
      tensors_.push_back(std::move(tensor));
    }
  }
}

const GgufTensor* GgufFile::find(std::string_view name) const noexcept {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace assay
