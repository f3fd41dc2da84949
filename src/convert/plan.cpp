#include "convert/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "convert/encoder_plan.hpp"
#include "convert/gguf_metadata.hpp"
#include "convert/gguf_mix.hpp"
#include "convert/npz_output.hpp"
#include "convert/tensor_overrides.hpp"

namespace assay {
namespace {

/// mlx-lm utils.py, MAX_FILE_SIZE_GB.
constexpr uint64_t kShardBytes = uint64_t{5} << 30;

uint64_t packed_bytes(const WeightFormat& format, const Shape& shape) {
  const int64_t cols = shape.back();
  return static_cast<uint64_t>(count_elements(shape) / cols) * row_bytes(format, cols).total();
}

PlannedTensor plan_mlx_tensor(const TensorSlot& slot, Recipe recipe, DType dtype, TensorOverrides& overrides,
                              bool tied_embeddings) {
  PlannedTensor tensor{slot, slot.hf_name, plain_format(dtype), 0, {}};
  if (recipe.bits != 0) {
    if (slot.shape.size() >= 2)
      if (const auto match = overrides.find(slot, slot.hf_name, tied_embeddings)) {
        const Recipe chosen = parse_recipe("mlx:" + match->format);
        recipe.bits = chosen.bits, recipe.group_size = chosen.group_size;
        tensor.reason = match->reason;
      }
    if (slot.shape.size() < 2)
      tensor.reason = "norms and biases stay unquantized";
    else if (recipe.bits == 0)
      tensor.format = plain_format(dtype);
    else if (slot.shape.back() % recipe.group_size != 0)
      tensor.reason =
          fmt::format("{} columns are no multiple of the group of {}", slot.shape.back(), recipe.group_size);
    else
      tensor.format = mlx_format(recipe.bits, recipe.group_size, dtype);
  }
  tensor.bytes = packed_bytes(tensor.format, slot.shape);
  return tensor;
}

/// MLX and the encoders' own container: a directory of safetensors files.
void plan_directory(const ConversionSource& source, Plan& plan) {
  plan.dtype = plan.recipe.dtype.value_or(source.preferred_dtype());
  TensorOverrides overrides(plan.recipe);
  for (const TensorSlot& slot : tensor_slots(source.architecture(), source.model())) {
    if (slot.hf_name.empty()) continue;
    plan.tensors.push_back(plan.recipe.encoder ? plan_encoder_tensor(slot, *plan.recipe.encoder)
                                               : plan_mlx_tensor(slot, plan.recipe, plan.dtype, overrides,
                                                                 source.model().tied_embeddings));
  }
  overrides.require_all_used();
  if (plan.recipe.encoder && plan.recipe.encoder->npz) return plan_npz(source, plan);
  plan.output_name = plan.recipe.output_name;
  uint64_t held = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    for (TensorSpec& part : tensor_parts(tensor)) {
      const uint64_t bytes = static_cast<uint64_t>(count_elements(part.shape)) * dtype_bytes(part.dtype);
      if (plan.files.empty() || held + bytes > kShardBytes) plan.files.emplace_back(), held = 0;
      plan.files.back().specs.push_back(std::move(part));
      held += bytes;
    }
  }
  for (size_t i = 0; i < plan.files.size(); ++i) {
    PlannedFile& file = plan.files[i];
    file.name = plan.files.size() == 1
                    ? "model.safetensors"
                    : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, plan.files.size());
    file.bytes = SafetensorsWriter::planned_bytes(file.specs, directory_metadata(plan));
  }
}

GgufChoice choose_with_overrides(const Recipe& recipe, const TensorSlot& slot, const ModelConfig& model,
                                 TensorOverrides& overrides) {
  GgufChoice choice = choose_gguf_kind(*recipe.mix, slot, model, recipe.importance.has_value());
  if (choice.kind == WeightKind::kF32) return choice;  // what no recipe quantizes
  const auto match = overrides.find(slot, slot.gguf_name, model.tied_embeddings);
  if (!match) return choice;
  return fit_to_row({find_weight_kind(std::string_view(match->format))->kind, match->reason},
                    slot.shape.back());
}

void plan_gguf(const ConversionSource& source, Plan& plan) {
  std::vector<TensorSlot> slots = tensor_slots(source.architecture(), source.model());
  std::sort(slots.begin(), slots.end(), gguf_name_less);
  TensorOverrides overrides(plan.recipe);
  for (const TensorSlot& slot : slots) {
    const GgufChoice choice = choose_with_overrides(plan.recipe, slot, source.model(), overrides);
    const WeightFormat format = ggml_format(choice.kind);
    plan.tensors.push_back({slot, slot.gguf_name, format, packed_bytes(format, slot.shape), choice.reason});
  }
  overrides.require_all_used();
  plan.output_name = source.name() + "-" + plan.recipe.output_name + ".gguf";
}

void note_gguf_limits(const ConversionSource& source, Plan& plan) {
  const ModelConfig& model = source.model();
  if (model.rope.scaling == RopeConfig::Scaling::kDynamicNtk)
    plan.notes.push_back("dynamic rope scaling has no GGUF key: beyond the trained context the file differs");
  if (std::any_of(model.sliding_window.begin(), model.sliding_window.end(),
                  [&](int64_t window) { return window != 0 && window < model.max_context; }))
    plan.notes.push_back("llama.cpp attends to everything where this model has a sliding window");
  if (!plan.recipe.is_quantized()) return;
  uint64_t fallen = 0, matrices = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.slot.shape.size() < 2) continue;
    matrices += tensor.parameters();
    if (tensor.reason.find("multiple") != std::string::npos) fallen += tensor.parameters();
  }
  if (fallen * 10 > matrices)
    plan.notes.push_back(
        fmt::format("{:.0f} % of the weights fall back from {}'s formats, for their rows are no "
                    "multiple of 256: the file really has {:.2f} bits per weight",
                    100.0 * static_cast<double>(fallen) / static_cast<double>(matrices),
                    plan.recipe.mix->name, plan.bits_per_weight()));
}

/// What a conversion holds at once: one chunk of output, one tensor's scales and biases, a row per thread,
/// the source's pages of one chunk, and the tokenizer, whose JSON tree takes some ten times its text.
uint64_t estimate_peak(const ConversionSource& source, const Plan& plan) {
  uint64_t largest = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    const int64_t cols = tensor.slot.shape.back();
    const uint64_t rows = tensor.parameters() / static_cast<uint64_t>(cols);
    const uint64_t chunk = std::min(rows, static_cast<uint64_t>(rows_per_chunk(tensor.format, cols)));
    const RowBytes row = row_bytes(tensor.format, cols);
    largest = std::max(
        largest, chunk * (row.codes + static_cast<uint64_t>(cols) * 4) + rows * (row.scales + row.biases));
  }
  std::error_code ignored;
  const auto vocabulary = std::filesystem::file_size(source.path() / "tokenizer.json", ignored);
  return (uint64_t{48} << 20) + largest + (ignored || !plan.recipe.is_gguf() ? 0 : 10 * vocabulary);
}

}  // namespace

double Plan::bits_per_weight() const noexcept {
  return parameters == 0 ? 0.0 : 8.0 * static_cast<double>(weight_bytes) / static_cast<double>(parameters);
}

uint64_t Plan::file_bytes() const noexcept {
  uint64_t total = 0;
  for (const PlannedFile& file : files) total += file.bytes;
  return total;
}

int64_t rows_per_chunk(const WeightFormat& format, int64_t cols) noexcept {
  const uint64_t row = std::max<uint64_t>(row_bytes(format, cols).total(), 1);
  return static_cast<int64_t>(std::max<uint64_t>(1, kChunkBytes / row));
}

std::optional<DType> Plan::cast() const noexcept {
  return recipe.is_gguf() || recipe.encoder ? std::nullopt : std::optional(dtype);
}

std::vector<TensorSpec> tensor_parts(const PlannedTensor& tensor) {
  const Shape& shape = tensor.slot.shape;
  const WeightFormat& format = tensor.format;
  if (!is_quantized(format)) {
    const DType dtype = format.kind == WeightKind::kF32   ? DType::kF32
                        : format.kind == WeightKind::kF16 ? DType::kF16
                                                          : DType::kBF16;
    return {{tensor.name, dtype, shape}};
  }
  const std::string path = tensor.name.substr(0, tensor.name.rfind('.'));
  const int64_t rows = shape[0], cols = shape[1];
  if (format.kind == WeightKind::kInt8)
    return {{path + ".weight", DType::kI8, shape}, {path + ".weight_scale", DType::kF32, {rows}}};
  const Shape groups{rows, cols / format.group_size};
  if (format.kind == WeightKind::kInt4)
    return {{path + ".weight_packed", DType::kU8, {rows, cols / 2}},
            {path + ".weight_scale", DType::kF16, groups}};
  return {{path + ".weight", DType::kU32, {rows, cols * format.bits / 32}},
          {path + ".scales", format.scale_type, groups},
          {path + ".biases", format.scale_type, groups}};
}

std::map<std::string, std::string> directory_metadata(const Plan& plan) {
  return {{"format", plan.recipe.encoder ? "assay" : "mlx"}};
}

std::vector<GgufTensorSpec> gguf_specs(const Plan& plan) {
  std::vector<GgufTensorSpec> specs;
  for (const PlannedTensor& tensor : plan.tensors)
    specs.push_back(
        {tensor.name, {tensor.slot.shape.rbegin(), tensor.slot.shape.rend()}, tensor.format.kind});
  return specs;
}

Plan make_plan(const ConversionSource& source, const Recipe& recipe) {
  check_recipe_fits(source, recipe);
  Plan plan;
  plan.recipe = recipe;
  recipe.is_gguf() ? plan_gguf(source, plan) : plan_directory(source, plan);
  for (const PlannedTensor& tensor : plan.tensors) {
    plan.weight_bytes += tensor.bytes;
    if (tensor.slot.role != TensorRole::kRopeFactors) plan.parameters += tensor.parameters();
  }
  bool has_tokenizer = has_tokenizer_files(source.path());
  if (recipe.is_gguf()) {
    plan.metadata = build_gguf_metadata(source, recipe, plan.parameters, has_tokenizer);
    plan.files = {{plan.output_name, GgufWriter::planned_bytes(plan.metadata, gguf_specs(plan)), {}}};
    note_gguf_limits(source, plan);
  }
  note_encoder_limits(source, plan);
  if (!has_tokenizer) plan.notes.push_back("the source has no tokenizer; the output would lack it");
  if (source.is_quantized())
    plan.notes.push_back("the source is quantized already; the plan is for its unquantized original");
  if (source.file() != nullptr)
    plan.notes.insert(plan.notes.end(), source.file()->notes().begin(), source.file()->notes().end());
  plan.peak_memory_bytes = estimate_peak(source, plan);
  return plan;
}

nlohmann::json plan_json(const Plan& plan) {
  nlohmann::json tensors = nlohmann::json::array(), files = nlohmann::json::array();
  for (const PlannedTensor& tensor : plan.tensors) {
    nlohmann::json row = {{"name", tensor.name},        {"role", role_name(tensor.slot.role)},
                          {"shape", tensor.slot.shape}, {"format", format_name(tensor.format)},
                          {"bytes", tensor.bytes},      {"bits_per_weight", tensor.bits_per_weight()}};
    if (!tensor.reason.empty()) row["reason"] = tensor.reason;
    tensors.push_back(std::move(row));
  }
  for (const PlannedFile& file : plan.files) files.push_back({{"name", file.name}, {"bytes", file.bytes}});
  return {{"recipe", plan.recipe.name},
          {"path", plan.output_name},
          {"parameters", plan.parameters},
          {"bytes", plan.file_bytes()},
          {"total_size", plan.weight_bytes},
          {"bits_per_weight", plan.bits_per_weight()},
          {"ratio_fp32", plan.ratio_to(32)},
          {"ratio_fp16", plan.ratio_to(16)},
          {"peak_memory_bytes", plan.peak_memory_bytes},
          {"files", std::move(files)},
          {"tensors", std::move(tensors)},
          {"notes", plan.notes}};
}

}  // namespace assay
