#include "models/rope_config.hpp"

#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "models/architecture.hpp"
#include "models/config_fields.hpp"

namespace assay {
namespace {

using Scaling = RopeConfig::Scaling;
using nlohmann::json;

/// The object that holds the scaling, or an empty one. Layer-wise objects are accepted when they agree.
json find_parameters(const json& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null() || (found->is_object() && found->empty())) continue;
    if (!found->is_object())
      throw Error(Fault{"not a JSON object",
                        std::string("config.json: ") + key,
                        "an object or null",
                        found->dump().substr(0, 40),
                        {}});
    const auto full = found->find("full_attention"), sliding = found->find("sliding_attention");
    if (full == found->end() && sliding == found->end()) return *found;
    if (full != found->end() && sliding != found->end() && !sliding->is_null() && *full != *sliding)
      throw Error(Fault{"layers with different rope parameters are not supported",
                        std::string("config.json: ") + key,
                        "one set of parameters",
                        "two",
                        {}});
    return full != found->end() ? *full : *sliding;
  }
  return json::object();
}

Scaling parse_scaling(const std::string& type) {
  if (type == "default" || type == "none") return Scaling::kNone;
  if (type == "linear") return Scaling::kLinear;
  if (type == "dynamic") return Scaling::kDynamicNtk;
  if (type == "yarn") return Scaling::kYarn;
  if (type == "llama3") return Scaling::kLlama3;
  throw Error(Fault{"rope scaling is not supported",
                    "config.json: rope_type",
                    "default, linear, dynamic, yarn or llama3",
                    "\"" + type + "\"",
                    {}});
}

int64_t rotated_dims(const ConfigFields& top, const ConfigFields& fields, int64_t head_dim) {
  const double partial =
      fields.number_or("partial_rotary_factor", top.number_or("partial_rotary_factor", 1.0));
  const int64_t dim = static_cast<int64_t>(static_cast<double>(head_dim) * partial);
  if (!(partial > 0.0 && partial <= 1.0) || dim < 2 || dim % 2 != 0)
    throw Error(Fault{"rotated dimensions of a head must be even and positive",
                      "config.json: partial_rotary_factor",
                      "an even part of head_dim " + std::to_string(head_dim),
                      std::to_string(partial),
                      {}});
  return dim;
}

double positive(const ConfigFields& fields, std::string_view key, double value) {
  if (!(value > 0.0)) fields.fail(key, "a number above 0");
  return value;
}

/// The context the frequencies were trained for. A key beside the object wins, as in
/// standardize_rope_params; without any it is the model's context.
int64_t original_context(const ConfigFields& top, const ConfigFields& fields, int64_t max_context) {
  constexpr std::string_view kKey = "original_max_position_embeddings";
  constexpr int64_t kLimit = int64_t{1} << 40;
  if (top.has(kKey)) return top.dimension(kKey, kLimit);
  return fields.has(kKey) ? fields.dimension(kKey, kLimit) : max_context;
}

void read_yarn(const ConfigFields& fields, RopeConfig& rope, int64_t max_context) {
  rope.factor = fields.has("factor")
                    ? positive(fields, "factor", fields.number("factor"))
                    : static_cast<double>(max_context) / static_cast<double>(rope.original_context);
  if (fields.has("attention_factor")) rope.attention_factor = fields.number("attention_factor");
  rope.mscale = fields.number_or("mscale", 0.0);
  rope.mscale_all_dim = fields.number_or("mscale_all_dim", 0.0);
  const double fast = fields.number_or("beta_fast", 0.0), slow = fields.number_or("beta_slow", 0.0);
  if (fast != 0.0) rope.beta_fast = positive(fields, "beta_fast", fast);
  if (slow != 0.0) rope.beta_slow = positive(fields, "beta_slow", slow);
  rope.truncate = fields.boolean_or("truncate", true);
}

void read_llama3(const ConfigFields& fields, RopeConfig& rope) {
  rope.factor = positive(fields, "factor", fields.number("factor"));
  rope.low_freq_factor = positive(fields, "low_freq_factor", fields.number("low_freq_factor"));
  rope.high_freq_factor = positive(fields, "high_freq_factor", fields.number("high_freq_factor"));
  if (rope.high_freq_factor <= rope.low_freq_factor)
    fields.fail("high_freq_factor", "more than low_freq_factor");
}

double yarn_scale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

}  // namespace

RopeConfig read_rope_config(const json& config, int64_t head_dim, int64_t max_context) {
  const json parameters = find_parameters(config);
  const ConfigFields top(config);
  const ConfigFields fields(parameters, "config.json: rope_scaling");
  RopeConfig rope;
  rope.base = fields.number_or("rope_theta", top.number_or("rope_theta", 10000.0));
  positive(top, "rope_theta", rope.base);
  rope.dim = rotated_dims(top, fields, head_dim);
  rope.scaling = parse_scaling(fields.string_or("rope_type", fields.string_or("type", "default")));
  switch (rope.scaling) {
    case Scaling::kNone:
    case Scaling::kFactors:
      break;
    case Scaling::kLinear:
    case Scaling::kDynamicNtk:
      rope.factor = positive(fields, "factor", fields.number("factor"));
      rope.original_context = max_context;
      break;
    case Scaling::kYarn:
      rope.original_context = original_context(top, fields, max_context);
      read_yarn(fields, rope, max_context);
      break;
    case Scaling::kLlama3:
      rope.original_context = original_context(top, fields, max_context);
      read_llama3(fields, rope);
      break;
  }
  return rope;
}

double rope_attention_factor(const RopeConfig& rope) {
  if (rope.scaling != Scaling::kYarn) return 1.0;
  if (rope.attention_factor) return *rope.attention_factor;
  if (rope.mscale != 0.0 && rope.mscale_all_dim != 0.0)
    return yarn_scale(rope.factor, rope.mscale) / yarn_scale(rope.factor, rope.mscale_all_dim);
  return yarn_scale(rope.factor, 1.0);
}

// f32 throughout, as transformers and llama.cpp's converter (conversion/llama.py, generate_extra_tensors)
// compute them.
std::vector<float> llama3_rope_factors(const RopeConfig& rope) {
  const float context = static_cast<float>(rope.original_context);
  const float low = static_cast<float>(rope.low_freq_factor),
              high = static_cast<float>(rope.high_freq_factor);
  const float factor = static_cast<float>(rope.factor);
  std::vector<float> factors;
  for (int64_t i = 0; i < rope.dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rope.dim);
    const float frequency = 1.0f / std::pow(static_cast<float>(rope.base), exponent);
    const float wavelength = 2.0f * std::numbers::pi_v<float> / frequency;
    if (wavelength < context / high) {
      factors.push_back(1.0f);
    } else if (wavelength > context / low) {
      factors.push_back(factor);
    } else {
      const float smooth = (context / wavelength - low) / (high - low);
      factors.push_back(1.0f / ((1.0f - smooth) / factor + smooth));
    }
  }
  return factors;
}

}  // namespace assay
