#include "convert/output_recipe.hpp"

#include <fmt/format.h>

#include "convert/encoder_plan.hpp"
#include "convert/tensor_overrides.hpp"
#include "io/npz.hpp"
#include "models/encoder_match.hpp"
#include "models/npz_weights.hpp"
#include "text/regex.hpp"

namespace assay {
namespace {

/// Formats by role, as the tensors of an encoder have them. A linear that fell back to int8 beside int4 ones
/// says nothing; a table or a head of int8 may have fallen back too, which gives the same plan.
EncoderFormats stored_formats(const ModelFile& output) {
  EncoderFormats formats{int8_format(), int8_format(), int8_format()};
  formats.npz = output.container() == Container::kNpz;
  for (const ModelTensor& tensor : output.tensors()) {
    const WeightFormat& format = tensor.weight.format;
    if (tensor.slot.shape.size() < 2 || tensor.slot.role == TensorRole::kRelativeBias) continue;
    const bool table = is_embedding(tensor.slot.role), head = is_head(tensor.slot.role);
    if (format.kind == WeightKind::kInt4 || ((table || head) && format.kind == WeightKind::kF32) ||
        (table && format.kind == WeightKind::kF16))
      (table ? formats.embeddings : head ? formats.head : formats.linears) = format;
  }
  return formats;
}

Recipe find_gguf_recipe(const GgufFile& file) {
  const int64_t type = file.metadata().integer("general.file_type");
  const std::string_view name = type < 0 ? "" : gguf_file_type_name(static_cast<uint32_t>(type));
  return parse_recipe("gguf:" + (name.empty() ? std::to_string(type) : std::string(name)));
}

/// What the manifest says of single tensors.
void read_overrides(const nlohmann::json& options, Recipe& recipe) {
  std::vector<TensorOverride> overrides;
  for (const nlohmann::json& row : options.value("tensor_formats", nlohmann::json::array()))
    overrides.push_back({row.at("pattern").get<std::string>(), row.at("format").get<std::string>()});
  recipe = with_tensor_overrides(recipe, std::move(overrides), options.value("output_tensor", ""),
                                 options.value("token_embedding", ""));
}

/// Modules that an MLX config.json lists with parameters of their own.
void read_exceptions(const nlohmann::json& config, Recipe& recipe) {
  const nlohmann::json* settings = find_mlx_settings(config);
  if (settings == nullptr || recipe.bits == 0) return;
  std::vector<TensorOverride> overrides;
  for (const auto& [path, value] : settings->items()) {
    const std::string pattern = "^" + text::escape_regex(path + ".weight") + "$";
    if (value == false)
      overrides.push_back({pattern, "none"});
    else if (const auto own = value.is_object() ? resolve_mlx_quantization(config, path, true) : std::nullopt)
      overrides.push_back({pattern, fmt::format("{}bit-g{}", own->bits, own->group_size)});
  }
  recipe = with_tensor_overrides(recipe, std::move(overrides), "", "");
}

void read_importance(const GgufMetadata& metadata, Recipe& recipe) {
  if (metadata.find("quantize.imatrix.entries_count") == nullptr) return;
  recipe.importance = ImportanceFacts{metadata.string_or("quantize.imatrix.file", ""),
                                      metadata.string_or("quantize.imatrix.dataset", ""),
                                      metadata.integer("quantize.imatrix.entries_count"),
                                      metadata.integer_or("quantize.imatrix.chunks_count", 0)};
}

Recipe find_mlx_recipe(const ModelFile& output, const nlohmann::json& config) {
  if (const auto settings = resolve_mlx_quantization(config, "", true)) {
    if (settings->mode != "affine") return parse_recipe("mlx:" + settings->mode);
    Recipe recipe = parse_recipe(fmt::format("mlx:{}bit-g{}", settings->bits, settings->group_size));
    read_exceptions(config, recipe);
    return recipe;
  }
  const WeightKind kind = output.tensors().front().weight.format.kind;
  return parse_recipe(kind == WeightKind::kF32   ? "mlx:f32"
                      : kind == WeightKind::kF16 ? "mlx:f16"
                                                 : "mlx:bf16");
}

Recipe find_recipe(const ModelFile& output, const nlohmann::json& entry) {
  if (entry.is_object() && entry.contains("recipe") && entry["recipe"].is_string()) {
    Recipe recipe = parse_recipe(entry["recipe"].get<std::string>());
    if (entry.contains("options") && entry["options"].is_object()) read_overrides(entry["options"], recipe);
    return recipe;
  }
  if (const GgufFile* gguf = output.gguf()) return find_gguf_recipe(*gguf);
  const nlohmann::json& config = output.directory()->config();
  if (output.container() == Container::kNpz || is_assay_config(config))
    return encoder_recipe(stored_formats(output));
  return find_mlx_recipe(output, config);
}

}  // namespace

Recipe find_output_recipe(const ModelFile& output, const nlohmann::json& entry) {
  Recipe recipe = find_recipe(output, entry);
  if (output.gguf() != nullptr && recipe.is_gguf()) read_importance(output.gguf()->metadata(), recipe);
  return recipe;
}

uint64_t stored_weight_bytes(const ModelFile& output) {
  if (output.container() != Container::kNpz) return output.weight_bytes();
  const NpzFile file(output.path() / kNpzName);
  uint64_t total = 0;
  for (const NpzArray& array : file.arrays()) total += array.bytes;
  return total;
}

}  // namespace assay
