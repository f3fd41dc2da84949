#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "convert/plan.hpp"
#include "convert/quantize_tensor.hpp"

namespace assay {

/// A file as it lies on the disk.
struct FileRecord {
  std::string name;  ///< relative to its folder
  uint64_t bytes = 0;
  std::string sha256;
};

/// What one conversion wrote and measured.
struct ConvertedOutput {
  Plan plan;
  std::filesystem::path path;  ///< the GGUF file or the directory
  std::vector<FileRecord> files;
  std::vector<WeightError> errors;  ///< one per plan.tensors
  double seconds = 0.0;

  uint64_t bytes() const noexcept;
};

/// Hashes files below `folder`. Throws Error when one cannot be read.
std::vector<FileRecord> record_files(const std::filesystem::path& folder,
                                     const std::vector<std::string>& names);

/// The manifest's entry for one output: recipe, options, totals, source and output hashes, and per tensor
/// format, bytes, bits per weight and error.
nlohmann::json manifest_entry(const ConvertedOutput& output, const std::filesystem::path& source,
                              const std::vector<FileRecord>& source_files);

inline constexpr const char* kManifestName = "assay.json";

/// Throws Error when FOLDER/assay.json exists and is no manifest, so that merge_manifest() would fail.
void check_manifest(const std::filesystem::path& folder);

/// Adds the entry to FOLDER/assay.json, replacing one of the same path; the file appears whole or not at all.
/// Throws Error when an existing manifest is not one.
void merge_manifest(const std::filesystem::path& folder, nlohmann::json entry);

/// The entry for an output, from the manifest beside it; null JSON when there is none.
nlohmann::json find_manifest_entry(const std::filesystem::path& output);

}  // namespace assay
