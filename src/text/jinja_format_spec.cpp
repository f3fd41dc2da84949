#include "text/jinja_format_spec.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

/// More digits than this say nothing about a double; a hostile template could ask for billions.
constexpr int64_t kMaxPrecision = 1000;

std::string repeat_fill(Runtime& runtime, const std::string& fill, int64_t times) {
  std::string out;
  if (times <= 0) return out;
  runtime.budget().spend_text(static_cast<uint64_t>(times) * fill.size());
  for (int64_t i = 0; i < times; ++i) out += fill;
  return out;
}

std::string pad(Runtime& runtime, const std::string& sign, const std::string& body, const FormatSpec& spec,
                char align) {
  const auto size = static_cast<int64_t>(count_code_points(body) + sign.size());
  const int64_t missing = std::max<int64_t>(spec.width - size, 0);
  if (align == '=') return sign + repeat_fill(runtime, spec.fill, missing) + body;
  const int64_t left = align == '<' ? 0 : align == '>' ? missing : missing / 2;
  return repeat_fill(runtime, spec.fill, left) + sign + body +
         repeat_fill(runtime, spec.fill, missing - left);
}

std::string sign_of(bool negative, char wanted) {
  if (negative) return "-";
  return wanted == '-' ? "" : std::string(1, wanted);
}

/// Separators in the digits before the point.
std::string group_digits(const std::string& number, char separator, size_t every) {
  const size_t whole = std::min(number.find_first_not_of("0123456789abcdefABCDEF"), number.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % every == 0) out += separator;
    out += number[i];
  }
  return out + number.substr(whole);
}

std::string digits_of(uint64_t magnitude, int base, bool upper) {
  std::string out;
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  do {
    out += digits[magnitude % static_cast<uint64_t>(base)];
    magnitude /= static_cast<uint64_t>(base);
  } while (magnitude != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string print_double(double value, const FormatSpec& spec) {
  const char type = spec.type == 'n' ? 'g' : spec.type;
  const std::string pattern = std::string(spec.alternate ? "%#.*" : "%.*") + type;
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  std::string out(static_cast<size_t>(precision) + 400, '\0');
  const int length = std::snprintf(out.data(), out.size(), pattern.c_str(), precision, value);
  out.resize(static_cast<size_t>(length));
  return out;
}

/// The digits of |value| without sign.
std::string float_digits(double value, const FormatSpec& spec) {
  const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
  if (!std::isfinite(value)) {
    std::string name = std::isnan(value) ? "nan" : "inf";
    if (upper) name = to_upper(name);
    return spec.type == '%' ? name + "%" : name;
  }
  if (spec.precision > kMaxPrecision) fail("a precision of more than 1000 digits is refused");
  FormatSpec plain = spec;
  if (spec.type == '%') {
    plain.type = 'f';
    return print_double(value * 100, plain) + "%";
  }
  if (spec.type != '\0') return print_double(value, plain);
  if (spec.precision < 0) return format_float(value);
  plain.type = 'g';
  std::string out = print_double(value, plain);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

}  // namespace

std::string format_as_text(Runtime& runtime, const std::string& text, const FormatSpec& spec) {
  if (spec.align == '=') fail("'=' alignment not allowed in string format specifier");
  std::string kept = text;
  if (spec.precision >= 0) {
    const std::u32string points = decode_utf8(text);
    kept = encode_utf8(points.substr(
        0, static_cast<size_t>(std::min<int64_t>(spec.precision, static_cast<int64_t>(points.size())))));
  }
  return pad(runtime, "", kept, spec, spec.align == '\0' ? '<' : spec.align);
}

std::string format_as_integer(Runtime& runtime, int64_t value, const FormatSpec& spec) {
  const int base = spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'o'                   ? 8
                   : spec.type == 'b'                   ? 2
                                                        : 10;
  const auto magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits = digits_of(magnitude, base, spec.type == 'X');
  if (spec.precision > static_cast<int64_t>(digits.size())) {
    digits = repeat_fill(runtime, "0", spec.precision - static_cast<int64_t>(digits.size())) + digits;
  }
  if (spec.grouping != '\0') digits = group_digits(digits, spec.grouping, base == 10 ? 3 : 4);
  std::string sign = sign_of(value < 0, spec.sign);
  if (spec.alternate && base != 10) (sign += '0') += spec.type;
  return pad(runtime, sign, digits, spec, spec.align == '\0' ? '>' : spec.align);
}

std::string format_as_float(Runtime& runtime, double value, const FormatSpec& spec) {
  std::string digits = float_digits(std::fabs(value), spec);
  if (spec.grouping != '\0') digits = group_digits(digits, spec.grouping, 3);
  const bool negative = std::signbit(value) && !std::isnan(value);
  return pad(runtime, sign_of(negative, spec.sign), digits, spec, spec.align == '\0' ? '>' : spec.align);
}

FormatSpec parse_format_spec(Runtime&, std::string_view text) {
  FormatSpec spec;
  const std::u32string points = decode_utf8(text);
  size_t at = 0;
  const auto is_align = [&](size_t i) {
    return i < points.size() && std::u32string_view(U"<>^=").find(points[i]) != std::u32string_view::npos;
  };
  const auto take = [&](char32_t c) { return at < points.size() && points[at] == c && ++at; };
  const auto number = [&](int64_t fallback) {
    int64_t value = 0;
    const size_t begin = at;
    for (; at < points.size() && points[at] >= '0' && points[at] <= '9'; ++at) {
      value = value * 10 + static_cast<int64_t>(points[at] - '0');
      if (value > int64_t{1} << 32) fail("Too many decimal digits in format string");
    }
    return at == begin ? fallback : value;
  };
  if (is_align(1)) {
    spec.fill = encode_utf8(points.substr(0, 1));
    at = 1;
  }
  if (is_align(at)) spec.align = static_cast<char>(points[at++]);
  if (at < points.size() && (points[at] == '+' || points[at] == '-' || points[at] == ' ')) {
    spec.sign = static_cast<char>(points[at++]);
  }
  spec.alternate = take('#');
  if (take('0') && spec.align == '\0') {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.width = number(0);
  if (take(',')) spec.grouping = ',';
  if (take('_')) spec.grouping = '_';
  if (take('.') && (spec.precision = number(-1)) < 0) fail("Format specifier missing precision");
  if (at < points.size() && points[at] < 0x80) spec.type = static_cast<char>(points[at++]);
  if (at < points.size()) fail("Invalid format specifier " + quote(text));
  return spec;
}

}  // namespace assay::jinja
