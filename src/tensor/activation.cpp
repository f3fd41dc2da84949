#include "tensor/activation.hpp"

#include <array>
#include <string>

#include "base/error.hpp"

namespace assay {
namespace {

struct ConfigName {
  std::string_view name;
  Activation activation;
};

// transformers activations.py, ACT2CLS; "linear" is its identity.
constexpr auto kConfigNames = std::to_array<ConfigName>({
    {"gelu", Activation::kGeluErf},
    {"gelu_python", Activation::kGeluErf},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"gelu_python_tanh", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"gelu_accurate", Activation::kGeluTanh},
    {"quick_gelu", Activation::kGeluQuick},
    {"relu", Activation::kRelu},
    {"silu", Activation::kSilu},
    {"swish", Activation::kSilu},
    {"tanh", Activation::kTanh},
    {"linear", Activation::kNone},
});

}  // namespace

std::string_view activation_name(Activation activation) noexcept {
  switch (activation) {
    case Activation::kNone:
      return "none";
    case Activation::kGeluErf:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_tanh";
    case Activation::kGeluQuick:
      return "gelu_quick";
    case Activation::kRelu:
      return "relu";
    case Activation::kSilu:
      return "silu";
    case Activation::kTanh:
      return "tanh";
  }
  return "unknown";
}

Activation activation_from_config(std::string_view name) {
  std::string known;
  for (const ConfigName& entry : kConfigNames) {
    if (entry.name == name) return entry.activation;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw Error(Fault{"activation is not supported", {}, known, "\"" + std::string(name) + "\"", {}});
}

}  // namespace assay
