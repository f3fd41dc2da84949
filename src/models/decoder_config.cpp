#include "models/decoder_config.hpp"

#include "base/error.hpp"
#include "models/config_fields.hpp"
#include "models/rope_config.hpp"

namespace assay {
namespace {

// Far above any model, far below where a product of two of them could overflow.
constexpr int64_t kMaxLayers = 4096, kMaxWidth = int64_t{1} << 22, kMaxHeads = int64_t{1} << 16,
                  kMaxHeadDim = int64_t{1} << 14, kMaxVocab = int64_t{1} << 26,
                  kMaxContext = int64_t{1} << 40;

void require_silu(const ConfigFields& fields) {
  const std::string activation = fields.string_or("hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    fields.fail("hidden_act", "\"silu\"", "another architecture under this model_type?");
}

void read_heads(const ConfigFields& fields, const DecoderDefaults& defaults, ModelConfig& model) {
  model.n_heads = fields.dimension("num_attention_heads", kMaxHeads);
  model.n_kv_heads = model.n_heads;
  if (fields.has("num_key_value_heads"))
    model.n_kv_heads = fields.dimension("num_key_value_heads", kMaxHeads);
  else if (defaults.n_kv_heads != 0 && !fields.mentions("num_key_value_heads"))
    model.n_kv_heads = defaults.n_kv_heads;
  if (model.n_heads % model.n_kv_heads != 0)
    fields.fail("num_key_value_heads", "a divisor of num_attention_heads " + std::to_string(model.n_heads));
  model.explicit_head_dim = fields.has("head_dim");
  if (model.explicit_head_dim) {
    model.head_dim = fields.dimension("head_dim", kMaxHeadDim);
  } else if (defaults.head_dim != 0) {
    model.head_dim = defaults.head_dim;
  } else {
    if (model.hidden_dim % model.n_heads != 0)
      fields.fail("hidden_size", "a multiple of num_attention_heads " + std::to_string(model.n_heads),
                  "head_dim is not given");
    model.head_dim = model.hidden_dim / model.n_heads;
  }
  if (model.head_dim % 2 != 0) fields.fail("head_dim", "an even number, for rope rotates pairs");
}

}  // namespace

ModelConfig read_decoder_config(const nlohmann::json& config, std::string_view architecture,
                                const DecoderDefaults& defaults) {
  const ConfigFields fields(config);
  require_silu(fields);
  ModelConfig model;
  model.architecture = architecture;
  model.n_layers = fields.dimension("num_hidden_layers", kMaxLayers);
  model.hidden_dim = fields.dimension("hidden_size", kMaxWidth);
  model.ffn_dim = fields.dimension("intermediate_size", kMaxWidth);
  model.vocab_size = fields.dimension("vocab_size", kMaxVocab);
  read_heads(fields, defaults, model);
  model.max_context = fields.has("max_position_embeddings")
                          ? fields.dimension("max_position_embeddings", kMaxContext)
                          : defaults.max_context;
  model.norm_eps = fields.number_or("rms_norm_eps", 1e-6);
  if (!(model.norm_eps >= 0.0)) fields.fail("rms_norm_eps", "a number not below 0");
  model.tied_embeddings = fields.boolean_or("tie_word_embeddings", false);
  model.rope = read_rope_config(config, model.head_dim, model.max_context);
  return model;
}

std::vector<int64_t> read_qwen_windows(const nlohmann::json& config, int64_t n_layers) {
  const ConfigFields fields(config);
  if (!fields.boolean_or("use_sliding_window", false)) return {};
  const int64_t window =
      fields.has("sliding_window") ? fields.dimension("sliding_window", kMaxContext) : 4096;
  const int64_t first = fields.integer_or("max_window_layers", 28);
  std::vector<int64_t> windows(static_cast<size_t>(n_layers), 0);
  const nlohmann::json& types = fields.at("layer_types");
  if (!types.is_null() && (!types.is_array() || types.size() != windows.size()))
    fields.fail("layer_types", "one entry for each of " + std::to_string(n_layers) + " layers");
  for (size_t layer = 0; layer < windows.size(); ++layer) {
    const bool sliding =
        types.is_null() ? static_cast<int64_t>(layer) >= first : types[layer] == "sliding_attention";
    if (!types.is_null() && !sliding && types[layer] != "full_attention")
      fields.fail("layer_types", "\"full_attention\" or \"sliding_attention\"");
    if (sliding) windows[layer] = window;
  }
  return windows;
}

}  // namespace assay
