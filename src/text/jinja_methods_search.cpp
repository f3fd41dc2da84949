#include <algorithm>

#include "text/jinja_methods_text.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

// The methods of str that look for something in it.
namespace assay::jinja {
namespace {

/// The part of `text` that [start, stop) selects, and how many code points come before it.
struct Window {
  std::string text;
  int64_t before;
  bool valid;  ///< false when start lies beyond stop or the end: then nothing matches, not even ""
};

Window window_of(Runtime& runtime, const Value& self, const Bound& bound) {
  runtime.budget().spend_text(self.as_text()->size());
  if (bound.value(1).is_none() && bound.value(2).is_none()) return {*self.as_text(), 0, true};
  const int64_t size = length_of(self);
  const auto clamp = [&](int64_t at) { return std::max<int64_t>(at < 0 ? at + size : at, 0); };
  const int64_t start = bound.value(1).is_none() ? 0 : clamp(bound.integer(1, 0));
  const int64_t stop = bound.value(2).is_none() ? size : std::min(clamp(bound.integer(2, size)), size);
  if (start > stop) return {"", start, false};
  const Value part = runtime.slice(self, Value::integer(start), Value::integer(stop), Value::none());
  return {*part.as_text(), start, true};
}

/// The texts of an argument that is a str or a tuple of them.
std::vector<std::string> affixes(const Bound& bound, const char* method) {
  std::vector<std::string> out;
  const Value given = bound.value(0);
  if (const std::string* text = given.as_text()) return {*text};
  const Sequence* tuple = given.as_sequence();
  const bool valid =
      tuple && tuple->kind == SequenceKind::kTuple &&
      std::all_of(tuple->items.begin(), tuple->items.end(), [](const Value& v) { return v.is_text(); });
  if (!valid) {
    fail(std::string(method) + " first arg must be str or a tuple of str, not " + given.type_name());
  }
  for (const Value& item : tuple->items) out.push_back(*item.as_text());
  return out;
}

/// Code points before the first (last) occurrence within the window, or -1.
template <bool kLast>
int64_t position(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"*sub", "*start", "*end"}, 1);
  const std::string needle = bound.text(0, {});
  const Window window = window_of(runtime, self, bound);
  runtime.budget().spend_text(window.text.size());
  if (!window.valid) return -1;
  size_t at = 0;
  if (kLast) {
    // Backwards over reversed bytes, which keeps the search linear.
    const std::string text(window.text.rbegin(), window.text.rend());
    const std::string reversed(needle.rbegin(), needle.rend());
    at = find_bytes(text, reversed);
    if (at != std::string::npos) at = text.size() - at - needle.size();
  } else {
    at = find_bytes(window.text, needle);
  }
  if (at == std::string::npos) return -1;
  return window.before + static_cast<int64_t>(count_code_points(std::string_view(window.text).substr(0, at)));
}

Value require_found(int64_t at) {
  if (at < 0) fail("substring not found");
  return Value::integer(at);
}

}  // namespace

namespace text_methods {

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"*sub", "*start", "*end"}, 1);
  const Window window = window_of(runtime, self, bound);
  runtime.budget().spend_text(window.text.size());
  if (!window.valid) return Value::integer(0);
  return Value::integer(static_cast<int64_t>(count_occurrences(window.text, bound.text(0, {}))));
}

Value starts_with(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("startswith", arguments, {"*prefix", "*start", "*end"}, 1);
  const Window window = window_of(runtime, self, bound);
  for (const std::string& each : affixes(bound, "startswith")) {
    if (window.valid && window.text.starts_with(each)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

Value ends_with(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("endswith", arguments, {"*suffix", "*start", "*end"}, 1);
  const Window window = window_of(runtime, self, bound);
  for (const std::string& each : affixes(bound, "endswith")) {
    if (window.valid && window.text.ends_with(each)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

Value find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value::integer(position<false>(runtime, self, arguments));
}

Value find_last(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value::integer(position<true>(runtime, self, arguments));
}

Value index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return require_found(position<false>(runtime, self, arguments));
}

Value index_last(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return require_found(position<true>(runtime, self, arguments));
}

}  // namespace text_methods
}  // namespace assay::jinja
