#include "models/llama.hpp"

#include "models/config_fields.hpp"
#include "models/decoder_config.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"llama"};

// transformers configuration_llama.py, modeling_llama.py: attention_bias puts a bias on q, k, v and o.
ModelConfig read_config(const nlohmann::json& config) {
  ModelConfig model =
      read_decoder_config(config, "llama", {.max_context = 2048, .n_kv_heads = 0, .head_dim = 0});
  const ConfigFields fields(config);
  model.qkv_bias = model.output_bias = fields.boolean_or("attention_bias", false);
  model.mlp_bias = fields.boolean_or("mlp_bias", false);
  return model;
}

}  // namespace

const Architecture kLlama{
    .name = "llama",
    .model_types = kModelTypes,
    .gguf_name = "llama",
    .read_config = read_config,
    .gguf_permutes_qk = true,
};

}  // namespace assay
