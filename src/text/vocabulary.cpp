#include "text/vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace assay::text {

Vocabulary::Vocabulary(std::vector<std::pair<std::string, int64_t>> entries, const std::string& where) {
  int64_t size = 0;
  for (const auto& [piece, id] : entries) {
    if (id < 0 || id >= kMaxTokens)
      throw Error({fmt::format("token id of {:?} is out of range", std::string_view(piece).substr(0, 60)),
                   where, fmt::format("0 to {}", kMaxTokens - 1), std::to_string(id),
                   "corrupted vocabulary?"});
    size = std::max(size, id + 1);
  }
  pieces_.resize(static_cast<size_t>(size));
  used_.resize(static_cast<size_t>(size));
  for (auto& [piece, id] : entries) {
    const auto slot = static_cast<size_t>(id);
    if (used_[slot])
      throw Error({fmt::format("token id {} is used by two pieces", id),
                   where,
                   {},
                   fmt::format("{:?} and {:?}", pieces_[slot], piece),
                   "corrupted vocabulary?"});
    used_[slot] = true;
    pieces_[slot] = std::move(piece);
  }
  ids_.reserve(entries.size());
  for (size_t id = 0; id < pieces_.size(); ++id)
    if (used_[id]) ids_.emplace(pieces_[id], static_cast<TokenId>(id));
}

bool Vocabulary::contains(TokenId id) const noexcept {
  return id >= 0 && static_cast<size_t>(id) < used_.size() && used_[static_cast<size_t>(id)];
}

std::string_view Vocabulary::piece(TokenId id) const noexcept {
  return contains(id) ? std::string_view(pieces_[static_cast<size_t>(id)]) : std::string_view();
}

std::optional<TokenId> Vocabulary::find(std::string_view piece) const noexcept {
  const auto found = ids_.find(piece);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace assay::text
