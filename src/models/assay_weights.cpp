#include <cmath>
#include <cstring>
#include <set>

#include "base/error.hpp"
#include "base/half.hpp"
#include "models/config_fields.hpp"
#include "models/encoder_match.hpp"

namespace assay {
namespace {

constexpr int kInt4Groups[] = {32, 64};

/// One weight that is stored as int8 or int4.
class PackedWeight {
 public:
  PackedWeight(const CheckpointDirectory& directory, const TensorSlot& slot)
      : directory_(directory),
        slot_(slot),
        plain_(directory.find(slot.hf_name)),
        packed_(directory.find(slot.hf_name + "_packed")),
        scale_(directory.find(slot.hf_name + "_scale")) {}

  std::optional<WeightView> read(std::vector<std::string>& claimed) const {
    if (packed_ != nullptr && plain_ != nullptr)
      fail(slot_.hf_name, "weight is stored twice", "packed or not", "both");
    const bool int8 = plain_ != nullptr && plain_->dtype == DType::kI8;
    if (packed_ == nullptr && !int8) {
      if (scale_ != nullptr) fail(scale_->name, "a scale without codes", "I8 or packed weights", "neither");
      return std::nullopt;
    }
    const TensorView& codes = int8 ? *plain_ : *packed_;
    if (scale_ == nullptr)
      fail(slot_.hf_name + "_scale", "tensor is missing", "the scales of the codes", "none");
    if (slot_.shape.size() != 2) fail(codes.name, "only matrices are quantized", "floats", "codes");
    claimed.push_back(codes.name);
    claimed.push_back(scale_->name);
    return int8 ? int8_view(codes) : int4_view(codes);
  }

 private:
  WeightView int8_view(const TensorView& codes) const {
    const int64_t rows = slot_.shape[0], cols = slot_.shape[1];
    expect(codes, DType::kI8, {rows, cols});
    expect(*scale_, DType::kF32, {rows});
    for (int64_t row = 0; row < rows; ++row) {
      float scale = 0.0f;
      std::memcpy(&scale, scale_->bytes.data() + row * 4, sizeof(scale));
      check_scale(scale, row);
      if (scale < 0.0f) fail_scale(scale, row);
    }
    return {int8_format(), rows, cols, codes.bytes, scale_->bytes, {}};
  }

  WeightView int4_view(const TensorView& codes) const {
    const int64_t rows = slot_.shape[0], cols = slot_.shape[1];
    expect(codes, DType::kU8, {rows, cols / 2});
    for (const int group : kInt4Groups) {
      if (cols % group != 0 || scale_->shape != Shape{rows, cols / group}) continue;
      expect(*scale_, DType::kF16, scale_->shape);
      for (int64_t i = 0; i < count_elements(scale_->shape); ++i) {
        uint16_t bits = 0;
        std::memcpy(&bits, scale_->bytes.data() + i * 2, sizeof(bits));
        check_scale(float_from_f16(bits), i / (cols / group));
      }
      return {int4_format(group), rows, cols, codes.bytes, scale_->bytes, {}};
    }
    fail(scale_->name, "scales fit no group of 32 or 64",
         format_shape({rows, cols / 64}) + " or " + format_shape({rows, cols / 32}),
         format_shape(scale_->shape));
  }

  /// Scales of int4 come with either sign: the value of largest magnitude takes code -8.
  void check_scale(float scale, int64_t row) const {
    if (!std::isfinite(scale)) fail_scale(scale, row);
  }

  [[noreturn]] void fail_scale(float scale, int64_t row) const {
    fail(scale_->name, "a scale cannot be", "a finite number, from 0 on for int8",
         std::to_string(scale) + " in row " + std::to_string(row));
  }

  void expect(const TensorView& view, DType dtype, const Shape& shape) const {
    if (view.dtype == dtype && view.shape == shape) return;
    fail(view.name, "tensor contradicts its layout",
         std::string(dtype_name(dtype)) + " " + format_shape(shape),
         std::string(dtype_name(view.dtype)) + " " + format_shape(view.shape));
  }

  [[noreturn]] void fail(const std::string& name, std::string what, std::string expected,
                         std::string found) const {
    throw Error(Fault{std::move(what),
                      directory_.path().string() + ": " + name,
                      std::move(expected),
                      std::move(found),
                      {}});
  }

  const CheckpointDirectory& directory_;
  const TensorSlot& slot_;
  const TensorView *plain_, *packed_, *scale_;
};

/// How the summary calls a format: "int4" without its group, which it tells once for all.
std::string summary_word(const WeightFormat& format) {
  return format.kind == WeightKind::kInt4 ? "int4" : format_name(format);
}

}  // namespace

std::optional<WeightView> find_assay_weight(const CheckpointDirectory& directory, const TensorSlot& slot,
                                            std::vector<std::string>& claimed) {
  return PackedWeight(directory, slot).read(claimed);
}

bool is_assay_config(const nlohmann::json& config) noexcept {
  const auto settings = config.find("quantization_config");
  if (settings == config.end() || !settings->is_object()) return false;
  const auto method = settings->find("quant_method");
  return method != settings->end() && *method == "assay";
}

void check_assay_summary(const nlohmann::json& config, const std::vector<ModelTensor>& tensors) {
  const ConfigFields fields(config.at("quantization_config"), "config.json: quantization_config");
  if (fields.integer("version") != 1) fields.fail("version", "1", "written by a newer assay?");
  const std::string format = fields.string_or("format", "");
  if (format.empty()) fields.fail("format", "\"int8\" or \"int4\"");
  const nlohmann::json none = nlohmann::json::object();
  const nlohmann::json& exceptions = fields.has("tensors") ? fields.at("tensors") : none;
  if (!exceptions.is_object()) fields.fail("tensors", "an object of tensor names");
  std::set<std::string> unknown;
  for (const auto& [name, entry] : exceptions.items()) unknown.insert(name);
  for (const ModelTensor& tensor : tensors) {
    if (tensor.slot.shape.size() != 2) continue;
    const std::string& name = tensor.slot.hf_name;
    unknown.erase(name);
    const auto entry = exceptions.find(name);
    const std::string told =
        entry == exceptions.end() ? format : (entry->is_string() ? entry->get<std::string>() : entry->dump());
    const std::string found = summary_word(tensor.weight.format);
    if (told != found)
      throw Error(
          Fault{"config.json contradicts the weights", name, told, found, "files of two conversions?"});
    if (tensor.weight.format.kind == WeightKind::kInt4 &&
        fields.integer("group_size") != tensor.weight.format.group_size)
      fields.fail("group_size", std::to_string(tensor.weight.format.group_size), "as " + name + " is stored");
  }
  if (!unknown.empty())
    fields.fail("tensors", "names of this model's matrices", *unknown.begin() + " is none");
}

}  // namespace assay
