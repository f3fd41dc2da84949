#include "convert/mlx_output.hpp"

#include <fmt/format.h>

#include <map>

#include "convert/version.hpp"

namespace assay {
namespace {

/// transformers 5 keeps rope_theta and the scaling inside rope_parameters; mlx-lm's llama and qwen2 look for
/// the older keys alone and would fall back to 10000.
void spell_out_rope(nlohmann::json& config) {
  const auto parameters = config.find("rope_parameters");
  if (parameters == config.end() || !parameters->is_object()) return;
  if (parameters->contains("full_attention")) return;
  if (!config.contains("rope_theta") && parameters->contains("rope_theta"))
    config["rope_theta"] = (*parameters)["rope_theta"];
  const nlohmann::json type =
      parameters->value("rope_type", parameters->value("type", nlohmann::json("default")));
  const bool scaled = type != "default";
  if (scaled && (!config.contains("rope_scaling") || config["rope_scaling"].is_null()))
    config["rope_scaling"] = *parameters;
}

std::string torch_name(DType dtype) {
  return dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
}

/// Modules whose parameters are not the top-level ones, as mlx-lm looks for them; false where a matrix that
/// could be quantized is not.
void list_exceptions(const Plan& plan, nlohmann::json& quantization) {
  const WeightFormat usual = mlx_format(plan.recipe.bits, plan.recipe.group_size, plan.dtype);
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.slot.shape.size() < 2 || tensor.format == usual) continue;
    const std::string path = tensor.name.substr(0, tensor.name.rfind('.'));
    if (is_quantized(tensor.format))
      quantization[path] = {
          {"bits", tensor.format.bits}, {"group_size", tensor.format.group_size}, {"mode", "affine"}};
    else if (tensor.slot.shape.back() % plan.recipe.group_size == 0)
      quantization[path] = false;
  }
}

}  // namespace

nlohmann::json mlx_config(const ConversionSource& source, const Plan& plan) {
  nlohmann::json config = source.config();
  for (const char* key : {"_name_or_path", "vision_config", "quantization", "quantization_config"})
    config.erase(key);
  config["tie_word_embeddings"] = source.model().tied_embeddings;
  spell_out_rope(config);
  // mlx-lm lets the generation config's stop tokens win (utils.py, load_config).
  const nlohmann::json& generation = source.generation_config();
  if (generation.is_object() && generation.contains("eos_token_id") && !generation["eos_token_id"].is_null())
    config["eos_token_id"] = generation["eos_token_id"];
  if (config.contains("dtype")) config["dtype"] = torch_name(plan.dtype);
  config["torch_dtype"] = torch_name(plan.dtype);
  if (plan.recipe.bits != 0) {
    nlohmann::json quantization = {
        {"bits", plan.recipe.bits}, {"group_size", plan.recipe.group_size}, {"mode", "affine"}};
    list_exceptions(plan, quantization);
    config["quantization"] = quantization;
    config["quantization_config"] = quantization;
  }
  return config;
}

std::string mlx_model_card(const ConversionSource& source, const Plan& plan) {
  const std::string kind =
      plan.recipe.bits == 0 ? fmt::format("unquantized, {}", dtype_name(plan.dtype))
                            : fmt::format("{} bits in groups of {}, {:.3f} bits per weight", plan.recipe.bits,
                                          plan.recipe.group_size, plan.bits_per_weight());
  const bool encoder = source.model().encoder.has_value();
  return fmt::format(
      "---\nlibrary_name: mlx\npipeline_tag: {}\ntags:\n- mlx\n---\n\n# {} for MLX\n\n"
      "Converted from {} by assay {}: {}. {}\n",
      encoder ? "feature-extraction" : "text-generation", source.name(), source.name(), kToolVersion, kind,
      encoder ? "Made for `mlx_embeddings.load`." : "Load it with `mlx_lm.load`.");
}

}  // namespace assay
