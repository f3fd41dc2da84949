#include "text/jinja_literals.hpp"

#include <charconv>

#include "text/jinja_budget.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/// Digits below `base` with single underscores between them; the length of the longest such prefix.
size_t digits_length(std::string_view text, int base) {
  size_t length = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (hex_value(text[i]) < base) {
      length = i + 1;
    } else if (text[i] != '_' || length != i || i == 0) {
      break;
    }
  }
  return length;
}

size_t exponent_length(std::string_view text) {
  if (text.empty() || (text[0] | 32) != 'e') return 0;
  const size_t sign = text.size() > 1 && (text[1] == '+' || text[1] == '-') ? 1 : 0;
  const size_t digits = digits_length(text.substr(1 + sign), 10);
  return digits == 0 ? 0 : 1 + sign + digits;
}

void append_hex_text(std::string& out, char32_t c) {
  static constexpr char kHex[] = "0123456789abcdef";
  const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += c < 0x100 ? 'x' : c < 0x10000 ? 'u' : 'U';
  for (int i = digits - 1; i >= 0; --i) out += kHex[c >> (4 * i) & 15];
}

/// Reads the digits of \x, \u or \U at `at`; `at` moves behind them.
char32_t read_hex(std::string_view text, size_t& at, size_t count, char kind) {
  char32_t value = 0;
  for (size_t i = 0; i < count; ++i, ++at) {
    const int digit = at < text.size() ? hex_value(text[at]) : 99;
    if (digit > 15) fail(std::string("truncated \\") + kind + " escape");
    value = value << 4 | static_cast<char32_t>(digit);
  }
  if (value > 0x10ffff) fail("illegal Unicode character");
  return value;
}

char32_t read_octal(std::string_view text, size_t& at) {
  char32_t value = 0;
  for (int i = 0; i < 3 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i, ++at) {
    value = value << 3 | static_cast<char32_t>(text[at] - '0');
  }
  return value;
}

/// An escape of one letter, or 0.
char simple_escape(char c) {
  static constexpr std::string_view kLetters = "\\'\"abfnrtv";
  static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  const size_t found = kLetters.find(c);
  return found == std::string_view::npos ? '\0' : kMeanings[found];
}

/// The escape whose letter stands at `at`; `at` moves behind it.
void append_escape(std::string& out, std::string_view text, size_t& at) {
  const char c = text[at];
  if (const char meaning = simple_escape(c)) {
    out += meaning;
    ++at;
  } else if (c == '\n') {
    ++at;
  } else if (c == 'x' || c == 'u' || c == 'U') {
    append_utf8(out, read_hex(text, ++at, c == 'x' ? 2 : c == 'u' ? 4 : 8, c));
  } else if (c >= '0' && c <= '7') {
    append_utf8(out, read_octal(text, at));
  } else if (c == 'N') {
    fail("\\N{…} escapes are not supported");
  } else if (static_cast<unsigned char>(c) >= 0x80) {
    // Jinja2 writes characters beyond ASCII as escapes before it decodes, and a backslash before one then
    // takes that escape's own backslash: the escape stays as text.
    const std::u32string points = decode_utf8(text.substr(at, 4));
    out += '\\';
    append_hex_text(out, points[0]);
    at += encode_utf8(points.substr(0, 1)).size();
  } else {
    (out += '\\') += c;
    ++at;
  }
}

}  // namespace

size_t float_length(std::string_view text) {
  const size_t whole = digits_length(text, 10);
  if (whole == 0) return 0;
  size_t length = whole;
  if (length + 1 < text.size() && text[length] == '.') {
    const size_t fraction = digits_length(text.substr(length + 1), 10);
    if (fraction > 0) length += 1 + fraction;
  }
  const size_t exponent = exponent_length(text.substr(length));
  return length + exponent > whole ? length + exponent : 0;
}

size_t integer_length(std::string_view text) {
  if (text.empty() || !is_digit(text[0])) return 0;
  if (text[0] != '0') return digits_length(text, 10);
  if (text.size() > 2) {
    const char kind = static_cast<char>(text[1] | 32);
    const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    const size_t skip = text[2] == '_' ? 3 : 2;
    const size_t digits = base == 0 ? 0 : digits_length(text.substr(skip), base);
    if (digits > 0) return skip + digits;
  }
  return digits_length(text, 1);
}

size_t name_length(std::string_view text) {
  size_t length = 0;
  for (const char32_t c : decode_utf8(text.substr(0, std::min<size_t>(text.size(), 512)))) {
    const bool ascii_letter = c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z');
    const bool digit = c < 0x80 ? (c >= '0' && c <= '9') : is_numeric(c);
    if (!ascii_letter && !(digit && length > 0) && !(c >= 0x80 && is_letter(c))) break;
    std::string bytes;
    append_utf8(bytes, c);
    length += bytes.size();
  }
  if (length > 500) fail("a name is longer than 500 bytes");
  return length;
}

size_t string_length(std::string_view text) {
  if (text.empty() || (text[0] != '\'' && text[0] != '"')) return 0;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == text[0]) {
      return i + 1;
    }
  }
  return 0;
}

std::string without_separators(std::string_view digits) {
  std::string out;
  for (const char c : digits) {
    if (c != '_') out += c;
  }
  return out;
}

std::optional<int64_t> parse_integer_literal(std::string_view digits) {
  std::string plain = without_separators(digits);
  const char kind = plain.size() > 1 ? static_cast<char>(plain[1] | 32) : '0';
  const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
  if (base != 10) plain.erase(0, 2);
  int64_t value = 0;
  const auto parsed = std::from_chars(plain.data(), plain.data() + plain.size(), value, base);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::string unescape_string(std::string_view quoted) {
  std::string out;
  out.reserve(quoted.size());
  for (size_t at = 0; at < quoted.size();) {
    if (quoted[at] == '\\' && at + 1 < quoted.size()) {
      append_escape(out, quoted, ++at);
    } else {
      out += quoted[at++];
    }
  }
  return out;
}

}  // namespace assay::jinja
