#include "convert/mlx_output.hpp"

#include <fmt/format.h>

#include <map>

#include "base/error.hpp"
#include "convert/version.hpp"

namespace assay {
namespace {

/// Copied without a change when the source has them.
constexpr std::string_view kCopied[] = {"generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "tokenizer.model",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "LICENSE",
                                        "LICENSE.txt",
                                        "NOTICE",
                                        "USE_POLICY.md"};

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path, false);
  file.write(text);
  file.commit();
}

std::string dump_python_style(const nlohmann::json& value) {
  return value.dump(4, ' ', true, nlohmann::json::error_handler_t::replace);
}

nlohmann::json index_json(const Plan& plan) {
  nlohmann::json map = nlohmann::json::object();
  for (const PlannedFile& file : plan.files)
    for (const TensorSpec& spec : file.specs) map[spec.name] = file.name;
  return {{"metadata", {{"total_size", plan.weight_bytes}, {"total_parameters", plan.parameters}}},
          {"weight_map", std::move(map)}};
}

std::string model_card(const ConversionSource& source, const Plan& plan) {
  const std::string kind =
      plan.recipe.bits == 0 ? fmt::format("unquantized, {}", dtype_name(plan.dtype))
                            : fmt::format("{} bits in groups of {}, {:.3f} bits per weight", plan.recipe.bits,
                                          plan.recipe.group_size, plan.bits_per_weight());
  return fmt::format(
      "---\nlibrary_name: mlx\npipeline_tag: text-generation\ntags:\n- mlx\n---\n\n# {} for MLX\n\n"
      "Converted from {} by assay {}: {}. Load it with `mlx_lm.load`.\n",
      source.name(), source.name(), kToolVersion, kind);
}

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

}  // namespace

void MlxWeights::open_next() {
  if (writer_ != nullptr) {
    writer_->finish();
    writer_.reset();
    file_->commit();
    file_.reset();
  }
  if (next_file_ == plan_.files.size()) return;
  const PlannedFile& planned = plan_.files[next_file_++];
  file_ = std::make_unique<AtomicFile>(folder_ / planned.name, false);
  writer_ = std::make_unique<SafetensorsWriter>(*file_, planned.specs,
                                                std::map<std::string, std::string>{{"format", "mlx"}});
  left_ = planned.bytes - file_->size();
}

void MlxWeights::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (left_ == 0) open_next();
  ASSAY_CHECK(writer_ != nullptr && bytes.size() <= left_);
  writer_->write(bytes);
  left_ -= bytes.size();
}

void MlxWeights::finish() {
  ASSAY_CHECK(left_ == 0 && next_file_ == plan_.files.size());
  open_next();
}

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
    const nlohmann::json quantization = {
        {"bits", plan.recipe.bits}, {"group_size", plan.recipe.group_size}, {"mode", "affine"}};
    config["quantization"] = quantization;
    config["quantization_config"] = quantization;
  }
  return config;
}

std::vector<std::string> write_mlx_side_files(const std::filesystem::path& folder,
                                              const ConversionSource& source, const Plan& plan) {
  std::vector<std::string> names;
  for (const PlannedFile& file : plan.files) names.push_back(file.name);
  const auto write = [&](const char* name, const std::string& text) {
    write_text(folder / name, text);
    names.emplace_back(name);
  };
  write("config.json", dump_python_style(mlx_config(source, plan)));
  write("model.safetensors.index.json", dump_python_style(index_json(plan)));
  write("README.md", model_card(source, plan));
  for (const std::string_view name : kCopied) {
    const std::filesystem::path from = source.path() / name;
    if (!std::filesystem::is_regular_file(from)) continue;
    const MappedFile original(from);
    AtomicFile copy(folder / name, false);
    copy.write(original.bytes());
    copy.commit();
    names.emplace_back(name);
  }
  return names;
}

}  // namespace assay
