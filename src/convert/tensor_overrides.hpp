#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/recipe.hpp"
#include "text/regex.hpp"

namespace assay {

/// "PATTERN=FORMAT" at its last equals sign. Throws UsageError where one side is empty.
TensorOverride parse_tensor_override(std::string_view text);

/// The recipe with formats of single tensors: `overrides` by pattern, `output` of the output head (or of the
/// embedding that is one), `embedding` of the token embedding; empty words change nothing. Formats are those
/// of the recipe's container: a name like "Q8_0" for GGUF, "8bit-g32" or "none" (left unquantized) for MLX.
/// Throws UsageError for a format that assay does not write there, and for recipes that quantize nothing.
Recipe with_tensor_overrides(const Recipe& recipe, std::vector<TensorOverride> overrides,
                             const std::string& output, const std::string& embedding);

/// Which override a tensor gets: what output and embedding say first, then the first pattern that is found
/// anywhere in its name (of this container: blk.0.ffn_down.weight, model.layers.0.mlp.down_proj.weight).
class TensorOverrides {
 public:
  /// Throws Error for a malformed pattern.
  explicit TensorOverrides(const Recipe& recipe);

  struct Match {
    std::string format, reason;
  };
  std::optional<Match> find(const TensorSlot& slot, const std::string& name, bool tied_embeddings);
  /// Throws UsageError naming a pattern that no tensor had: most likely a typing error.
  void require_all_used() const;

 private:
  struct Rule {
    TensorOverride given;
    text::Regex pattern;
    bool used = false;
  };
  const Recipe& recipe_;
  std::vector<Rule> rules_;
};

}  // namespace assay
