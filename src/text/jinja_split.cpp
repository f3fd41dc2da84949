#include <algorithm>

#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

/// A code point and the bytes it occupies.
struct Piece {
  char32_t code_point;
  size_t begin;
  size_t end;
};

std::vector<Piece> pieces_of(std::string_view text) {
  std::vector<Piece> pieces;
  const std::u32string points = decode_utf8(text);
  pieces.reserve(points.size());
  size_t at = 0;
  std::string bytes;
  for (const char32_t c : points) {
    bytes.clear();
    append_utf8(bytes, c);
    pieces.push_back({c, at, at + bytes.size()});
    at += bytes.size();
  }
  return pieces;
}

std::string text_between(std::string_view text, size_t begin, size_t end) {
  return std::string(text.substr(begin, end - begin));
}

std::vector<std::string> split_on_space(std::string_view text, long long limit) {
  std::vector<std::string> parts;
  const std::vector<Piece> pieces = pieces_of(text);
  for (size_t i = 0; i < pieces.size();) {
    if (is_space(pieces[i].code_point)) {
      ++i;
      continue;
    }
    if (limit >= 0 && static_cast<long long>(parts.size()) >= limit) {
      parts.emplace_back(text.substr(pieces[i].begin));
      break;
    }
    const size_t begin = pieces[i].begin;
    size_t end = begin;
    for (; i < pieces.size() && !is_space(pieces[i].code_point); ++i) end = pieces[i].end;
    parts.push_back(text_between(text, begin, end));
  }
  return parts;
}

std::vector<std::string> split_on_space_from_right(std::string_view text, long long limit) {
  std::vector<std::string> parts;
  const std::vector<Piece> pieces = pieces_of(text);
  for (size_t i = pieces.size(); i > 0;) {
    if (is_space(pieces[i - 1].code_point)) {
      --i;
      continue;
    }
    const size_t end = pieces[i - 1].end;
    if (limit >= 0 && static_cast<long long>(parts.size()) >= limit) {
      parts.emplace_back(text.substr(0, end));
      break;
    }
    size_t begin = end;
    for (; i > 0 && !is_space(pieces[i - 1].code_point); --i) begin = pieces[i - 1].begin;
    parts.push_back(text_between(text, begin, end));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

bool is_line_break(char32_t c) noexcept {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

std::string_view strip(std::string_view text, std::optional<std::string_view> characters, Side side) {
  std::u32string set = characters ? decode_utf8(*characters) : std::u32string();
  std::sort(set.begin(), set.end());
  const auto removable = [&](char32_t c) {
    return characters ? std::binary_search(set.begin(), set.end(), c) : is_space(c);
  };
  const std::vector<Piece> pieces = pieces_of(text);
  size_t first = 0;
  size_t last = pieces.size();
  if (side != Side::kRight) {
    while (first < last && removable(pieces[first].code_point)) ++first;
  }
  if (side != Side::kLeft) {
    while (last > first && removable(pieces[last - 1].code_point)) --last;
  }
  if (first == last) return text.substr(0, 0);
  return text.substr(pieces[first].begin, pieces[last - 1].end - pieces[first].begin);
}

std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                               long long limit) {
  if (!separator) return split_on_space(text, limit);
  std::vector<std::string> parts;
  size_t at = 0;
  while (limit < 0 || static_cast<long long>(parts.size()) < limit) {
    const size_t hit = find_bytes(text, *separator, at);
    if (hit == std::string_view::npos) break;
    parts.push_back(text_between(text, at, hit));
    at = hit + separator->size();
  }
  parts.emplace_back(text.substr(at));
  return parts;
}

std::vector<std::string> split_from_right(std::string_view text, std::optional<std::string_view> separator,
                                          long long limit) {
  if (!separator) return split_on_space_from_right(text, limit);
  // Searching the reversed text keeps the search linear.
  const std::string reversed(text.rbegin(), text.rend());
  const std::string reversed_separator(separator->rbegin(), separator->rend());
  std::vector<std::string> parts = split(reversed, reversed_separator, limit);
  for (std::string& part : parts) std::reverse(part.begin(), part.end());
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  const std::vector<Piece> pieces = pieces_of(text);
  size_t begin = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!is_line_break(pieces[i].code_point)) continue;
    const size_t content_end = pieces[i].begin;
    if (pieces[i].code_point == '\r' && i + 1 < pieces.size() && pieces[i + 1].code_point == '\n') ++i;
    lines.push_back(text_between(text, begin, keep_ends ? pieces[i].end : content_end));
    begin = pieces[i].end;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

}  // namespace assay::jinja
