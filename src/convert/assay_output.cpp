#include "convert/assay_output.hpp"

#include <fmt/format.h>

#include "convert/version.hpp"

namespace assay {

namespace {

/// What stands in `tensors` for a format; the group of int4 is told once for all.
std::string summary_word(const WeightFormat& format) {
  return format.kind == WeightKind::kInt4 ? "int4" : format_name(format);
}

}  // namespace

nlohmann::json assay_config(const ConversionSource& source, const Plan& plan) {
  const EncoderFormats& formats = *plan.recipe.encoder;
  nlohmann::json exceptions = nlohmann::json::object();
  for (const PlannedTensor& tensor : plan.tensors)
    if (tensor.slot.shape.size() > 1 && tensor.format != formats.linears)
      exceptions[tensor.name] = summary_word(tensor.format);
  nlohmann::json config = source.config();
  config["quantization_config"] = {{"quant_method", "assay"},
                                   {"format", summary_word(formats.linears)},
                                   {"group_size", plan.recipe.group_size},
                                   {"tensors", std::move(exceptions)},
                                   {"version", 1}};
  return config;
}

std::string assay_model_card(const ConversionSource& source, const Plan& plan) {
  const EncoderFormats& formats = *plan.recipe.encoder;
  return fmt::format(
      "---\nlibrary_name: assay\n---\n\n# {}, {}\n\n"
      "Converted from {} by assay {}: layers {}, embeddings {}, head {}, norms and biases F32.\n"
      "{} bytes of weights, {:.3f} bits per weight, {:.2f}x smaller than 32-bit floats.\n",
      source.name(), plan.recipe.name, source.name(), kToolVersion, format_name(formats.linears),
      format_name(formats.embeddings), format_name(formats.head), plan.weight_bytes, plan.bits_per_weight(),
      plan.ratio_to(32));
}

}  // namespace assay
