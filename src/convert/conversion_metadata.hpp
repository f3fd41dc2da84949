#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "convert/plan.hpp"

namespace assay {

inline constexpr const char* kConversionMetadataName = "conversion_metadata.json";

/// What older tools call MB in this file: 2^20 bytes.
double to_mib(uint64_t bytes) noexcept;

/// Writes FOLDER/conversion_metadata.json beside an encoder's output: the keys that scripts of the converter
/// before assay read (docs/encoders.md), with values that are true. `quantization.actual_size_mb` counts the
/// tensors with their scales, `original_size_mb` the same weights as 32-bit floats, both in MiB;
/// `on_disk_bytes` the weight files. A target is added by set_conversion_target(). `seconds` is what the
/// conversion took so far. The time is now, or SOURCE_DATE_EPOCH where it is set.
void write_conversion_metadata(const std::filesystem::path& folder, const ConversionSource& source,
                               const Plan& plan, double seconds);

/// Puts the names and the target of a batch's entry, and the ratio to it, into the metadata of an output.
/// Everything else keeps its place and value. Throws Error when the file is missing or not of this kind.
void set_conversion_target(const std::filesystem::path& output, const std::string& model_name,
                           const std::string& hf_name, std::optional<double> target_mb);

/// Appends `metrics`, with the time and this version, to the array `measurements` of the file at `path`,
/// which is made when absent; every other key keeps its place and value. The file is replaced as a whole.
/// Throws Error when it is missing, no JSON object, or has `measurements` of another kind.
void append_measurements(const std::filesystem::path& path, const nlohmann::ordered_json& metrics);

/// What a conversion_metadata.json of any generation tells about sizes, in MiB. Keys that are missing, null
/// or of another type stay empty.
struct SizeClaims {
  std::string version;  ///< converter_version; "v1" where the file has none, as the first generation wrote it
  std::optional<double> bits{}, actual_mb{}, target_mb{}, original_mb{}, compression_ratio{},
      size_accuracy_ratio{};
  std::optional<uint64_t> on_disk_bytes{};
  std::string recipe;  ///< empty where another tool wrote the file
};

/// Of FOLDER/conversion_metadata.json; nothing when it is absent. Throws Error when it is no JSON object.
std::optional<SizeClaims> read_size_claims(const std::filesystem::path& folder);

}  // namespace assay
