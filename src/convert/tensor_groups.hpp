#pragma once
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "convert/inspect.hpp"
#include "convert/levels.hpp"

namespace assay {

/// A tensor as its container lists it.
struct RawTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  uint64_t bytes = 0;
  std::span<const std::byte> data;  ///< empty where the numbers must be loaded first
};

/// A weight with the scales, maxima and zero points that its packer stored as tensors of their own.
struct TensorGroup {
  const RawTensor* main = nullptr;
  std::map<std::string, const RawTensor*> parts;  ///< by suffix without the dot: "scales", "absmax"
};

/// Puts companions to the weight they belong to, by the suffixes of MLX, bitsandbytes, GPTQ, AWQ,
/// compressed-tensors and plain scale/zero-point pairs. `tensors` must outlive the result.
std::vector<TensorGroup> group_tensors(const std::vector<RawTensor>& tensors);

/// What helps to understand packed tensors: the configuration (or null JSON) and the shapes the architecture
/// expects by name, where it is a known one.
struct GroupContext {
  const nlohmann::json* config = nullptr;
  std::map<std::string, Shape, std::less<>> shapes;
  /// Loads the numbers of a tensor whose data is empty; may be unset.
  std::function<std::vector<std::byte>(const RawTensor&)> load;
};

/// Names the format of a group and its logical size, and looks for lies in its values. Contradictions between
/// configuration and storage are appended to `contradictions`.
InspectedTensor describe_group(const TensorGroup& group, const GroupContext& context,
                               std::vector<std::string>& contradictions);

/// Shapes by checkpoint name when `config` is of a known architecture; empty otherwise.
std::map<std::string, Shape, std::less<>> expected_shapes(const nlohmann::json& config);

}  // namespace assay
