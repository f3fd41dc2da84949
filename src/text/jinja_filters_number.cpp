#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja_filter_table.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja::filters {
namespace {

/// Removes the underscores Python allows between digits; nothing when one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !std::isalnum(static_cast<unsigned char>(text[i - 1])) ||
               !std::isalnum(static_cast<unsigned char>(text[i + 1]))) {
      return std::nullopt;
    }
  }
  return out;
}

/// The base a prefix 0x, 0o or 0b names, when `base` allows it; strips the prefix.
int take_prefix(std::string& digits, int base) {
  if (digits.size() < 2 || digits[0] != '0') return base == 0 ? 10 : base;
  const int named = (digits[1] | 32) == 'x'   ? 16
                    : (digits[1] | 32) == 'o' ? 8
                    : (digits[1] | 32) == 'b' ? 2
                                              : 0;
  if (named == 0 || (base != 0 && base != named)) return base == 0 ? 10 : base;
  digits.erase(0, 2);
  return named;
}

/// int(text, base); nothing where Python raises ValueError. Throws Failure beyond 64 bits.
std::optional<int64_t> parse_int(std::string_view text, int base) {
  auto cleaned = without_underscores(strip(text, std::nullopt, Side::kBoth));
  if (!cleaned || cleaned->empty()) return std::nullopt;
  const bool negative = (*cleaned)[0] == '-';
  if (negative || (*cleaned)[0] == '+') cleaned->erase(0, 1);
  base = take_prefix(*cleaned, base);
  uint64_t magnitude = 0;
  const char* end = cleaned->data() + cleaned->size();
  const auto parsed = std::from_chars(cleaned->data(), end, magnitude, base);
  if (parsed.ptr != end || cleaned->empty()) return std::nullopt;
  const uint64_t most = uint64_t{std::numeric_limits<int64_t>::max()} + (negative ? 1 : 0);
  if (parsed.ec == std::errc::result_out_of_range || magnitude > most)
    fail("an integer grows beyond 64 bits");
  return negative ? static_cast<int64_t>(0 - magnitude) : static_cast<int64_t>(magnitude);
}

/// float(text); nothing where Python raises ValueError.
std::optional<double> parse_float(std::string_view text) {
  auto cleaned = without_underscores(strip(text, std::nullopt, Side::kBoth));
  if (!cleaned || cleaned->empty()) return std::nullopt;
  const bool negative = (*cleaned)[0] == '-';
  if (negative || (*cleaned)[0] == '+') cleaned->erase(0, 1);
  if (cleaned->empty() || (*cleaned)[0] == '-' || (*cleaned)[0] == '+') return std::nullopt;
  double value = 0;
  const char* end = cleaned->data() + cleaned->size();
  const auto parsed = std::from_chars(cleaned->data(), end, value);
  if (parsed.ptr != end || cleaned->find('(') != std::string::npos) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) value = std::strtod(cleaned->c_str(), nullptr);
  return negative ? -value : value;
}

std::optional<int64_t> truncate(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::fabs(value) >= 9223372036854775808.0) fail("an integer grows beyond 64 bits");
  return static_cast<int64_t>(value);
}

/// round(value, digits) of a float: correctly rounded in decimal, ties to even as the decimal digits say.
double round_decimal(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
  }
  // printf rounds the exact binary value; reading it back is what CPython does.
  char text[700];
  std::snprintf(text, sizeof text, "%.*f", static_cast<int>(digits), value);
  return std::strtod(text, nullptr);
}

Value round_common(const Value& value, int64_t digits) {
  if (const auto integer = value.integral()) {
    if (digits >= 0) return Value::integer(*integer);
    if (digits < -18) return Value::integer(0);
    int64_t scale = 1;
    for (int64_t i = 0; i < -digits; ++i) scale *= 10;
    int64_t down = *integer / scale * scale;
    int64_t rest = *integer - down;
    const int64_t twice = rest < 0 ? -rest : rest;
    const bool up = twice > scale / 2 || (twice == scale / 2 && (down / scale) % 2 != 0);
    if (up && __builtin_add_overflow(down, rest < 0 ? -scale : scale, &down))
      fail("an integer grows beyond 64 bits");
    return Value::integer(down);
  }
  return Value::number(round_decimal(value.to_double(), digits));
}

}  // namespace

Value absolute(Runtime&, const Value& value, const Arguments& arguments) {
  Bound("abs", arguments, {});
  if (const auto integer = value.integral()) return *integer < 0 ? negate(value) : Value::integer(*integer);
  if (const double* number = value.as_float()) return Value::number(std::fabs(*number));
  require_defined(value);
  fail("bad operand type for abs(): '" + value.type_name() + "'");
}

Value to_int(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const Value fallback = bound.has(0) ? bound.value(0) : Value::integer(0);
  require_defined(value);
  if (const auto integer = value.integral()) return Value::integer(*integer);
  std::optional<int64_t> result;
  if (const std::string* text = value.as_text()) {
    const int64_t base = bound.integer(1, 10);
    if (base == 0 || (base >= 2 && base <= 36)) result = parse_int(*text, static_cast<int>(base));
    if (!result) {
      if (const auto number = parse_float(*text)) result = truncate(*number);
    }
  } else if (const double* number = value.as_float()) {
    result = truncate(*number);
  }
  return result ? Value::integer(*result) : fallback;
}

Value to_float(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  require_defined(value);
  if (value.is_number()) return Value::number(value.to_double());
  if (const std::string* text = value.as_text()) {
    if (const auto number = parse_float(*text)) return Value::number(*number);
  }
  return bound.has(0) ? bound.value(0) : Value::number(0);
}

Value round(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t digits = bound.integer(0, 0);
  const std::string method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    fail("method must be common, ceil or floor");
  require_defined(value);
  if (!value.is_number()) fail("type " + value.type_name() + " doesn't define __round__ method");
  if (method == "common") return round_common(value, digits);
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = value.to_double() * scale;
  if (!std::isfinite(scaled) || scale == 0) fail("round(): the number is too large");
  return Value::number((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound.has(1) ? bound.value(1) : Value::integer(0);
  if (total.is_text()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  Stream next = runtime.iterate(value);
  while (auto item = next()) {
    const Value part = bound.value(0).is_none() ? *item : runtime.follow_path(*item, bound.value(0));
    total = apply_operator(runtime, BinaryOperator::kAdd, total, part);
  }
  return total;
}

}  // namespace assay::jinja::filters
