#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "convert/plan.hpp"

namespace assay {

/// The source's config.json with the summary of a quantized encoder: "quantization_config": {"quant_method":
/// "assay", "format", "group_size", "tensors", "version"}. `tensors` names every matrix whose format is not
/// `format`, with what it is instead: "int8", "int4", "F32" or "F16".
nlohmann::json assay_config(const ConversionSource& source, const Plan& plan);

/// The README.md of an int8 or int4 directory.
std::string assay_model_card(const ConversionSource& source, const Plan& plan);

}  // namespace assay
