#include <fmt/format.h>

#include "base/error.hpp"
#include "convert/tensor_groups.hpp"
#include "models/config_fields.hpp"
#include "models/encoder_match.hpp"
#include "models/model_file.hpp"

namespace assay {
namespace {

int64_t elements(const Shape& shape) {
  return count_elements(shape);
}

class GroupDescriber {
 public:
  GroupDescriber(const TensorGroup& group, const GroupContext& context,
                 std::vector<std::string>& contradictions)
      : group_(group), main_(*group.main), context_(context), contradictions_(contradictions) {}

  InspectedTensor run() {
    result_.name = main_.name;
    result_.shape = main_.shape;
    result_.bytes = main_.bytes;
    for (const auto& [name, part] : group_.parts) result_.bytes += part->bytes;
    result_.code_bits = static_cast<int>(8 * dtype_bytes(main_.dtype));
    result_.format = dtype_name(main_.dtype);
    if (main_.dtype == DType::kU32 && has("scales"))
      describe_mlx();
    else if (main_.dtype == DType::kU8 && (has("absmax") || has("quant_map")))
      describe_bitsandbytes();
    else if (main_.dtype == DType::kU8 && main_.name.ends_with(".weight_packed") && has("weight_scale") &&
             group_.parts.at("weight_scale")->dtype == DType::kF16)
      describe_int4();
    else if (main_.name.ends_with(".qweight") || main_.name.ends_with(".weight_packed"))
      describe_packed_words();
    else if (main_.dtype == DType::kI8)
      describe_int8();
    else if (main_.dtype == DType::kF8E4M3 || main_.dtype == DType::kF8E5M2)
      mark_quantized(std::string(dtype_name(main_.dtype)), 8, main_.shape);
    else
      describe_plain();
    if (context_.config != nullptr && is_assay_config(*context_.config)) compare_with_summary();
    result_.parameters = static_cast<uint64_t>(elements(result_.shape));
    return std::move(result_);
  }

 private:
  bool has(const char* part) const { return group_.parts.contains(part); }

  /// The shape the architecture gives this weight, or null.
  const Shape* expected() const {
    const auto found = context_.shapes.find(main_.name);
    return found == context_.shapes.end() ? nullptr : &found->second;
  }

  void mark_quantized(std::string format, int bits, Shape shape) {
    result_.format = std::move(format);
    result_.code_bits = bits;
    result_.shape = std::move(shape);
    result_.quantized = true;
  }

  void describe_plain() {
    if (!is_float_weight(main_.dtype) || main_.shape.size() < 2) return;
    if (has("scale") && has("zero_point")) {
      result_.suspicion =
          fmt::format("is {} although a scale and a zero point lie beside it", result_.format);
      return;
    }
    std::vector<std::byte> loaded;
    std::span<const std::byte> data = main_.data;
    if (data.empty() && context_.load && elements(main_.shape) >= 4096) {
      loaded = context_.load(main_);
      data = loaded;
    }
    if (data.empty() || elements(main_.shape) == 0) return;
    const int64_t cols = main_.shape.back();
    const WeightView view{plain_format(main_.dtype), elements(main_.shape) / cols, cols, data, {}, {}};
    result_.suspicion = find_few_levels(sample_rows(view));
  }

  void describe_mlx() {
    const RawTensor& scales = *group_.parts.at("scales");
    if (main_.shape.size() != 2 || scales.shape.size() != 2 || scales.shape[1] == 0) return;
    const int64_t words = main_.shape[1], groups = scales.shape[1];
    const std::string path = main_.name.substr(0, main_.name.rfind('.'));
    std::optional<MlxQuantization> declared;
    try {
      if (context_.config != nullptr) declared = resolve_mlx_quantization(*context_.config, path, true);
    } catch (const Error& error) {
      contradictions_.push_back(error.what());
    }
    // The shapes fix bits * group_size alone; a known column count or the declaration splits the product.
    int64_t cols = declared ? words * 32 / declared->bits : words * 8;
    if (const Shape* shape = expected()) cols = shape->back();
    if (cols == 0 || words * 32 % cols != 0 || cols % groups != 0) cols = words * 8;
    const int bits = static_cast<int>(words * 32 / cols), group_size = static_cast<int>(cols / groups);
    if (declared && (declared->bits != bits || declared->group_size != group_size))
      contradictions_.push_back(
          fmt::format("{}: config.json declares {} bits in groups of {}, stored are {} in groups of {}", path,
                      declared->bits, declared->group_size, bits, group_size));
    std::string format = fmt::format("mlx-{}bit-g{}", bits, group_size);
    if (scales.dtype == DType::kU8) format = "mlx-" + (declared ? declared->mode : fmt::format("fp{}", bits));
    mark_quantized(format, bits, {main_.shape[0], cols});
    look_at_codes(bits, group_size, scales);
  }

  void look_at_codes(int bits, int group_size, const RawTensor& scales) {
    const bool known_bits = bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8;
    const bool known_group = group_size == 32 || group_size == 64 || group_size == 128;
    if (!has("biases") || !known_bits || !known_group || !is_float_weight(scales.dtype) || main_.data.empty())
      return;
    const RawTensor& biases = *group_.parts.at("biases");
    if (biases.dtype != scales.dtype || biases.shape != scales.shape || scales.shape[0] != main_.shape[0]) {
      contradictions_.push_back(main_.name + ": scales and biases do not fit each other");
      return;
    }
    const WeightView view{mlx_format(bits, group_size, scales.dtype),
                          result_.shape[0],
                          result_.shape[1],
                          main_.data,
                          scales.data,
                          biases.data};
    const RowSample sample = sample_rows(view);
    result_.degenerate = is_degenerate(sample);
    result_.few_codes = bits == 8 && uses_few_codes(sample);
  }

  void describe_int8() {
    mark_quantized(has("SCB") ? "bnb-int8" : "int8", 8, main_.shape);
    if (!has("weight_scale") || main_.shape.size() != 2 || main_.data.empty()) return;
    const RawTensor& scales = *group_.parts.at("weight_scale");
    if (scales.dtype != DType::kF32 || scales.shape != Shape{main_.shape[0]}) return;
    const WeightView view{int8_format(), main_.shape[0], main_.shape[1], main_.data, scales.data, {}};
    const RowSample sample = sample_rows(view);
    result_.degenerate = is_degenerate(sample);
    result_.few_codes = uses_few_codes(sample);
  }

  /// assay's own: two codes a byte, F16 scales of groups of 32 or 64.
  void describe_int4() {
    const RawTensor& scales = *group_.parts.at("weight_scale");
    const bool fits = main_.shape.size() == 2 && scales.shape.size() == 2 && scales.shape[1] > 0 &&
                      scales.shape[0] == main_.shape[0] && main_.shape[1] * 2 % scales.shape[1] == 0;
    const int64_t cols = fits ? main_.shape[1] * 2 : 0, group = fits ? cols / scales.shape[1] : 0;
    if (group != 32 && group != 64) {
      contradictions_.push_back(main_.name + ": codes and scales do not fit each other");
      mark_quantized("int4", 4, {2 * elements(main_.shape)});
      return;
    }
    const WeightFormat format = int4_format(static_cast<int>(group));
    mark_quantized(format_name(format), 4, {main_.shape[0], cols});
    if (main_.data.empty()) return;
    result_.degenerate =
        is_degenerate(sample_rows({format, main_.shape[0], cols, main_.data, scales.data, {}}));
  }

  /// What config.json says of a matrix in an int8 or int4 directory must be what is stored.
  void compare_with_summary() {
    if (result_.shape.size() < 2) return;
    const ConfigFields summary(context_.config->at("quantization_config"),
                               "config.json: quantization_config");
    std::string name = main_.name, declared = summary.string_or("format", "");
    if (name.ends_with("_packed")) name.resize(name.size() - std::string_view("_packed").size());
    const nlohmann::json& list = summary.at("tensors");
    if (list.is_object() && list.contains(name)) {
      declared = ConfigFields(list, "config.json: quantization_config.tensors").string_or(name, "");
      result_.listed = true;
    }
    if (declared == "int4") declared += fmt::format("-g{}", summary.integer_or("group_size", 64));
    if (declared == result_.format) return;
    result_.listed = false;
    contradictions_.push_back(
        fmt::format("{}: config.json declares {}, stored is {}", name, declared, result_.format));
  }

  void describe_bitsandbytes() {
    const bool fp4 = has("quant_state.bitsandbytes__fp4");
    const Shape* shape = expected();
    mark_quantized(fp4 ? "bnb-fp4" : "bnb-nf4", 4,
                   shape != nullptr ? *shape : Shape{2 * elements(main_.shape)});
  }

  /// GPTQ, AWQ and compressed-tensors pack codes into 32-bit words along one dimension.
  void describe_packed_words() {
    int64_t bits = 4;
    std::string tool = has("g_idx") ? "gptq" : has("qzeros") ? "awq" : "compressed-tensors";
    if (context_.config != nullptr) {
      const auto settings = context_.config->find("quantization_config");
      if (settings != context_.config->end() && settings->is_object()) {
        const ConfigFields fields(*settings, "config.json: quantization_config");
        bits = fields.integer_or("bits", 4);
        tool = fields.string_or("quant_method", tool);
      }
    }
    if (bits < 1 || bits > 8) bits = 4;
    const int64_t values = elements(main_.shape) * static_cast<int64_t>(8 * dtype_bytes(main_.dtype)) / bits;
    mark_quantized(fmt::format("{}-{}bit", tool, bits), static_cast<int>(bits), Shape{values});
  }

  const TensorGroup& group_;
  const RawTensor& main_;
  const GroupContext& context_;
  std::vector<std::string>& contradictions_;
  InspectedTensor result_;
};

}  // namespace

InspectedTensor describe_group(const TensorGroup& group, const GroupContext& context,
                               std::vector<std::string>& contradictions) {
  return GroupDescriber(group, context, contradictions).run();
}

}  // namespace assay
