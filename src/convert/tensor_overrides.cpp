#include "convert/tensor_overrides.hpp"

#include <algorithm>
#include <cctype>

#include "base/error.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

/// The format's canonical name in the recipe's container.
std::string checked_format(const Recipe& recipe, const std::string& word) {
  if (recipe.is_gguf()) {
    const std::string name = upper(word);
    const WeightKindFacts* facts = find_weight_kind(std::string_view(name));
    const FormatOps* ops = facts ? find_format_ops(ggml_format(facts->kind)) : nullptr;
    if (ops != nullptr && ops->quantize_row != nullptr) return name;
    throw UsageError(
        Fault{"no such tensor format in GGUF", {}, "a name like Q8_0, Q4_K or F16", "\"" + word + "\"", {}});
  }
  const Recipe parsed = parse_recipe("mlx:" + word);
  if (parsed.dtype)
    throw UsageError(
        Fault{"an MLX output has one float type", {}, "none, which leaves the tensor in it", word, {}});
  return parsed.name.substr(4);
}

}  // namespace

TensorOverride parse_tensor_override(std::string_view text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
    throw UsageError(
        Fault{"not a tensor and its format", {}, "PATTERN=FORMAT", "\"" + std::string(text) + "\"", {}});
  return {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

Recipe with_tensor_overrides(const Recipe& recipe, std::vector<TensorOverride> overrides,
                             const std::string& output, const std::string& embedding) {
  if (overrides.empty() && output.empty() && embedding.empty()) return recipe;
  if (recipe.encoder || !recipe.is_quantized())
    throw UsageError(
        Fault{"formats of single tensors belong to quantized MLX and GGUF outputs", {}, {}, recipe.name, {}});
  Recipe changed = recipe;
  for (TensorOverride& entry : overrides) entry.format = checked_format(recipe, entry.format);
  changed.overrides = std::move(overrides);
  if (!output.empty()) changed.output_format = checked_format(recipe, output);
  if (!embedding.empty()) changed.embedding_format = checked_format(recipe, embedding);
  TensorOverrides check(changed);  // throws for a malformed pattern
  return changed;
}

TensorOverrides::TensorOverrides(const Recipe& recipe) : recipe_(recipe) {
  for (const TensorOverride& given : recipe.overrides) rules_.push_back({given, text::Regex(given.pattern)});
}

std::optional<TensorOverrides::Match> TensorOverrides::find(const TensorSlot& slot, const std::string& name,
                                                            bool tied_embeddings) {
  const bool embedding = slot.role == TensorRole::kTokenEmbedding;
  if (embedding && !recipe_.embedding_format.empty())
    return Match{recipe_.embedding_format, "--token-embedding " + recipe_.embedding_format};
  if ((slot.role == TensorRole::kOutput || (embedding && tied_embeddings)) && !recipe_.output_format.empty())
    return Match{recipe_.output_format, "--output-tensor " + recipe_.output_format};
  for (Rule& rule : rules_) {
    if (rule.pattern.find_all(name).empty()) continue;
    rule.used = true;
    return Match{rule.given.format, "--tensor " + rule.given.pattern + "=" + rule.given.format};
  }
  return std::nullopt;
}

void TensorOverrides::require_all_used() const {
  for (const Rule& rule : rules_)
    if (!rule.used)
      throw UsageError(Fault{"no tensor that can be quantized has such a name",
                             {},
                             recipe_.is_gguf() ? "a part of a name like blk.0.ffn_down.weight"
                                               : "a part of a name like model.layers.0.mlp.down_proj.weight",
                             "--tensor " + rule.given.pattern + "=" + rule.given.format,
                             {}});
}

}  // namespace assay
