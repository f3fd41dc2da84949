#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "models/architecture.hpp"
#include "models/gguf_encoder_config.hpp"
#include "models/gguf_fields.hpp"
#include "models/rope_config.hpp"

// Keys and defaults: llama.cpp conversion/base.py (TextModel.set_gguf_parameters), conversion/llama.py,
// src/llama-model.cpp (load_hparams), src/llama-arch.cpp.

namespace assay {
namespace {

using Scaling = RopeConfig::Scaling;

constexpr int64_t kMaxDimension = int64_t{1} << 26;

[[noreturn]] void fail_key(const std::string& key, std::string expected, std::string found) {
  fail_gguf_key(key, std::move(expected), std::move(found));
}

int64_t read_dimension(const GgufMetadata& metadata, const std::string& key) {
  return read_gguf_dimension(metadata, key);
}

int64_t read_dimension_or(const GgufMetadata& metadata, const std::string& key, int64_t fallback) {
  return metadata.find(key) != nullptr ? read_dimension(metadata, key) : fallback;
}

double read_rope_base(const GgufMetadata& metadata, const std::string& key) {
  const double base = metadata.number_or(key, 10000.0);
  if (!(base > 0.0) || !std::isfinite(base)) fail_key(key, "a finite number above 0", std::to_string(base));
  return base;
}

double yarn_scale(double factor) {
  return factor <= 1.0 ? 1.0 : 0.1 * std::log(factor) + 1.0;
}

void read_scaling(const GgufMetadata& metadata, const std::string& prefix, ModelConfig& model) {
  RopeConfig& rope = model.rope;
  const std::string type = metadata.string_or(prefix + "rope.scaling.type", "linear");
  const double factor = metadata.number_or(prefix + "rope.scaling.factor",
                                           metadata.number_or(prefix + "rope.scale_linear", 0.0));
  if (type == "none" || (type == "linear" && (factor == 0.0 || factor == 1.0))) return;
  if (!(factor > 0.0)) fail_key(prefix + "rope.scaling.factor", "a number above 0", std::to_string(factor));
  rope.factor = factor;
  rope.original_context =
      metadata.integer_or(prefix + "rope.scaling.original_context_length", model.max_context);
  if (type == "linear") {
    rope.scaling = Scaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = Scaling::kYarn;
    rope.beta_fast = metadata.number_or(prefix + "rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = metadata.number_or(prefix + "rope.scaling.yarn_beta_slow", 1.0);
    // llama.cpp multiplies the key into yarn's own factor (src/llama-context.cpp, yarn_attn_factor).
    const std::string attention = prefix + "rope.scaling.attn_factor";
    if (metadata.find(attention) != nullptr)
      rope.attention_factor = metadata.number(attention) * yarn_scale(factor);
  } else {
    fail_key(prefix + "rope.scaling.type", "none, linear or yarn", "\"" + type + "\"");
  }
}

void read_windows(const GgufMetadata& metadata, const std::string& prefix, ModelConfig& model) {
  const int64_t window = metadata.integer_or(prefix + "attention.sliding_window", 0);
  if (window <= 0) return;
  model.sliding_window.assign(static_cast<size_t>(model.n_layers), window);
  const std::string pattern_key = prefix + "attention.sliding_window_pattern";
  if (metadata.find(pattern_key) == nullptr) return;
  const std::vector<int64_t> pattern = metadata.integers(pattern_key);
  if (pattern.size() != model.sliding_window.size())
    fail_key(pattern_key, "one entry per layer", std::to_string(pattern.size()));
  for (size_t layer = 0; layer < pattern.size(); ++layer)
    if (pattern[layer] == 0) model.sliding_window[layer] = 0;
}

void read_token_ids(const GgufMetadata& metadata, ModelConfig& model) {
  const auto append = [&](const char* key, std::vector<int32_t>& ids) {
    const int64_t id = metadata.integer_or(key, -1);
    if (id < 0 || id > INT32_MAX) return;
    const int32_t token = static_cast<int32_t>(id);
    if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
  };
  append("tokenizer.ggml.bos_token_id", model.bos_ids);
  append("tokenizer.ggml.eos_token_id", model.eos_ids);
  append("tokenizer.ggml.eot_token_id", model.eos_ids);
  append("tokenizer.ggml.eom_token_id", model.eos_ids);
}

void read_heads(const GgufMetadata& metadata, const std::string& prefix, ModelConfig& model) {
  model.n_heads = read_dimension(metadata, prefix + "attention.head_count");
  model.n_kv_heads = read_dimension_or(metadata, prefix + "attention.head_count_kv", model.n_heads);
  if (model.n_heads % model.n_kv_heads != 0)
    fail_key(prefix + "attention.head_count_kv", "a divisor of " + std::to_string(model.n_heads),
             std::to_string(model.n_kv_heads));
  model.explicit_head_dim = metadata.find(prefix + "attention.key_length") != nullptr;
  model.head_dim =
      read_dimension_or(metadata, prefix + "attention.key_length", model.hidden_dim / model.n_heads);
  const int64_t value = read_dimension_or(metadata, prefix + "attention.value_length", model.head_dim);
  if (value != model.head_dim || model.head_dim % 2 != 0 || model.head_dim == 0)
    fail_key(prefix + "attention.value_length", "as key_length, and even", std::to_string(value));
}

void write_scaling(const ModelConfig& model, const std::string& prefix, bool has_rope_factors,
                   GgufMetadata& metadata) {
  const RopeConfig& rope = model.rope;
  switch (rope.scaling) {
    case Scaling::kNone:
    case Scaling::kDynamicNtk:  // no effect up to the model's context; llama.cpp has no such key
      return;
    case Scaling::kFactors:
    case Scaling::kLlama3:
      if (!has_rope_factors)
        throw Error(Fault{"llama.cpp applies llama3 rope scaling to llama-architecture models alone",
                          "config.json",
                          "a llama or mistral model",
                          model.architecture,
                          {}});
      return;  // told by the tensor rope_freqs.weight
    case Scaling::kLinear:
      metadata.set(prefix + "rope.scaling.type", GgufValue::string("linear"));
      metadata.set(prefix + "rope.scaling.factor", GgufValue::f32(static_cast<float>(rope.factor)));
      return;
    case Scaling::kYarn:
      break;
  }
  // llama.cpp rounds the ends of yarn's ramp always (ggml.c, ggml_rope_yarn_corr_dims): a file without it
  // would rotate by other frequencies.
  if (!rope.truncate)
    throw Error(Fault{"GGUF has no key for yarn with truncate = false, and the model would rotate otherwise",
                      "config.json: rope_scaling", "truncate = true", "false",
                      "an MLX output keeps the setting in its config.json"});
  metadata.set(prefix + "rope.scaling.type", GgufValue::string("yarn"));
  metadata.set(prefix + "rope.scaling.factor", GgufValue::f32(static_cast<float>(rope.factor)));
  metadata.set(prefix + "rope.scaling.original_context_length",
               GgufValue::u32(static_cast<uint32_t>(rope.original_context)));
  const double extra = rope_attention_factor(rope) / yarn_scale(rope.factor);
  if (std::fabs(extra - 1.0) > 1e-9)
    metadata.set(prefix + "rope.scaling.attn_factor", GgufValue::f32(static_cast<float>(extra)));
  if (rope.beta_fast != 32.0)
    metadata.set(prefix + "rope.scaling.yarn_beta_fast", GgufValue::f32(static_cast<float>(rope.beta_fast)));
  if (rope.beta_slow != 1.0)
    metadata.set(prefix + "rope.scaling.yarn_beta_slow", GgufValue::f32(static_cast<float>(rope.beta_slow)));
}

/// llama.cpp ignores these keys for the architectures here; they keep the window for readers that know it.
void write_windows(const ModelConfig& model, const std::string& prefix, GgufMetadata& metadata) {
  const auto largest = std::max_element(model.sliding_window.begin(), model.sliding_window.end());
  if (largest == model.sliding_window.end() || *largest == 0) return;
  metadata.set(prefix + "attention.sliding_window", GgufValue::u32(static_cast<uint32_t>(*largest)));
  std::vector<int64_t> pattern;
  for (const int64_t window : model.sliding_window) pattern.push_back(window != 0 ? 1 : 0);
  if (std::count(pattern.begin(), pattern.end(), 0) != 0)
    metadata.set(prefix + "attention.sliding_window_pattern", GgufValue::i32s(std::move(pattern)));
}

}  // namespace

void fail_gguf_key(const std::string& key, std::string expected, std::string found) {
  throw Error(Fault{"metadata key has an unusable value", key, std::move(expected), std::move(found), {}});
}

int64_t read_gguf_dimension(const GgufMetadata& metadata, const std::string& key) {
  const GgufValue* value = metadata.find(key);
  int64_t result = 0;
  if (value != nullptr && value->type == GgufType::kArray) {
    const std::vector<int64_t> list = metadata.integers(key);
    if (list.empty() ||
        std::count(list.begin(), list.end(), list[0]) != static_cast<std::ptrdiff_t>(list.size()))
      fail_gguf_key(key, "the same number for every layer", "different ones");
    result = list[0];
  } else {
    result = metadata.integer(key);
  }
  if (result < 1 || result > kMaxDimension)
    fail_gguf_key(key, "1 to " + std::to_string(kMaxDimension), std::to_string(result));
  return result;
}

double read_gguf_norm_eps(const GgufMetadata& metadata, const std::string& key) {
  const double eps = metadata.number(key);
  if (!(eps >= 0.0 && eps < 1.0)) fail_gguf_key(key, "at least 0 and below 1", std::to_string(eps));
  return eps;
}

ModelConfig read_gguf_config(const GgufMetadata& metadata) {
  const std::string& name = metadata.string("general.architecture");
  if (name == kGgufEncoder) return read_gguf_encoder_config(metadata);
  const Architecture& architecture = find_gguf_architecture(name);
  const std::string prefix = name + ".";
  ModelConfig model;
  model.architecture = architecture.name;
  model.n_layers = read_dimension(metadata, prefix + "block_count");
  if (model.n_layers > 4096) fail_key(prefix + "block_count", "at most 4096", std::to_string(model.n_layers));
  model.hidden_dim = read_dimension(metadata, prefix + "embedding_length");
  model.ffn_dim = read_dimension(metadata, prefix + "feed_forward_length");
  model.max_context = metadata.integer(prefix + "context_length");
  if (model.max_context < 1)
    fail_key(prefix + "context_length", "at least 1", std::to_string(model.max_context));
  read_heads(metadata, prefix, model);
  model.norm_eps = read_gguf_norm_eps(metadata, prefix + "attention.layer_norm_rms_epsilon");
  const GgufValue* tokens = metadata.find("tokenizer.ggml.tokens");
  const int64_t listed =
      tokens != nullptr ? static_cast<int64_t>(metadata.strings("tokenizer.ggml.tokens").size()) : 0;
  model.vocab_size = read_dimension_or(metadata, prefix + "vocab_size", listed);
  model.rope.base = read_rope_base(metadata, prefix + "rope.freq_base");
  model.rope.dim = read_dimension_or(metadata, prefix + "rope.dimension_count", model.head_dim);
  if (model.rope.dim > model.head_dim || model.rope.dim % 2 != 0)
    fail_key(prefix + "rope.dimension_count", "even, at most " + std::to_string(model.head_dim),
             std::to_string(model.rope.dim));
  model.rope.interleaved = architecture.gguf_permutes_qk;
  model.qk_norm = name == "qwen3";
  model.qkv_bias = name == "qwen2";
  read_scaling(metadata, prefix, model);
  read_windows(metadata, prefix, model);
  read_token_ids(metadata, model);
  return model;
}

void write_gguf_config(const ModelConfig& model, GgufMetadata& metadata) {
  if (model.encoder) return write_gguf_encoder_config(model, metadata);
  const Architecture& architecture = architecture_named(model.architecture);
  const std::string prefix = std::string(architecture.gguf_name) + ".";
  const auto set_u32 = [&](const char* key, int64_t value) {
    if (value < 0 || value > UINT32_MAX) fail_key(prefix + key, "a number of 32 bits", std::to_string(value));
    metadata.set(prefix + key, GgufValue::u32(static_cast<uint32_t>(value)));
  };
  set_u32("block_count", model.n_layers);
  set_u32("context_length", model.max_context);
  set_u32("embedding_length", model.hidden_dim);
  set_u32("feed_forward_length", model.ffn_dim);
  set_u32("attention.head_count", model.n_heads);
  set_u32("attention.head_count_kv", model.n_kv_heads);
  write_scaling(model, prefix, architecture.gguf_permutes_qk, metadata);
  metadata.set(prefix + "rope.freq_base", GgufValue::f32(static_cast<float>(model.rope.base)));
  metadata.set(prefix + "attention.layer_norm_rms_epsilon",
               GgufValue::f32(static_cast<float>(model.norm_eps)));
  if (model.explicit_head_dim || model.head_dim * model.n_heads != model.hidden_dim) {
    set_u32("attention.key_length", model.head_dim);
    set_u32("attention.value_length", model.head_dim);
  }
  write_windows(model, prefix, metadata);
  if (architecture.gguf_name == "llama") set_u32("vocab_size", model.vocab_size);
  if (architecture.gguf_name == "llama" || model.rope.dim != model.head_dim)
    set_u32("rope.dimension_count", model.rope.dim);
}

}  // namespace assay
