#pragma once
#include <cstdint>
#include <string_view>

namespace assay {

/// Functions between two products. Names in configurations: transformers activations.py (ACT2FN).
enum class Activation : uint8_t {
  kNone,
  kGeluErf,    ///< x/2 (1 + erf(x/√2)): "gelu", "gelu_python"
  kGeluTanh,   ///< the tanh approximation: "gelu_new", "gelu_pytorch_tanh", "gelu_fast"
  kGeluQuick,  ///< x σ(1.702 x): "quick_gelu"
  kRelu,
  kSilu,  ///< x σ(x): "silu", "swish"
  kTanh,
};

/// "gelu", "gelu_tanh", … for reports.
std::string_view activation_name(Activation activation) noexcept;
/// Throws Error listing what is known for a name that config.json should not have.
Activation activation_from_config(std::string_view name);

}  // namespace assay
