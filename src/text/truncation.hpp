#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer.hpp"

namespace assay::text {

/// How texts that are too long are cut. Source: huggingface/tokenizers, utils/truncation.rs.
struct Truncation {
  std::optional<int64_t> max_length;  ///< special tokens included
  TruncationStrategy strategy = TruncationStrategy::kLongestFirst;
  bool keeps_end = false;  ///< direction "Left": the first tokens go

  /// From tokenizer.json's "truncation" (null: no limit). The stride is left out: it only shapes the
  /// overflow, which nobody reads here. Throws Error naming `where` for an unknown strategy or direction.
  static Truncation from_json(const nlohmann::json& json, const std::string& where);
};

/// Cuts `first`, and `second` unless it is null, so that together they hold at most `room` tokens; special
/// tokens are not among them. Throws Error when the strategy names a text that is not there, or one that
/// would have to lose all of its tokens.
void truncate_pair(std::vector<TokenId>& first, std::vector<TokenId>* second, size_t room,
                   TruncationStrategy strategy, bool keeps_end);

}  // namespace assay::text
