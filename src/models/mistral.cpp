#include "models/mistral.hpp"

#include "models/config_fields.hpp"
#include "models/decoder_config.hpp"

namespace assay {
namespace {

constexpr std::string_view kModelTypes[] = {"mistral"};

// transformers configuration_mistral.py: a window of 4096 unless the key says otherwise; null means none.
ModelConfig read_config(const nlohmann::json& config) {
  ModelConfig model =
      read_decoder_config(config, "mistral", {.max_context = 131072, .n_kv_heads = 8, .head_dim = 0});
  const ConfigFields fields(config);
  const bool given_as_null = fields.mentions("sliding_window") && !fields.has("sliding_window");
  const int64_t window = fields.has("sliding_window") ? fields.dimension("sliding_window", int64_t{1} << 40)
                                                      : (given_as_null ? 0 : 4096);
  if (window != 0) model.sliding_window.assign(static_cast<size_t>(model.n_layers), window);
  return model;
}

}  // namespace

// llama.cpp has no mistral: its converter files these models under llama.
const Architecture kMistral{
    .name = "mistral",
    .model_types = kModelTypes,
    .gguf_name = "llama",
    .read_config = read_config,
    .gguf_permutes_qk = true,
};

}  // namespace assay
