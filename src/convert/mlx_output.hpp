#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "convert/plan.hpp"

namespace assay {

/// config.json as mlx-lm saves it: sorted keys, `quantization` and its twin, the tie always spelled out, rope
/// and type keys where mlx-lm's model files look for them.
nlohmann::json mlx_config(const ConversionSource& source, const Plan& plan);

/// The README.md of an MLX directory.
std::string mlx_model_card(const ConversionSource& source, const Plan& plan);

}  // namespace assay
