#include "models/qwen2.hpp"

#include "models/decoder_config.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"qwen2"};

// transformers modeling_qwen2.py: q, k and v always have a bias, o never.
ModelConfig read_config(const nlohmann::json& config) {
  ModelConfig model =
      read_decoder_config(config, "qwen2", {.max_context = 32768, .n_kv_heads = 32, .head_dim = 0});
  model.qkv_bias = true;
  model.sliding_window = read_qwen_windows(config, model.n_layers);
  return model;
}

}  // namespace

const Architecture kQwen2{
    .name = "qwen2",
    .model_types = kModelTypes,
    .gguf_name = "qwen2",
    .read_config = read_config,
    .gguf_permutes_qk = false,
};

}  // namespace assay
