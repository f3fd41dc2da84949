#include "text/truncation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "text/json_fields.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

struct Lengths {
  size_t first, second;
};

void cut(std::vector<TokenId>& ids, size_t length, bool keeps_end) {
  if (ids.size() <= length) return;
  if (keeps_end)
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(length));
  else
    ids.resize(length);
}

/// The closed form of "take one token at a time from the longer text": the shorter keeps its length while it
/// is below half of the room, else both get half, the odd token going to the longer.
Lengths share_longest_first(size_t first, size_t second, size_t room) {
  const bool swapped = first > second;
  size_t shorter = std::min(first, second);
  size_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  return swapped ? Lengths{longer, shorter} : Lengths{shorter, longer};
}

}  // namespace

Truncation Truncation::from_json(const json& object, const std::string& where) {
  Truncation result;
  if (object.is_null()) return result;
  const std::string part = where + ": truncation";
  const int64_t length = integer_field(object, "max_length", part);
  if (length < 0) throw Error({"max_length is negative", part, {}, std::to_string(length), {}});
  result.max_length = length;
  const std::string strategy = optional_string_field(object, "strategy", part);
  if (strategy == "OnlyFirst")
    result.strategy = TruncationStrategy::kOnlyFirst;
  else if (strategy == "OnlySecond")
    result.strategy = TruncationStrategy::kOnlySecond;
  else if (!strategy.empty() && strategy != "LongestFirst")
    throw unsupported("truncation strategy", strategy, part);
  const std::string direction = optional_string_field(object, "direction", part);
  if (!direction.empty() && direction != "Right" && direction != "Left")
    throw unsupported("truncation direction", direction, part);
  result.keeps_end = direction == "Left";
  return result;
}

void truncate_pair(std::vector<TokenId>& first, std::vector<TokenId>* second, size_t room,
                   TruncationStrategy strategy, bool keeps_end) {
  const size_t total = first.size() + (second != nullptr ? second->size() : 0);
  if (total <= room) return;
  if (room == 0) {
    first.clear();
    if (second != nullptr) second->clear();
    return;
  }
  if (strategy == TruncationStrategy::kLongestFirst) {
    const Lengths kept =
        second != nullptr ? share_longest_first(first.size(), second->size(), room) : Lengths{room, 0};
    cut(first, kept.first, keeps_end);
    if (second != nullptr) cut(*second, kept.second, keeps_end);
    return;
  }
  const bool cuts_first = strategy == TruncationStrategy::kOnlyFirst;
  std::vector<TokenId>* target = cuts_first ? &first : second;
  const char* name = cuts_first ? "first" : "second";
  if (target == nullptr)
    throw Error({"only the second text may be shortened, and there is none", {}, {}, {}, {}});
  const size_t surplus = total - room;
  if (target->size() <= surplus)
    throw Error({fmt::format("shortening the {} text alone does not make the pair fit", name),
                 {},
                 fmt::format("at most {} tokens without special tokens", room),
                 fmt::format("{} in the other text", total - target->size()),
                 "the other text is too long for the model"});
  cut(*target, target->size() - surplus, keeps_end);
}

}  // namespace assay::text
