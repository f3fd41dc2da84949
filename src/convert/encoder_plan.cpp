#include "convert/encoder_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "models/config_fields.hpp"
#include "models/gguf_encoder_config.hpp"

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

/// What mlx-embeddings has. Source: Blaizzy/mlx-embeddings mlx_embeddings/models.
constexpr std::string_view kMlxEmbeddings[] = {"bert", "xlm-roberta", "modernbert"};

/// Why mlx-embeddings 0.1.0 does not load this output; empty where it does. It wants exactly the tensors of
/// its own classes, under their names (utils.py, load_model), which BERT and XLM-R have without prefix and
/// head.
std::string mlx_embeddings_limit(const ConversionSource& source, const Plan& plan) {
  const std::string type = ConfigFields(source.config()).string_or("model_type", "");
  if (std::find(std::begin(kMlxEmbeddings), std::end(kMlxEmbeddings), type) == std::end(kMlxEmbeddings))
    return "has no " + type;
  const EncoderTraits& traits = *source.model().encoder;
  const EncoderHeadKind head = traits.head.kind;
  if (head == EncoderHeadKind::kToken || (head == EncoderHeadKind::kSequence && type != "modernbert"))
    return "has no classifier of " + type;
  if (type != "modernbert" && (!traits.name_prefix.empty() || traits.old_norm_names))
    return "knows other names of " + type + "'s tensors";
  if (type == "bert" && !traits.head.has_pooler) return "has no bert without pooler";
  if (!SentenceModules::read(source.path(), source.model().hidden_dim).dense.empty())
    return "takes the weights of the Dense module for the model's own";
  for (const PlannedTensor& tensor : plan.tensors)
    if (is_quantized(tensor.format) && tensor.parameters() % 64 != 0)
      return "leaves matrices unquantized that are no multiple of 64 values, as " + tensor.name;
  return {};
}

void note_mlx_limits(const ConversionSource& source, Plan& plan) {
  const std::string limit = mlx_embeddings_limit(source, plan);
  if (!limit.empty())
    plan.notes.push_back("mlx-embeddings " + limit + ": stock tools cannot load this output");
}

/// What llama.cpp computes otherwise than the model, or not at all. Source: llama.cpp src/models/bert.cpp,
/// src/llama-graph.cpp (build_pooling), ggml-cpu (ggml_vec_gelu_f32).
void note_llama_cpp_limits(const ConversionSource& source, Plan& plan) {
  const EncoderTraits& traits = *source.model().encoder;
  const auto note = [&](std::string sentence) { plan.notes.push_back(std::move(sentence)); };
  note(traits.activation == Activation::kGeluErf
           ? "llama.cpp computes the tanh approximation of GELU, rounded to half precision, where this model "
             "has the exact one: its vectors differ a little from the model's"
           : "llama.cpp rounds GELU to half precision: its vectors differ a little from the model's");
  if (traits.type_rows > 1)
    note("llama.cpp gives every token the first type: pairs of texts come out otherwise than here");
  if (traits.head.has_pooler)
    note(traits.head.kind == EncoderHeadKind::kSequence
             ? "the pooler is stored as cls, which llama.cpp runs before the classifier as BERT does"
             : "the pooler is kept as cls; llama.cpp loads it and uses it for ranking alone");
  if (traits.head.kind == EncoderHeadKind::kSequence && source.model().architecture == "distilbert")
    note(
        "llama.cpp puts tanh before the classifier where DistilBERT has ReLU: its scores are wrong, and its "
        "labels may be; here they are right");
  const SentenceModules modules = SentenceModules::read(source.path(), source.model().hidden_dim);
  if (!modules.prompts.empty())
    note("prompts are kept for readers that know them; llama.cpp leaves them to its caller");
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

/// The figure: docs/encoders.md, all-MiniLM-L6-v2.
void note_npz_scales(Plan& plan) {
  if (!plan.recipe.encoder || !plan.recipe.encoder->npz) return;
  const bool embedded =
      std::any_of(plan.tensors.begin(), plan.tensors.end(), [](const PlannedTensor& tensor) {
        return is_embedding(tensor.slot.role) && is_quantized(tensor.format);
      });
  if (embedded)
    plan.notes.push_back(
        "weights.npz has one scale for a whole table of embeddings: all-MiniLM-L6-v2 keeps a mean cosine of "
        "0.966 "
        "so, 0.999 with a scale for each row, which takes as many bytes: --to int8");
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
  if (recipe.is_gguf() && is_encoder) check_gguf_encoder(source.model());
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
  note_npz_scales(plan);
  if (plan.recipe.is_gguf()) note_llama_cpp_limits(source, plan);
  if (!plan.recipe.encoder && !plan.recipe.is_gguf()) note_mlx_limits(source, plan);
}

}  // namespace assay
