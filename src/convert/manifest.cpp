#include "convert/manifest.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "convert/version.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

nlohmann::json files_json(const std::vector<FileRecord>& files) {
  nlohmann::json list = nlohmann::json::array();
  for (const FileRecord& file : files)
    list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return list;
}

nlohmann::json tensor_json(const PlannedTensor& tensor, const WeightError& error) {
  nlohmann::json row = {{"name", tensor.name},
                        {"role", role_name(tensor.slot.role)},
                        {"shape", tensor.slot.shape},
                        {"format", format_name(tensor.format)},
                        {"bytes", tensor.bytes},
                        {"bits_per_weight", tensor.bits_per_weight()},
                        {"error", {{"rms_relative", error.rms_relative()}, {"max_abs", error.max_abs}}}};
  if (!tensor.reason.empty()) row["reason"] = tensor.reason;
  return row;
}

/// What was asked for single tensors; find_output_recipe() reads it back.
void add_overrides(const Recipe& recipe, nlohmann::json& options) {
  for (const TensorOverride& entry : recipe.overrides)
    options["tensor_formats"].push_back({{"pattern", entry.pattern}, {"format", entry.format}});
  if (!recipe.output_format.empty()) options["output_tensor"] = recipe.output_format;
  if (!recipe.embedding_format.empty()) options["token_embedding"] = recipe.embedding_format;
}

nlohmann::json gguf_options(const Recipe& recipe) {
  nlohmann::json options = {{"file_type", recipe.mix->file_type}, {"imatrix", nullptr}};
  if (const auto& importance = recipe.importance)
    options["imatrix"] = {{"file", importance->file},
                          {"dataset", importance->dataset},
                          {"entries", importance->entries},
                          {"chunks", importance->chunks}};
  add_overrides(recipe, options);
  return options;
}

nlohmann::json options_json(const Recipe& recipe, DType dtype) {
  if (recipe.is_gguf()) return gguf_options(recipe);
  if (recipe.encoder)
    return {{"linears", format_name(recipe.encoder->linears)},
            {"embeddings", format_name(recipe.encoder->embeddings)},
            {"head", format_name(recipe.encoder->head)}};
  nlohmann::json options = {{"dtype", dtype_name(dtype)}};
  if (recipe.bits != 0)
    options.update({{"bits", recipe.bits}, {"group_size", recipe.group_size}, {"mode", "affine"}});
  add_overrides(recipe, options);
  return options;
}

std::string output_key(const std::filesystem::path& output) {
  return (output.has_filename() ? output : output.parent_path()).filename().string();
}

nlohmann::json read_manifest(const std::filesystem::path& path) {
  nlohmann::json manifest = read_json_file(path);
  if (!manifest.is_object() || !manifest.contains("outputs") || !manifest["outputs"].is_array())
    throw Error(Fault{
        "not a manifest of assay", path.string(), "an object with outputs", {}, "another tool's file?"});
  return manifest;
}

}  // namespace

uint64_t ConvertedOutput::bytes() const noexcept {
  uint64_t total = 0;
  for (const FileRecord& file : files) total += file.bytes;
  return total;
}

std::vector<FileRecord> record_files(const std::filesystem::path& folder,
                                     const std::vector<std::string>& names) {
  std::vector<FileRecord> records;
  for (const std::string& name : names)
    records.push_back({name, std::filesystem::file_size(folder / name), sha256_of_file(folder / name)});
  return records;
}

nlohmann::json manifest_entry(const ConvertedOutput& output, const std::filesystem::path& source,
                              const std::vector<FileRecord>& source_files) {
  nlohmann::json tensors = nlohmann::json::array();
  for (size_t i = 0; i < output.plan.tensors.size(); ++i)
    tensors.push_back(tensor_json(output.plan.tensors[i], output.errors[i]));
  const double bytes = static_cast<double>(output.bytes());
  return {{"path", output.plan.output_name},
          {"recipe", output.plan.recipe.name},
          {"options", options_json(output.plan.recipe, output.plan.dtype)},
          {"tool", {{"name", "assay"}, {"version", kToolVersion}}},
          {"source", {{"path", source.string()}, {"files", files_json(source_files)}}},
          {"files", files_json(output.files)},
          {"parameters", output.plan.parameters},
          {"bytes", output.bytes()},
          {"gigabytes", bytes / 1e9},
          {"gibibytes", bytes / 0x1p30},
          {"weight_bytes", output.plan.weight_bytes},
          {"bits_per_weight", output.plan.bits_per_weight()},
          {"seconds", output.seconds},
          {"notes", output.plan.notes},
          {"tensors", std::move(tensors)}};
}

void check_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifestName;
  if (std::filesystem::exists(path)) read_manifest(path);
}

void merge_manifest(const std::filesystem::path& folder, nlohmann::json entry) {
  const std::filesystem::path path = folder / kManifestName;
  nlohmann::json manifest = {{"format", 1}, {"outputs", nlohmann::json::array()}};
  if (std::filesystem::exists(path)) manifest = read_manifest(path);
  nlohmann::json& outputs = manifest["outputs"];
  bool replaced = false;
  for (nlohmann::json& output : outputs) {
    if (!output.is_object() || output.value("path", nlohmann::json()) != entry["path"]) continue;
    output = entry;
    replaced = true;
  }
  if (!replaced) outputs.push_back(std::move(entry));
  AtomicFile file(path, true);
  // Paths and names may hold bytes that are no UTF-8.
  file.write(manifest.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  file.commit();
}

nlohmann::json find_manifest_entry(const std::filesystem::path& output) {
  const std::filesystem::path real = std::filesystem::weakly_canonical(output);
  const std::filesystem::path path = real.parent_path() / kManifestName;
  if (!std::filesystem::exists(path)) return nullptr;
  const nlohmann::json manifest = read_manifest(path);
  for (const nlohmann::json& entry : manifest["outputs"])
    if (entry.is_object() && entry.value("path", nlohmann::json()) == output_key(real)) return entry;
  return nullptr;
}

}  // namespace assay
