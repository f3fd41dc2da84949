#include "convert/conversion_metadata.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/version.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// "2026-11-21T00:41:38Z". SOURCE_DATE_EPOCH: reproducible-builds.org, seconds since 1970.
std::string timestamp() {
  std::time_t seconds = std::time(nullptr);
  if (const char* fixed = std::getenv("SOURCE_DATE_EPOCH"))
    seconds = static_cast<std::time_t>(std::strtoll(fixed, nullptr, 10));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  return std::string(text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc));
}

/// Two decimals hide nothing at the sizes of weights, and read well.
double rounded(double value) {
  return std::round(value * 1e4) / 1e4;
}

Json ratio_to_target(double actual_mb, std::optional<double> target_mb) {
  return target_mb ? Json(rounded(actual_mb / *target_mb)) : Json();
}

/// Parsed again with the order of its keys, which read_json_file() does not keep.
Json read_ordered(const std::filesystem::path& path) {
  read_json_file(path);  // says what is wrong, with line and column
  Json document = Json::parse(read_text_file(path), nullptr, false);
  if (!document.is_object())
    throw Error(Fault{"not a conversion's metadata", path.string(), "a JSON object", {}, {}});
  return document;
}

void replace_document(const std::filesystem::path& path, const Json& document, bool overwrite) {
  AtomicFile file(path, overwrite);
  file.write(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  file.commit();
}

std::string float_name(const Plan& plan) {
  return plan.dtype == DType::kF32 ? "float32" : plan.dtype == DType::kF16 ? "float16" : "bfloat16";
}

bool has_kind(const Plan& plan, WeightKind kind) {
  return std::any_of(plan.tensors.begin(), plan.tensors.end(),
                     [&](const PlannedTensor& tensor) { return tensor.format.kind == kind; });
}

/// `quantization`: the old keys first, in the old order, then what assay adds.
Json quantization_json(const Plan& plan) {
  const bool int4 = has_kind(plan, WeightKind::kInt4);
  const bool encoder = int4 || has_kind(plan, WeightKind::kInt8);
  const double actual = to_mib(plan.weight_bytes), original = to_mib(4 * plan.parameters);
  const int bits = int4 ? 4 : encoder ? 8 : plan.recipe.bits;
  Json json = {{"bits", bits},
               {"dtype", bits == 0 ? float_name(plan) : "int" + std::to_string(bits)},
               {"method", encoder ? "symmetric" : "affine"},
               {"target_size_mb", nullptr},
               {"actual_size_mb", rounded(actual)},
               {"original_size_mb", rounded(original)},
               {"compression_ratio", rounded(original / actual)},
               {"size_accuracy_ratio", nullptr},
               {"group_size", int4 || (!encoder && bits != 0) ? Json(plan.recipe.group_size) : Json()},
               {"weight_bytes", plan.weight_bytes},
               {"on_disk_bytes", plan.file_bytes()},
               {"on_disk_mb", rounded(to_mib(plan.file_bytes()))},
               {"bits_per_weight", rounded(plan.bits_per_weight())}};
  if (bits == 0) json["method"] = "none";
  return json;
}

std::optional<double> number_at(const nlohmann::json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_number()) return std::nullopt;
  return object[key].get<double>();
}

std::string text_at(const nlohmann::json& object, const char* key, const char* fallback) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : fallback;
}

}  // namespace

double to_mib(uint64_t bytes) noexcept {
  return static_cast<double>(bytes) / 0x1p20;
}

void write_conversion_metadata(const std::filesystem::path& folder, const ConversionSource& source,
                               const Plan& plan, double seconds) {
  const nlohmann::json& config = source.config();
  const bool has_architectures = config.contains("architectures") && config["architectures"].is_array() &&
                                 !config["architectures"].empty();
  const Json document = {{"model_name", source.name()},
                         {"hf_name", text_at(config, "_name_or_path", source.name().c_str())},
                         {"model_type", "encoder"},
                         {"architecture", has_architectures ? Json(config["architectures"][0])
                                                            : Json(source.model().architecture)},
                         {"quantization", quantization_json(plan)},
                         {"conversion_time_seconds", rounded(seconds)},
                         {"timestamp", timestamp()},
                         {"mlx_version", nullptr},
                         {"device", "cpu"},
                         {"size_accuracy_ratio", nullptr},
                         {"converter_version", "v2"},
                         {"recipe", plan.recipe.name},
                         {"parameters", plan.parameters},
                         {"tool", {{"name", "assay"}, {"version", kToolVersion}}}};
  replace_document(folder / kConversionMetadataName, document, false);
}

void set_conversion_target(const std::filesystem::path& output, const std::string& model_name,
                           const std::string& hf_name, std::optional<double> target_mb) {
  const std::filesystem::path path = output / kConversionMetadataName;
  Json document = read_ordered(path);
  const auto quantization = document.find("quantization");
  if (quantization == document.end() || !number_at(*quantization, "actual_size_mb"))
    throw Error(Fault{"not a conversion's metadata", path.string(), "quantization.actual_size_mb", {}, {}});
  const Json ratio = ratio_to_target((*quantization)["actual_size_mb"].get<double>(), target_mb);
  (*quantization)["target_size_mb"] = target_mb ? Json(*target_mb) : Json();
  (*quantization)["size_accuracy_ratio"] = ratio;
  document["model_name"] = model_name;
  document["hf_name"] = hf_name;
  document["size_accuracy_ratio"] = ratio;
  replace_document(path, document, true);
}

void append_measurements(const std::filesystem::path& path, const nlohmann::ordered_json& metrics) {
  Json document = read_ordered(path);
  Json block = {{"timestamp", timestamp()}, {"tool", {{"name", "assay"}, {"version", kToolVersion}}}};
  block.update(metrics);
  Json& measurements = document["measurements"];
  if (measurements.is_null()) measurements = Json::array();
  if (!measurements.is_array())
    throw Error(
        Fault{"measurements cannot be appended", path.string(), "an array", {}, "another tool's key?"});
  measurements.push_back(std::move(block));
  replace_document(path, document, true);
}

std::optional<SizeClaims> read_size_claims(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kConversionMetadataName;
  if (!std::filesystem::is_regular_file(path)) return std::nullopt;
  const nlohmann::json document = read_json_file(path);
  if (!document.is_object())
    throw Error(Fault{"not a conversion's metadata", path.string(), "a JSON object", {}, {}});
  const nlohmann::json quantization = document.value("quantization", nlohmann::json());
  SizeClaims claims{.version = text_at(document, "converter_version", "v1"),
                    .recipe = text_at(document, "recipe", "")};
  claims.bits = number_at(quantization, "bits");
  claims.actual_mb = number_at(quantization, "actual_size_mb");
  claims.target_mb = number_at(quantization, "target_size_mb");
  claims.original_mb = number_at(quantization, "original_size_mb");
  claims.compression_ratio = number_at(quantization, "compression_ratio");
  claims.size_accuracy_ratio = number_at(document, "size_accuracy_ratio");
  if (const auto bytes = number_at(quantization, "on_disk_bytes"); bytes && *bytes >= 0 && *bytes < 0x1p63)
    claims.on_disk_bytes = static_cast<uint64_t>(*bytes);
  return claims;
}

}  // namespace assay
