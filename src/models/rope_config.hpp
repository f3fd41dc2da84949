#pragma once
#include <nlohmann/json.hpp>

#include "models/model_config.hpp"

namespace assay {

/// Rope parameters of a config.json as transformers resolves them (modeling_rope_utils.py,
/// convert_rope_params_to_dict): `rope_scaling` wins over `rope_parameters` when both are set; `rope_theta`
/// and `partial_rotary_factor` may stand inside or beside. Throws Error for scalings assay does not compute.
RopeConfig read_rope_config(const nlohmann::json& config, int64_t head_dim, int64_t max_context);

/// The factor that yarn multiplies into cos and sin (transformers _compute_yarn_parameters); 1 for every
/// other scaling.
double rope_attention_factor(const RopeConfig& rope);

}  // namespace assay
