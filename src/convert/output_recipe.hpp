#pragma once
#include <nlohmann/json.hpp>

#include "convert/recipe.hpp"
#include "models/model_file.hpp"

namespace assay {

/// What an output says it was made by: its manifest entry (null without one), else its own file type, its
/// quantization, or the formats that lie in it. Throws Error for a recipe that assay does not know.
Recipe find_output_recipe(const ModelFile& output, const nlohmann::json& entry);

/// Of the weights in the files. The scale of a tensor in weights.npz is one number there, and one a row in
/// memory, where ModelFile::weight_bytes() counts it.
uint64_t stored_weight_bytes(const ModelFile& output);

}  // namespace assay
