#include "text/jinja_methods_text.hpp"

#include <algorithm>

#include "text/jinja_format.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

// The methods of str. Results of a safe text are safe, as those of Markup are.
namespace assay::jinja {
namespace {

template <std::string (*Change)(std::string_view)>
Value changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Bound("str method", arguments, {});
  return runtime.make_text(Change(*self.as_text()), self.is_safe_text());
}

template <Side kSide>
Value stripped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"*chars"});
  return runtime.make_text(std::string(strip(*self.as_text(), bound.optional_text(0), kSide)),
                           self.is_safe_text());
}

template <auto Split>
Value split_by(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const auto separator = bound.optional_text(0);
  if (separator && separator->empty()) fail("empty separator");
  runtime.budget().spend_text(self.as_text()->size());
  std::vector<std::string> parts = Split(*self.as_text(), separator, bound.integer(1, -1));
  runtime.budget().spend(parts.size());
  return Value::texts(std::move(parts), self.is_safe_text());
}

Value split_into_lines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  runtime.budget().spend_text(self.as_text()->size());
  std::vector<std::string> lines = split_lines(*self.as_text(), bound.truth(0, false));
  runtime.budget().spend(lines.size());
  return Value::texts(std::move(lines), self.is_safe_text());
}

Value replaced(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"*old", "*new", "*count"}, 2);
  const std::string old = bound.text(0, {});
  const std::string with = bound.text(1, {});
  const std::string& text = *self.as_text();
  const int64_t limit = bound.integer(2, -1);
  runtime.budget().spend_text(text.size());
  uint64_t times = count_occurrences(text, old);
  if (limit >= 0) times = std::min(times, static_cast<uint64_t>(limit));
  runtime.budget().spend_text(text.size() + times * with.size());
  return runtime.make_text(replace(text, old, with, limit), self.is_safe_text());
}

Value joined(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value items = Bound("join", arguments, {"*iterable"}, 1).value(0);
  Stream next = runtime.iterate(items);
  const bool safe = self.is_safe_text();
  std::string out;
  int64_t i = 0;
  for (; auto item = next(); ++i) {
    const std::string* text = item->as_text();
    if (text == nullptr) {
      fail("sequence item " + std::to_string(i) + ": expected str instance, " + item->type_name() + " found");
    }
    if (i > 0) out += *self.as_text();
    out += safe && !item->is_safe_text() ? escape_html(*text) : *text;
    runtime.budget().spend_text(text->size() + self.as_text()->size());
    if (out.size() > runtime.budget().limits().text_bytes) runtime.budget().spend_text(out.size());
  }
  return runtime.make_text(std::move(out), safe);
}

template <bool kLast>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string separator = Bound("partition", arguments, {"*sep"}, 1).text(0, {});
  if (separator.empty()) fail("empty separator");
  runtime.budget().spend_text(self.as_text()->size());
  std::vector<std::string> parts =
      kLast ? split_from_right(*self.as_text(), separator, 1) : split(*self.as_text(), separator, 1);
  if (parts.size() == 2) {
    parts.insert(parts.begin() + 1, separator);
  } else {
    parts.insert(kLast ? parts.begin() : parts.end(), 2, "");
  }
  std::vector<Value> values;
  for (std::string& part : parts) values.push_back(Value::text(std::move(part), self.is_safe_text()));
  return Value::tuple(std::move(values));
}

Value without_prefix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string prefix = Bound("removeprefix", arguments, {"*prefix"}, 1).text(0, {});
  const std::string& text = *self.as_text();
  return runtime.make_text(text.starts_with(prefix) ? text.substr(prefix.size()) : text, self.is_safe_text());
}

Value without_suffix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string suffix = Bound("removesuffix", arguments, {"*suffix"}, 1).text(0, {});
  const std::string& text = *self.as_text();
  return runtime.make_text(text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text,
                           self.is_safe_text());
}

enum class Align { kLeft, kCenter, kRight };

template <Align kAlign>
Value padded(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("ljust", arguments, {"*width", "*fillchar"}, 1);
  const std::string fill = bound.text(1, " ");
  if (count_code_points(fill) != 1) fail("The fill character must be exactly one character long");
  const int64_t width = bound.integer(0, 0);
  const int64_t size = length_of(self);
  if (width <= size) return self;
  const int64_t missing = width - size;
  runtime.budget().spend_text(static_cast<uint64_t>(missing) + self.as_text()->size());
  // CPython's centring: an odd space goes left when the width is odd.
  const int64_t left = kAlign == Align::kLeft    ? 0
                       : kAlign == Align::kRight ? missing
                                                 : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += *self.as_text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return runtime.make_text(std::move(out), self.is_safe_text());
}

Value zero_filled(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t width = Bound("zfill", arguments, {"*width"}, 1).integer(0, 0);
  const std::string& text = *self.as_text();
  const int64_t size = length_of(self);
  if (width <= size) return self;
  runtime.budget().spend_text(static_cast<uint64_t>(width));
  const size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  const std::string zeros(static_cast<size_t>(width - size), '0');
  return runtime.make_text(text.substr(0, sign) + zeros + text.substr(sign), self.is_safe_text());
}

template <bool (*Matches)(char32_t)>
Value all_are(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Bound("str method", arguments, {});
  runtime.budget().spend_text(self.as_text()->size());
  const std::u32string points = decode_utf8(*self.as_text());
  return Value::boolean(!points.empty() && std::all_of(points.begin(), points.end(), Matches));
}

bool is_alphanumeric(char32_t c) {
  return is_letter(c) || is_numeric(c);
}

template <bool (*Matches)(char32_t), bool (*Opposes)(char32_t)>
Value case_is(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Bound("str method", arguments, {});
  runtime.budget().spend_text(self.as_text()->size());
  const std::u32string points = decode_utf8(*self.as_text());
  return Value::boolean(std::any_of(points.begin(), points.end(), Matches) &&
                        std::none_of(points.begin(), points.end(), Opposes));
}

Value ascii_only(Runtime&, const Value& self, const Arguments& arguments) {
  Bound("isascii", arguments, {});
  return Value::boolean(is_ascii(*self.as_text()));
}

Value format_self(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return format_braces(runtime, self, arguments);
}

struct NamedMethod {
  std::string_view name;
  Native method;
};

constexpr NamedMethod kMethods[] = {
    {"capitalize", changed<capitalize>},
    {"center", padded<Align::kCenter>},
    {"count", text_methods::count},
    {"endswith", text_methods::ends_with},
    {"find", text_methods::find},
    {"format", format_self},
    {"index", text_methods::index},
    {"isalnum", all_are<is_alphanumeric>},
    {"isalpha", all_are<is_letter>},
    {"isascii", ascii_only},
    {"isdecimal", all_are<is_decimal_digit>},
    {"isdigit", all_are<is_decimal_digit>},
    {"islower", case_is<is_lower, is_upper>},
    {"isnumeric", all_are<is_numeric>},
    {"isspace", all_are<is_space>},
    {"isupper", case_is<is_upper, is_lower>},
    {"join", joined},
    {"ljust", padded<Align::kLeft>},
    {"lower", changed<to_lower>},
    {"lstrip", stripped<Side::kLeft>},
    {"partition", partition<false>},
    {"removeprefix", without_prefix},
    {"removesuffix", without_suffix},
    {"replace", replaced},
    {"rfind", text_methods::find_last},
    {"rindex", text_methods::index_last},
    {"rjust", padded<Align::kRight>},
    {"rpartition", partition<true>},
    {"rsplit", split_by<split_from_right>},
    {"rstrip", stripped<Side::kRight>},
    {"split", split_by<split>},
    {"splitlines", split_into_lines},
    {"startswith", text_methods::starts_with},
    {"strip", stripped<Side::kBoth>},
    {"swapcase", changed<swap_case>},
    {"title", changed<to_title>},
    {"upper", changed<to_upper>},
    {"zfill", zero_filled},
};

}  // namespace

Native find_text_method(std::string_view name) noexcept {
  const auto* row = std::find_if(std::begin(kMethods), std::end(kMethods),
                                 [&](const NamedMethod& each) { return each.name == name; });
  return row == std::end(kMethods) ? nullptr : row->method;
}

}  // namespace assay::jinja
