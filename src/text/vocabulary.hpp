#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.hpp"

namespace assay::text {

/// Highest number of ids accepted: eight times the largest vocabulary in use (256 K pieces). A larger id in a
/// file is a fault or an attempt to make us allocate.
inline constexpr int64_t kMaxTokens = int64_t{1} << 21;

/// Pieces by id and ids by piece. Ids may have gaps (an id without a piece). Built once, then read only.
class Vocabulary {
 public:
  Vocabulary() = default;
  /// Throws Error naming `where` when an id is negative, beyond kMaxTokens or used twice.
  Vocabulary(std::vector<std::pair<std::string, int64_t>> entries, const std::string& where);
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;
  Vocabulary(const Vocabulary&) = delete;  // ids_ views pieces_
  Vocabulary& operator=(const Vocabulary&) = delete;

  /// Highest id + 1.
  int64_t size() const noexcept { return static_cast<int64_t>(pieces_.size()); }
  bool contains(TokenId id) const noexcept;
  /// Empty for a gap and out of range.
  std::string_view piece(TokenId id) const noexcept;
  /// When two ids share a piece, the lower one.
  std::optional<TokenId> find(std::string_view piece) const noexcept;

 private:
  std::vector<std::string> pieces_;
  std::vector<bool> used_;
  std::unordered_map<std::string_view, TokenId> ids_;
};

}  // namespace assay::text
