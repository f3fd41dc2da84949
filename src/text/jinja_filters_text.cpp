#include <algorithm>

#include "text/jinja_filter_table.hpp"
#include "text/jinja_format.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja::filters {
namespace {

/// The text of `value` through `change`; a safe text stays safe.
template <typename Change>
Value change_text(Runtime& runtime, const Value& value, Change change) {
  return runtime.make_text(std::string(change(runtime.to_text(value))), value.is_safe_text());
}

bool opens_word(char32_t c) {
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
}

/// Jinja2's own title(): words begin after spaces and opening brackets, and each first letter is upper case.
std::string title_words(const std::string& text) {
  std::string out;
  std::u32string run;
  const auto flush = [&] {
    if (run.empty()) return;
    out += to_upper(encode_utf8(run.substr(0, 1))) + to_lower(encode_utf8(run.substr(1)));
    run.clear();
  };
  const std::u32string points = decode_utf8(text);
  for (size_t i = 0; i < points.size(); ++i) {
    if (i > 0 && opens_word(points[i]) != opens_word(points[i - 1])) flush();
    run += points[i];
  }
  flush();
  return out;
}

/// The text an argument that must be a str or int stands for: an indentation of that many spaces.
std::string indentation(Runtime& runtime, const Bound& bound) {
  if (bound.has(0) && bound.value(0).is_text()) return *bound.value(0).as_text();
  const int64_t width = std::max<int64_t>(bound.integer(0, 4), 0);
  runtime.budget().spend_text(static_cast<uint64_t>(width));
  return std::string(static_cast<size_t>(width), ' ');
}

std::string quote_url(std::string_view text, bool keep_slash) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alphanumeric = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    if (byte < 0x80 &&
        (alphanumeric || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && keep_slash))) {
      out += c;
    } else {
      ((out += '%') += kHex[byte >> 4]) += kHex[byte & 15];
    }
  }
  return out;
}

std::string quote_query(std::string_view text) {
  return jinja::replace(quote_url(text, false), "%20", "+", -1);
}

}  // namespace

Value capitalize(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("capitalize", arguments, {});
  return change_text(runtime, value, [](const std::string& text) { return jinja::capitalize(text); });
}

Value lower(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("lower", arguments, {});
  return change_text(runtime, value, [](const std::string& text) { return to_lower(text); });
}

Value upper(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("upper", arguments, {});
  return change_text(runtime, value, [](const std::string& text) { return to_upper(text); });
}

Value title(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("title", arguments, {});
  // Jinja2 joins the pieces of a plain list, so even a safe text comes out plain.
  return runtime.make_text(title_words(runtime.to_text(value)));
}

Value trim(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const auto characters = bound.optional_text(0);
  return change_text(runtime, value, [&](const std::string& text) {
    return std::string(strip(text, characters, Side::kBoth));
  });
}

Value center(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  const Value text = Value::text(runtime.to_text(value), value.is_safe_text());
  return find_method(text, "center")(runtime, text, {{Value::integer(bound.integer(0, 80))}, {}});
}

Value replace(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const Value text = Value::text(runtime.to_text(value));
  Arguments plain{
      {Value::text(runtime.to_text(bound.value(0))), Value::text(runtime.to_text(bound.value(1)))}, {}};
  if (!bound.value(2).is_none()) plain.positional.push_back(Value::integer(bound.integer(2, -1)));
  return find_method(text, "replace")(runtime, text, plain);
}

Value string(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("string", arguments, {});
  return value.is_text() ? value : runtime.make_text(runtime.to_text(value));
}

Value safe(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("safe", arguments, {});
  return runtime.make_text(runtime.to_text(value), true);
}

Value escape(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("escape", arguments, {});
  if (value.is_safe_text()) return value;
  return runtime.make_text(escape_html(runtime.to_text(value)), true);
}

Value force_escape(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("forceescape", arguments, {});
  return runtime.make_text(escape_html(runtime.to_text(value)), true);
}

Value format(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail("can't handle positional and keyword arguments at the same time");
  }
  const Value text = value.is_text() ? value : Value::text(runtime.to_text(value));
  if (arguments.named.empty()) return format_percent(runtime, text, Value::tuple(arguments.positional));
  Dict named;
  for (const auto& [name, each] : arguments.named) named.set(Value::text(name), each, runtime.budget());
  return format_percent(runtime, text, Value::dict(std::move(named)));
}

Value indent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  const std::string pad = indentation(runtime, bound);
  if (!value.is_text()) {
    require_defined(value);
    fail("indent() works on str, not " + value.type_name());
  }
  const bool blank = bound.truth(2, false);
  const std::vector<std::string> lines = split_lines(*value.as_text() + "\n", false);
  uint64_t bytes = value.as_text()->size() + pad.size();
  for (const std::string& line : lines) bytes += pad.size() + line.size() + 1;
  runtime.budget().spend_text(bytes);
  std::string out = bound.truth(1, false) ? pad : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out += '\n';
      if (blank || !lines[i].empty()) out += pad;
    }
    out += lines[i];
  }
  return runtime.make_text(std::move(out), value.is_safe_text());
}

Value join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  const std::string separator = bound.has(0) ? runtime.to_text(bound.value(0)) : "";
  Stream next = runtime.iterate(value);
  std::string out;
  bool first = true;
  while (auto item = next()) {
    if (!first) out += separator;
    first = false;
    out += runtime.to_text(bound.value(1).is_none() ? *item : runtime.follow_path(*item, bound.value(1)));
    if (out.size() > runtime.budget().limits().text_bytes) runtime.budget().spend_text(out.size());
    runtime.budget().spend(separator.size() / 16);
  }
  return runtime.make_text(std::move(out));
}

Value tojson(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return runtime.make_text(to_json(runtime, value, arguments));
}

Value truncate(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t wanted = bound.integer(0, 255);
  const std::u32string end = decode_utf8(bound.text(2, "..."));
  const int64_t leeway = bound.value(3).is_none() ? 5 : bound.integer(3, 5);
  if (wanted < static_cast<int64_t>(end.size())) fail("truncate(): the length is below that of the ending");
  if (leeway < 0) fail("truncate(): the leeway is negative");
  if (length_of(value) - wanted <= leeway) return value;
  if (!value.is_text()) fail("truncate() works on str, not " + value.type_name());
  const std::u32string text = decode_utf8(*value.as_text());
  std::u32string kept = text.substr(0, static_cast<size_t>(wanted) - end.size());
  if (!bound.truth(1, false)) kept = kept.substr(0, kept.rfind(U' '));
  return runtime.make_text(encode_utf8(kept + end), value.is_safe_text());
}

Value urlencode(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("urlencode", arguments, {});
  const Dict* dict = value.as_dict();
  if (dict == nullptr && (value.is_text() || !value.as_sequence())) {
    return runtime.make_text(quote_url(runtime.to_text(value), true));
  }
  std::string out;
  const auto add = [&](const Value& key, const Value& item) {
    if (!out.empty()) out += '&';
    (out += quote_query(runtime.to_text(key)) + "=") += quote_query(runtime.to_text(item));
  };
  if (dict) {
    for (const auto& [key, item] : dict->entries()) add(key, item);
  } else {
    for (const Value& pair : value.as_sequence()->items) {
      const std::vector<Value> parts = runtime.collect(pair);
      if (parts.size() != 2) fail("urlencode(): expected pairs of key and value");
      add(parts[0], parts[1]);
    }
  }
  return runtime.make_text(std::move(out));
}

Value word_count(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("wordcount", arguments, {});
  int64_t words = 0;
  bool inside = false;
  for (const char32_t c : decode_utf8(runtime.to_text(value))) {
    const bool part = c == '_' || is_letter(c) || is_numeric(c);
    words += part && !inside;
    inside = part;
  }
  return Value::integer(words);
}

}  // namespace assay::jinja::filters
