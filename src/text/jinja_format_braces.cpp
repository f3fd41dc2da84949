#include <algorithm>

#include "text/jinja_format.hpp"
#include "text/jinja_format_spec.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

// str.format(). Source: Python's "Format String Syntax"; attribute access follows the template's own rules.
namespace assay::jinja {
namespace {

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  /// `depth` 1 is the format itself, 2 a specification with fields of its own.
  std::string run(std::string_view format, int depth) {
    if (depth > 2) fail("Max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at];
      if ((c == '{' || c == '}') && at + 1 < format.size() && format[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        fail("Single '}' encountered in format string");
      } else if (c == '{') {
        const size_t end = field_end(format, at + 1);
        out += field(format.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      } else {
        out += c;
        ++at;
      }
      if (out.size() > runtime_.budget().limits().text_bytes) runtime_.budget().spend_text(out.size());
    }
    return out;
  }

 private:
  static size_t field_end(std::string_view format, size_t at) {
    int open = 1;
    for (; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    fail("expected '}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    const size_t name_end = std::min(text.find_first_of("!:"), text.size());
    const Value value = look_up(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    char conversion = '\0';
    if (rest.starts_with("!")) {
      if (rest.size() < 2) fail("end of string while looking for conversion specifier");
      conversion = rest[1];
      rest.remove_prefix(2);
      if (!rest.empty() && rest[0] != ':') fail("expected ':' after conversion specifier");
    }
    const std::string spec = rest.empty() ? "" : run(rest.substr(1), depth + 1);
    runtime_.budget().spend();
    return convert(value, conversion, spec);
  }

  Value look_up(std::string_view path) {
    const size_t first_end = std::min(path.find_first_of(".["), path.size());
    Value value = first_value(path.substr(0, first_end));
    for (size_t at = first_end; at < path.size();) {
      const bool is_item = path[at] == '[';
      const size_t end =
          is_item ? path.find(']', at) : std::min(path.find_first_of(".[", at + 1), path.size());
      if (end == std::string_view::npos) fail("Missing ']' in format string");
      const std::string name(path.substr(at + 1, end - at - 1));
      if (name.empty()) fail("Empty attribute in format string");
      value = is_item ? runtime_.item(value, key_of(name)) : runtime_.attribute(value, name);
      at = is_item ? end + 1 : end;
    }
    return value;
  }

  static bool is_index(std::string_view name) {
    return !name.empty() && name.size() < 10 &&
           std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  static Value key_of(const std::string& name) {
    return is_index(name) ? Value::integer(std::stoll(name)) : Value::text(name);
  }

  Value first_value(std::string_view name) {
    const bool automatic = name.empty();
    if (!automatic && !is_index(name)) {
      for (const auto& [known, value] : arguments_.named) {
        if (known == name) return value;
      }
      fail("KeyError: " + quote(name));
    }
    if (used_any_ && automatic != used_automatic_) {
      fail("cannot switch between automatic field numbering and manual field specification");
    }
    used_any_ = true;
    used_automatic_ = automatic;
    const size_t index = automatic ? next_++ : static_cast<size_t>(std::stoul(std::string(name)));
    if (index >= arguments_.positional.size()) {
      fail("Replacement index " + std::to_string(index) + " out of range for positional args tuple");
    }
    return arguments_.positional[index];
  }

  std::string convert(const Value& value, char conversion, const std::string& spec_text) {
    const FormatSpec spec = parse_format_spec(runtime_, spec_text);
    if (conversion == 'r' || conversion == 'a')
      return format_as_text(runtime_, show(value, runtime_.budget()), spec);
    if (conversion == 's' || value.is_text()) return format_as_text(runtime_, runtime_.to_text(value), spec);
    if (conversion != '\0') fail("Unknown conversion specifier " + quote(std::string(1, conversion)));
    if (spec_text.empty()) return runtime_.to_text(value);
    const bool as_float =
        spec.type != '\0' && std::string_view("eEfFgG%n").find(spec.type) != std::string_view::npos;
    if (value.as_float() || (value.is_number() && as_float)) {
      return format_as_float(runtime_, value.to_double(), spec);
    }
    if (const auto integer = value.integral()) return format_as_integer(runtime_, *integer, spec);
    fail("unsupported format string passed to " + value.type_name() + ".__format__");
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  size_t next_ = 0;
  bool used_any_ = false;
  bool used_automatic_ = false;
};

}  // namespace

Value format_braces(Runtime& runtime, const Value& format, const Arguments& arguments) {
  return runtime.make_text(BraceFormatter(runtime, arguments).run(*format.as_text(), 1),
                           format.is_safe_text());
}

}  // namespace assay::jinja
