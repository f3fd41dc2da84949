#include "base/error.hpp"
#include "models/config_fields.hpp"
#include "models/model_file.hpp"

// Rules: mlx-lm utils.py, load_model and quantize_model (defaults_for_mode).

namespace assay {
namespace {

using nlohmann::json;

/// What a null or absent group_size or bits means in each mode.
MlxQuantization mode_defaults(const std::string& mode) {
  if (mode == "affine") return {.bits = 4, .group_size = 64, .mode = mode};
  if (mode == "mxfp4") return {.bits = 4, .group_size = 32, .mode = mode};
  if (mode == "mxfp8") return {.bits = 8, .group_size = 32, .mode = mode};
  if (mode == "nvfp4") return {.bits = 4, .group_size = 16, .mode = mode};
  throw Error(Fault{"quantization mode is not known",
                    "config.json: quantization: mode",
                    "affine, mxfp4, mxfp8 or nvfp4",
                    "\"" + mode + "\"",
                    {}});
}

MlxQuantization read_entry(const json& entry, const std::string& where) {
  const ConfigFields fields(entry, where);
  MlxQuantization result = mode_defaults(fields.string_or("mode", "affine"));
  if (fields.has("bits")) result.bits = static_cast<int>(fields.dimension("bits", 32));
  if (fields.has("group_size")) result.group_size = static_cast<int>(fields.dimension("group_size", 1 << 16));
  return result;
}

/// quantization_config without `quantization`: what other tools wrote and mlx-lm translates at load.
MlxQuantization read_legacy(const json& settings) {
  const ConfigFields fields(settings, "config.json: quantization_config");
  const std::string method = fields.string_or("quant_method", "");
  if (method.empty()) return read_entry(settings, fields.where());
  if (method == "mxfp4" || method == "mxfp8") return mode_defaults(method);
  if (method == "compressed-tensors")
    return fields.string_or("format", "") == "nvfp4-pack-quantized"
               ? mode_defaults("nvfp4")
               : MlxQuantization{.bits = 4, .group_size = 32, .mode = "affine"};
  throw Error(Fault{"weights are packed by another tool, in a layout that assay cannot decode",
                    fields.where() + ": quant_method",
                    "an MLX or an unquantized checkpoint",
                    "\"" + method + "\"",
                    {}});
}

}  // namespace

const json* find_mlx_settings(const json& config) noexcept {
  for (const char* key : {"quantization", "quantization_config"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_object()) return &*found;
  }
  return nullptr;
}

std::optional<MlxQuantization> resolve_mlx_quantization(const json& config, std::string_view module_path,
                                                        bool has_scales) {
  const auto given = config.find("quantization");
  const bool modern = given != config.end() && !given->is_null();
  if (!modern) {
    const json* settings = find_mlx_settings(config);
    if (settings == nullptr || !has_scales) return std::nullopt;
    return read_legacy(*settings);
  }
  const std::string where = "config.json: quantization";
  const ConfigFields fields(*given, where);
  if (const auto entry = given->find(module_path); entry != given->end()) {
    if (entry->is_boolean()) {
      if (!entry->get<bool>()) return std::nullopt;
      return read_entry(*given, where);
    }
    return read_entry(*entry, where + ": " + std::string(module_path));
  }
  if (!has_scales) return std::nullopt;
  return read_entry(*given, where);
}

}  // namespace assay
