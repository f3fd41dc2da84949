#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "models/model_config.hpp"

namespace assay {

/// What an architecture's configuration class in transformers assumes for absent keys.
struct DecoderDefaults {
  int64_t max_context;
  int64_t n_kv_heads;  ///< 0: as many as n_heads
  int64_t head_dim;    ///< 0: hidden_size / num_attention_heads
};

/// Reads the keys that llama, mistral, qwen2 and qwen3 share. Throws Error naming the key when one is
/// missing, out of bounds, or contradicts another. Leaves biases, norms and windows to the caller.
ModelConfig read_decoder_config(const nlohmann::json& config, std::string_view architecture,
                                const DecoderDefaults& defaults);

/// The Qwen rule (configuration_qwen2.py, __post_init__): windows apply when use_sliding_window is true, to
/// the layers that layer_types calls "sliding_attention" or, without it, from max_window_layers on.
std::vector<int64_t> read_qwen_windows(const nlohmann::json& config, int64_t n_layers);

}  // namespace assay
