#include "models/qwen3.hpp"

#include "models/config_fields.hpp"
#include "models/decoder_config.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"qwen3"};

// transformers modeling_qwen3.py: an RMS norm on every head of q and k; head_dim is 128 unless given.
ModelConfig read_config(const nlohmann::json& config) {
  ModelConfig model =
      read_decoder_config(config, "qwen3", {.max_context = 32768, .n_kv_heads = 32, .head_dim = 128});
  model.qkv_bias = model.output_bias = ConfigFields(config).boolean_or("attention_bias", false);
  model.qk_norm = true;
  model.sliding_window = read_qwen_windows(config, model.n_layers);
  return model;
}

}  // namespace

const Architecture kQwen3{
    .name = "qwen3",
    .model_types = kModelTypes,
    .gguf_name = "qwen3",
    .read_config = read_config,
    .gguf_permutes_qk = false,
};

}  // namespace assay
