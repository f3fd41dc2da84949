#include "text/charsmap.hpp"

#include <cstring>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

// Fields of a darts-clone unit (s-yata/darts-clone, darts.h).
constexpr bool has_leaf(uint32_t unit) {
  return (unit >> 8 & 1) == 1;
}
constexpr uint32_t value_of(uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
constexpr uint32_t label_of(uint32_t unit) {
  return unit & (0x80000000u | 0xFFu);
}
constexpr uint32_t offset_of(uint32_t unit) {
  return unit >> 10 << ((unit & 1u << 9) >> 6);
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& where) {
  if (blob.empty()) return;
  uint32_t trie_bytes = 0;
  if (blob.size() < sizeof(trie_bytes))
    throw Error(
        {"the normalization table is cut off", where, "at least 4 bytes", std::to_string(blob.size()), {}});
  std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
  blob.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes > blob.size() || trie_bytes % sizeof(uint32_t) != 0)
    throw Error({"the normalization table is cut off",
                 where,
                 std::to_string(trie_bytes) + " bytes of trie",
                 std::to_string(blob.size()),
                 {}});
  units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(units_.data(), blob.data(), trie_bytes);
  replacements_ = blob.substr(trie_bytes);
}

Charsmap Charsmap::from_base64(std::string_view base64, const std::string& where) {
  const auto blob = decode_base64(base64);
  if (!blob) throw Error({"the normalization table is not base64", where, {}, {}, {}});
  return Charsmap(*blob, where);
}

std::optional<std::string_view> Charsmap::find(std::string_view key) const {
  if (units_.empty()) return std::nullopt;
  size_t node = offset_of(units_[0]);
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) return std::nullopt;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    // The shortest key that is a prefix wins (lib.rs, transform: results[0]).
    if (node >= units_.size()) return std::nullopt;
    const size_t begin = value_of(units_[node]);
    if (begin > replacements_.size()) return std::nullopt;
    const size_t end = replacements_.find('\0', begin);
    return std::string_view(replacements_).substr(begin, end == std::string::npos ? end : end - begin);
  }
  return std::nullopt;
}

std::string Charsmap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = next_grapheme(text, at);
    const std::string_view cluster = text.substr(at, end - at);
    at = end;
    if (cluster.size() < 6) {
      if (const auto found = find(cluster)) {
        out.append(*found);
        continue;
      }
    }
    for (size_t i = 0; i < cluster.size();) {
      const size_t begin = i;
      read_code_point(cluster, i);
      const std::string_view character = cluster.substr(begin, i - begin);
      out.append(find(character).value_or(character));
    }
  }
  return is_valid_utf8(out) ? out : replace_invalid_utf8(out);
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<char>(bits >> held & 0xFF));
  }
  return out;
}

}  // namespace assay::text
