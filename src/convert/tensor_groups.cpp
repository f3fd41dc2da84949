#include "convert/tensor_groups.hpp"

#include <set>

#include "base/error.hpp"
#include "models/architecture.hpp"

namespace assay {
namespace {

/// Suffixes of companions. Sources: mlx nn/layers/quantized.py; bitsandbytes functional.py (QuantState);
/// AutoGPTQ, AutoAWQ; compressed-tensors; numpy archives with `.scale` and `.zero_point`, or
/// `.__scale__`, beside a weight.
constexpr std::string_view kParts[] = {"scales",
                                       "biases",
                                       "absmax",
                                       "quant_map",
                                       "nested_absmax",
                                       "nested_quant_map",
                                       "quant_state.bitsandbytes__nf4",
                                       "quant_state.bitsandbytes__fp4",
                                       "SCB",
                                       "weight_format",
                                       "qzeros",
                                       "g_idx",
                                       "weight_scale",
                                       "weight_scale_inv",
                                       "weight_zero_point",
                                       "weight_shape",
                                       "weight_scale_2",
                                       "input_scale",
                                       "scale",
                                       "zero_point",
                                       "__scale__",
                                       "global_scale"};
/// What the weight itself may be called below the same path.
constexpr std::string_view kMains[] = {"", ".weight", ".qweight", ".weight_packed"};

}  // namespace

std::vector<TensorGroup> group_tensors(const std::vector<RawTensor>& tensors) {
  std::map<std::string_view, size_t> by_name;
  for (size_t i = 0; i < tensors.size(); ++i) by_name[tensors[i].name] = i;
  std::vector<TensorGroup> groups(tensors.size());
  std::set<size_t> companions;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string_view name = tensors[i].name;
    for (const std::string_view part : kParts) {
      if (companions.contains(i)) break;
      // "W.scale" and "W_scale" are both in use.
      if (name.size() <= part.size() + 1 || !name.ends_with(part)) continue;
      const char separator = name[name.size() - part.size() - 1];
      if (separator != '.' && separator != '_') continue;
      const std::string base(name.substr(0, name.size() - part.size() - 1));
      for (const std::string_view main : kMains) {
        const auto found = by_name.find(base + std::string(main));
        if (found == by_name.end()) continue;
        groups[found->second].parts[std::string(part)] = &tensors[i];
        companions.insert(i);
        break;
      }
    }
  }
  std::vector<TensorGroup> result;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (companions.contains(i)) continue;
    groups[i].main = &tensors[i];
    result.push_back(std::move(groups[i]));
  }
  return result;
}

std::map<std::string, Shape, std::less<>> expected_shapes(const nlohmann::json& config) {
  std::map<std::string, Shape, std::less<>> shapes;
  try {
    const ModelConfig model = read_model_config(config, nullptr);
    for (const TensorSlot& slot : tensor_slots(find_architecture(config), model))
      if (!slot.hf_name.empty()) shapes[slot.hf_name] = slot.shape;
  } catch (const Error&) {
    // Another architecture: its tensors are described by what they are.
  }
  return shapes;
}

}  // namespace assay
