#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/tokenizer.hpp"

namespace assay::text {

/// The special tokens put around one text. Source: huggingface/tokenizers, processors/.
struct PostProcessor {
  std::vector<TokenId> prefix, suffix;

  /// From tokenizer.json's "post_processor" (null: none), for a single text; what concerns pairs and offsets
  /// is left out. Throws Error naming `where` for an unknown type or a template that does not hold the text
  /// once.
  static PostProcessor from_json(const nlohmann::json& json, const std::string& where);

  /// Adds prefix and suffix. A text that already begins with the whole prefix gets no second one.
  void apply(std::vector<TokenId>& ids) const;
};

}  // namespace assay::text
