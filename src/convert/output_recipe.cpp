#include "convert/output_recipe.hpp"

#include <fmt/format.h>

#include "convert/encoder_plan.hpp"
#include "io/npz.hpp"
#include "models/encoder_match.hpp"
#include "models/npz_weights.hpp"

namespace assay {
namespace {

/// Formats by role, as the tensors of an encoder have them. A linear that fell back to int8 beside int4 ones
/// says nothing; a table or a head of int8 may have fallen back too, which gives the same plan.
EncoderFormats stored_formats(const ModelFile& output) {
  EncoderFormats formats{int8_format(), int8_format(), int8_format()};
  formats.npz = output.container() == Container::kNpz;
  for (const ModelTensor& tensor : output.tensors()) {
    const WeightFormat& format = tensor.weight.format;
    if (tensor.slot.shape.size() < 2 || tensor.slot.role == TensorRole::kRelativeBias) continue;
    const bool table = is_embedding(tensor.slot.role), head = is_head(tensor.slot.role);
    if (format.kind == WeightKind::kInt4 || ((table || head) && format.kind == WeightKind::kF32) ||
        (table && format.kind == WeightKind::kF16))
      (table ? formats.embeddings : head ? formats.head : formats.linears) = format;
  }
  return formats;
}

Recipe find_gguf_recipe(const GgufFile& file) {
  const int64_t type = file.metadata().integer("general.file_type");
  const std::string_view name = type < 0 ? "" : gguf_file_type_name(static_cast<uint32_t>(type));
  return parse_recipe("gguf:" + (name.empty() ? std::to_string(type) : std::string(name)));
}

}  // namespace

Recipe find_output_recipe(const ModelFile& output, const nlohmann::json& entry) {
  if (entry.is_object() && entry.contains("recipe") && entry["recipe"].is_string())
    return parse_recipe(entry["recipe"].get<std::string>());
  if (const GgufFile* gguf = output.gguf()) return find_gguf_recipe(*gguf);
  const nlohmann::json& config = output.directory()->config();
  if (output.container() == Container::kNpz || is_assay_config(config))
    return encoder_recipe(stored_formats(output));
  if (const auto settings = resolve_mlx_quantization(config, "", true)) {
    if (settings->mode != "affine") return parse_recipe("mlx:" + settings->mode);
    return parse_recipe(fmt::format("mlx:{}bit-g{}", settings->bits, settings->group_size));
  }
  const WeightKind kind = output.tensors().front().weight.format.kind;
  return parse_recipe(kind == WeightKind::kF32   ? "mlx:f32"
                      : kind == WeightKind::kF16 ? "mlx:f16"
                                                 : "mlx:bf16");
}

uint64_t stored_weight_bytes(const ModelFile& output) {
  if (output.container() != Container::kNpz) return output.weight_bytes();
  const NpzFile file(output.path() / kNpzName);
  uint64_t total = 0;
  for (const NpzArray& array : file.arrays()) total += array.bytes;
  return total;
}

}  // namespace assay
