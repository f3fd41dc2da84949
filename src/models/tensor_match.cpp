#include "models/tensor_match.hpp"

#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "models/config_fields.hpp"
#include "models/encoder_match.hpp"

namespace assay {
namespace {

/// ggml writes no trailing dimensions of 1.
std::vector<int64_t> ggml_dims(const Shape& shape) {
  std::vector<int64_t> dims(shape.rbegin(), shape.rend());
  while (dims.size() > 1 && dims.back() == 1) dims.pop_back();
  return dims;
}

}  // namespace

std::string list_some(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kShown)
    text += " and " + std::to_string(names.size() - kShown) + " more (" + std::to_string(names.size()) +
            " in all)";
  return text;
}

void refuse_foreign_quantization(const CheckpointDirectory& directory) {
  const nlohmann::json& config = directory.config();
  if (is_assay_config(config)) return;
  const auto settings = config.find("quantization_config");
  if (!config.contains("quantization") && settings != config.end() && settings->is_object()) {
    const ConfigFields fields(*settings, "config.json: quantization_config");
    const std::string method = fields.string_or("quant_method", "");
    std::string kind = method;
    if (method == "bitsandbytes")
      kind += fields.boolean_or("load_in_8bit", false)
                  ? " int8"
                  : " " + fields.string_or("bnb_4bit_quant_type", "4-bit");
    if (!method.empty())
      throw Error(Fault{"weights are packed by another tool, in a layout that assay cannot decode",
                        directory.path().string(), "an unquantized, MLX or GGUF model", kind,
                        "convert the original checkpoint instead"});
  }
  // Suffixes by which other packers name their parts: bitsandbytes, GPTQ and AWQ, fp8 exporters.
  constexpr std::string_view kForeign[][2] = {
      {".absmax", "bitsandbytes"}, {".SCB", "bitsandbytes int8"}, {".qweight", "GPTQ or AWQ"},
      {".g_idx", "GPTQ"},          {".weight_scale_inv", "fp8"},  {".weight_scale", "compressed-tensors"}};
  for (const auto& [name, view] : directory.tensors())
    for (const auto& [suffix, tool] : kForeign)
      if (name.ends_with(suffix))
        throw Error(Fault{"weights are packed by another tool, in a layout that assay cannot decode", name,
                          "an unquantized, MLX or GGUF model", std::string(tool),
                          "convert the original checkpoint instead"});
}

void complete_gguf_config(const GgufFile& file, ModelConfig& config) {
  config.tied_embeddings = file.find("output.weight") == nullptr;
  config.qkv_bias = config.qkv_bias || file.find("blk.0.attn_q.bias") != nullptr;
  config.output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_down.bias") != nullptr;
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (config.vocab_size == 0 && embedding != nullptr) config.vocab_size = embedding->rows();
  const GgufTensor* factors = file.find("rope_freqs.weight");
  if (factors == nullptr) return;
  const auto fail = [](std::string expected, std::string found) {
    throw Error(
        Fault{"rope factors are unusable", "rope_freqs.weight", std::move(expected), std::move(found), {}});
  };
  const int64_t count = config.rope.dim / 2;
  if (factors->kind != WeightKind::kF32 || factors->cols() != count || factors->rows() != 1)
    fail("F32 " + format_shape({count}),
         format_name(ggml_format(factors->kind)) + " " + format_shape(factors->dims));
  if (config.rope.scaling != RopeConfig::Scaling::kNone) fail("no other rope scaling", "both");
  config.rope.scaling = RopeConfig::Scaling::kFactors;
  config.rope.factors.resize(static_cast<size_t>(count));
  std::memcpy(config.rope.factors.data(), factors->bytes.data(), config.rope.factors.size() * sizeof(float));
  for (const float factor : config.rope.factors)
    if (!(factor > 0.0f) || !std::isfinite(factor)) fail("positive numbers", std::to_string(factor));
}

TensorMatch match_gguf(const GgufFile& file, const std::vector<TensorSlot>& slots) {
  TensorMatch match;
  std::vector<std::string> missing, unclaimed;
  std::map<std::string_view, bool> claimed;
  for (const GgufTensor& tensor : file.tensors()) claimed[tensor.name] = false;
  for (const TensorSlot& slot : slots) {
    const GgufTensor* tensor = file.find(slot.gguf_name);
    if (tensor == nullptr) {
      missing.push_back(slot.gguf_name);
      continue;
    }
    const std::vector<int64_t> expected = ggml_dims(slot.shape);
    std::vector<int64_t> found = tensor->dims;
    while (found.size() > 1 && found.back() == 1) found.pop_back();
    if (found != expected)
      throw Error(Fault{"tensor has the wrong dimensions", slot.gguf_name, format_shape(expected),
                        format_shape(tensor->dims), "metadata and tensors are of different models?"});
    claimed[tensor->name] = true;
    match.tensors.push_back({slot, tensor->name, tensor->view()});
  }
  for (const GgufTensor& tensor : file.tensors())
    if (!claimed[tensor.name]) unclaimed.push_back(tensor.name);
  if (!missing.empty())
    throw Error(Fault{
        "tensors are missing", {}, list_some(missing), {}, "a part of a split file, or vocabulary only?"});
  if (!unclaimed.empty())
    throw Error(Fault{"tensors that the architecture does not have", {}, {}, list_some(unclaimed), {}});
  return match;
}

}  // namespace assay
