#include "convert/encoder_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "models/config_fields.hpp"

namespace assay {
namespace {

using Role = TensorRole;

/// The format the role asks for, and the reason where that is not the format of the linears.
WeightFormat choose_format(const TensorSlot& slot, const EncoderFormats& formats, std::string& reason) {
  if (slot.role == Role::kRelativeBias) {
    reason = "relative positions stay F32";
    return plain_format(DType::kF32);
  }
  if (slot.shape.size() < 2) {
    reason = "norms and biases stay F32";
    return plain_format(DType::kF32);
  }
  if (is_embedding(slot.role)) {
    if (formats.embeddings != formats.linears) reason = "embedding";
    return formats.embeddings;
  }
  if (is_head(slot.role)) {
    if (formats.head != formats.linears) reason = "head";
    return formats.head;
  }
  return formats.linears;
}

/// What mlx-embeddings loads. Source: Blaizzy/mlx-embeddings mlx_embeddings/models.
constexpr std::string_view kMlxEmbeddings[] = {"bert", "xlm-roberta", "modernbert"};

void note_mlx_limits(const ConversionSource& source, Plan& plan) {
  const std::string type = ConfigFields(source.config()).string_or("model_type", "");
  const auto* known = std::find(std::begin(kMlxEmbeddings), std::end(kMlxEmbeddings), type);
  if (known == std::end(kMlxEmbeddings)) {
    plan.notes.push_back("mlx-embeddings has no " + type + ": stock tools cannot load this output");
    return;
  }
  if (source.model().encoder->head.kind != EncoderHeadKind::kNone && type != "modernbert")
    plan.notes.push_back("mlx-embeddings has no classifier of " + type +
                         ": stock tools can use the vectors of this output, but not its head");
}

void note_float_embeddings(Plan& plan) {
  uint64_t bytes = 0;
  std::string format;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (!is_embedding(tensor.slot.role) || is_quantized(tensor.format)) continue;
    bytes += tensor.bytes;
    format = format_name(tensor.format);
  }
  if (bytes != 0)
    plan.notes.push_back(float_embeddings_sentence(bytes, plan.weight_bytes, plan.parameters, format));
}

}  // namespace

bool is_embedding(TensorRole role) noexcept {
  return role == Role::kTokenEmbedding || role == Role::kPositionEmbedding || role == Role::kTypeEmbedding;
}

bool is_head(TensorRole role) noexcept {
  return role == Role::kPooler || role == Role::kHeadDense || role == Role::kClassifier;
}

PlannedTensor plan_encoder_tensor(const TensorSlot& slot, const EncoderFormats& formats) {
  PlannedTensor tensor{slot, slot.hf_name, {}, 0, {}};
  tensor.format = choose_format(slot, formats, tensor.reason);
  const int64_t cols = slot.shape.back(), block = block_length(tensor.format);
  if (cols % block != 0) {
    tensor.reason = fmt::format("{} columns are no multiple of the group of {}", cols, block);
    tensor.format = int8_format();
  }
  tensor.bytes =
      static_cast<uint64_t>(count_elements(slot.shape) / cols) * row_bytes(tensor.format, cols).total();
  return tensor;
}

void check_recipe_fits(const ConversionSource& source, const Recipe& recipe) {
  const bool is_encoder = source.model().encoder.has_value();
  if (recipe.encoder && !is_encoder) {
    const bool four = recipe.encoder->linears.kind == WeightKind::kInt4;
    throw UsageError(
        Fault{"recipe is for encoders only",
              recipe.name,
              four ? "mlx:4bit or gguf:Q4_K_M for a decoder" : "mlx:8bit or gguf:Q8_0 for a decoder",
              source.model().architecture,
              {}});
  }
  if (recipe.is_gguf() && is_encoder)
    throw Error(Fault{"encoders have no GGUF output yet",
                      recipe.name,
                      "int8, int4 or an mlx recipe",
                      source.model().architecture,
                      {}});
}

std::string float_embeddings_sentence(uint64_t embedding_bytes, uint64_t all_bytes, uint64_t parameters,
                                      std::string_view format) {
  const auto all = static_cast<double>(all_bytes);
  return fmt::format("embeddings are {} and {:.0f} % of the bytes: {:.2f}x smaller than 32-bit floats",
                     format, 100.0 * static_cast<double>(embedding_bytes) / all,
                     4.0 * static_cast<double>(parameters) / all);
}

void note_encoder_limits(const ConversionSource& source, Plan& plan) {
  if (!source.model().encoder) return;
  if (plan.recipe.encoder) note_float_embeddings(plan);
  if (!plan.recipe.encoder && !plan.recipe.is_gguf()) note_mlx_limits(source, plan);
}

}  // namespace assay
