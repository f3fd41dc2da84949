#include "base/error.hpp"
#include "models/architecture.hpp"
#include "models/bert.hpp"
#include "models/config_fields.hpp"
#include "models/distilbert.hpp"
#include "models/llama.hpp"
#include "models/mistral.hpp"
#include "models/modernbert.hpp"
#include "models/mpnet.hpp"
#include "models/qwen2.hpp"
#include "models/qwen3.hpp"
#include "models/roberta.hpp"

namespace assay {
namespace {

std::string list_names() {
  std::string names;
  for (const Architecture& architecture : architectures())
    names += (names.empty() ? "" : ", ") + std::string(architecture.name);
  return names;
}

/// Appends the ids of a scalar, a list or null, each once.
void append_ids(const nlohmann::json& source, std::string_view key, std::vector<int32_t>& ids) {
  if (!source.is_object()) return;
  const ConfigFields fields(source);
  const nlohmann::json& value = fields.at(key);
  if (value.is_null()) return;
  const nlohmann::json list = value.is_array() ? value : nlohmann::json::array({value});
  for (const nlohmann::json& item : list) {
    if (!item.is_number_integer()) fields.fail(key, "a token id or a list of them");
    const int64_t id = item.get<int64_t>();
    if (id == -1) continue;  // how some configurations say "none"
    if (id < 0 || id > INT32_MAX) fields.fail(key, "a token id or a list of them");
    const int32_t token = static_cast<int32_t>(id);
    if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
  }
}

}  // namespace

std::span<const Architecture> architectures() noexcept {
  static const Architecture kList[] = {kLlama,      kMistral, kQwen2,      kQwen3, kBert,
                                       kDistilBert, kRoberta, kModernBert, kMPNet};
  return kList;
}

const Architecture& find_architecture(const nlohmann::json& config) {
  const std::string type = ConfigFields(config).string_or("model_type", "");
  for (const Architecture& architecture : architectures())
    for (const std::string_view candidate : architecture.model_types)
      if (candidate == type) return architecture;
  throw Error(Fault{"architecture is not supported",
                    "config.json: model_type",
                    list_names(),
                    type.empty() ? "no model_type" : "\"" + type + "\"",
                    {}});
}

const Architecture& find_gguf_architecture(std::string_view gguf_name) {
  for (const Architecture& architecture : architectures()) {
    if (architecture.gguf_name.empty() || architecture.gguf_name != gguf_name) continue;
    if (architecture.encoder == nullptr) return architecture;
    throw Error(Fault{"an encoder in a GGUF file cannot be opened",
                      "general.architecture",
                      "the checkpoint it was made from",
                      "\"" + std::string(gguf_name) + "\"",
                      {}});
  }
  throw Error(Fault{"architecture is not supported",
                    "general.architecture",
                    list_names(),
                    "\"" + std::string(gguf_name) + "\"",
                    {}});
}

const Architecture& architecture_named(std::string_view name) {
  for (const Architecture& architecture : architectures())
    if (architecture.name == name) return architecture;
  throw Error(Fault{"architecture is not supported", {}, list_names(), "\"" + std::string(name) + "\"", {}});
}

ModelConfig read_model_config(const nlohmann::json& config, const nlohmann::json& generation_config) {
  ModelConfig model = find_architecture(config).read_config(config);
  for (const nlohmann::json* source : {&config, &generation_config}) {
    append_ids(*source, "bos_token_id", model.bos_ids);
    append_ids(*source, "eos_token_id", model.eos_ids);
  }
  return model;
}

}  // namespace assay
