#include <algorithm>

#include "text/jinja_filter_table.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja::filters {
namespace {

using Change = std::function<Value(const Value&)>;
using Choice = std::function<bool(const Value&)>;

Value map_lazily(Runtime& runtime, const Value& source, Change change) {
  Stream next = runtime.iterate(source);
  return make_generator(
      [next, change]() -> std::optional<Value> {
        auto item = next();
        if (!item) return std::nullopt;
        return change(*item);
      },
      source.depth());
}

Value choose_lazily(Runtime& runtime, const Value& source, Choice choose) {
  Stream next = runtime.iterate(source);
  return make_generator(
      [next, choose]() -> std::optional<Value> {
        while (auto item = next()) {
          if (choose(*item)) return item;
        }
        return std::nullopt;
      },
      source.depth());
}

/// The deepest of the arguments a lazy filter holds on to.
int held_depth(const Value& source, const Arguments& arguments) {
  int depth = source.depth();
  for (const Value& each : arguments.positional) depth = std::max(depth, each.depth());
  for (const auto& [name, each] : arguments.named) depth = std::max(depth, each.depth());
  return check_depth(depth + 1);
}

/// select, reject, selectattr, rejectattr: `wanted` is the outcome that keeps an item.
Value choose_by_test(Runtime& runtime, const Value& value, const Arguments& arguments, bool by_attribute,
                     bool wanted) {
  held_depth(value, arguments);
  if (!is_true(value)) return make_generator([] { return std::optional<Value>(); }, 0);
  const size_t offset = by_attribute ? 1 : 0;
  if (arguments.positional.size() < offset) fail("Missing parameter for attribute name");
  const Value path = by_attribute ? arguments.positional[0] : Value::none();
  std::string test;
  Arguments rest;
  if (arguments.positional.size() > offset) {
    const std::string* name = arguments.positional[offset].as_text();
    if (name == nullptr) fail("a test is named by a str");
    test = *name;
    if (find_test(test) == nullptr) fail("No test named " + quote(test) + ".");
    rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(offset) + 1,
                           arguments.positional.end());
    rest.named = arguments.named;
  }
  return choose_lazily(runtime, value, [&runtime, path, test, rest, wanted](const Value& item) {
    const Value subject = runtime.follow_path(item, path);
    return (test.empty() ? is_true(subject) : runtime.apply_test(test, subject, rest)) == wanted;
  });
}

Value map_attribute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Value path;
  Value fallback = Value::none();
  for (const auto& [name, each] : arguments.named) {
    if (name == "attribute") {
      path = each;
    } else if (name == "default") {
      fallback = each;
    } else {
      fail("Unexpected keyword argument " + quote(name));
    }
  }
  return map_lazily(runtime, value, [&runtime, path, fallback](const Value& item) {
    return runtime.follow_path(item, path, &fallback);
  });
}

bool names_attribute(const Arguments& arguments) {
  return std::any_of(arguments.named.begin(), arguments.named.end(),
                     [](const auto& each) { return each.first == "attribute"; });
}

}  // namespace

Value map(Runtime& runtime, const Value& value, const Arguments& arguments) {
  held_depth(value, arguments);
  if (!is_true(value)) return make_generator([] { return std::optional<Value>(); }, 0);
  if (arguments.positional.empty() && names_attribute(arguments))
    return map_attribute(runtime, value, arguments);
  if (arguments.positional.empty()) fail("map requires a filter argument");
  const std::string* name = arguments.positional[0].as_text();
  if (name == nullptr || find_filter(*name) == nullptr) {
    fail("No filter named " + show(arguments.positional[0], runtime.budget()) + ".");
  }
  const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
  return map_lazily(runtime, value, [&runtime, filter = *name, rest](const Value& item) {
    return runtime.apply_filter(filter, item, rest);
  });
}

Value select(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return choose_by_test(runtime, value, arguments, false, true);
}
Value reject(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return choose_by_test(runtime, value, arguments, false, false);
}
Value select_attr(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return choose_by_test(runtime, value, arguments, true, true);
}
Value reject_attr(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return choose_by_test(runtime, value, arguments, true, false);
}

Value attr(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::string name = Bound("attr", arguments, {"name"}, 1).text(0, {});
  // Unlike `value.name`, never falls back to an item.
  if (value.as_dict()) {
    const Native method = name.starts_with("_") ? nullptr : find_method(value, name);
    if (method) return make_bound(name, method, value);
    return Value::undefined("'dict object' has no attribute " + quote(name));
  }
  return runtime.attribute(value, name);
}

Value batch(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t count = bound.integer(0, 0);
  const Value fill = bound.value(1);
  held_depth(value, arguments);
  Stream next = runtime.iterate(value);
  const auto start_row = [&runtime, next, count, fill, ahead = std::optional<Value>(),
                          started = false]() mutable -> std::optional<Value> {
    if (!started) ahead = next();
    started = true;
    if (!ahead) return std::nullopt;
    std::vector<Value> row;
    if (count == 0) fail("batch() needs rows of at least one item");
    for (; ahead && (count < 0 || static_cast<int64_t>(row.size()) < count); ahead = next())
      row.push_back(*ahead);
    if (!fill.is_none() && static_cast<int64_t>(row.size()) < count) {
      runtime.budget().spend(static_cast<uint64_t>(count));
      row.resize(static_cast<size_t>(count), fill);
    }
    return Value::list(std::move(row));
  };
  return make_generator(start_row, held_depth(value, arguments));
}

Value slice(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const int64_t slices = bound.integer(0, 0);
  const std::vector<Value> all = runtime.collect(value);
  if (slices == 0) fail("integer division or modulo by zero");
  runtime.budget().spend(static_cast<uint64_t>(std::max<int64_t>(slices, 0)));
  const auto size = static_cast<int64_t>(all.size());
  std::vector<Value> rows;
  int64_t begin = 0;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t end = begin + size / slices + (i < size % slices ? 1 : 0);
    std::vector<Value> row(all.begin() + begin, all.begin() + end);
    if (bound.has(1) && !bound.value(1).is_none() && i >= size % slices) row.push_back(bound.value(1));
    rows.push_back(Value::list(std::move(row)));
    begin = end;
  }
  const Value list = Value::list(std::move(rows));
  return make_generator(runtime.iterate(list), list.depth());
}

Value fall_back(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool absent = value.is_undefined() || (bound.truth(1, false) && !is_true(value));
  if (!absent) return value;
  return bound.has(0) ? bound.value(0) : Value::text("");
}

Value first(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("first", arguments, {});
  Stream next = runtime.iterate(value);
  auto item = next();
  return item ? *item : Value::undefined("No first item, sequence was empty.");
}

Value last(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("last", arguments, {});
  if (value.as_object()) fail("'" + value.type_name() + "' object is not reversible");
  const std::vector<Value> all = runtime.collect(value);
  return all.empty() ? Value::undefined("No last item, sequence was empty.") : all.back();
}

Value length(Runtime&, const Value& value, const Arguments& arguments) {
  Bound("length", arguments, {});
  return Value::integer(length_of(value));
}

Value list(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("list", arguments, {});
  return Value::list(runtime.collect(value));
}

Value items(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("items", arguments, {});
  if (value.is_undefined()) return make_generator([] { return std::optional<Value>(); }, 0);
  if (value.as_dict() == nullptr) fail("Can only get item pairs from a mapping.");
  const Value pairs = find_method(value, "items")(runtime, value, {});
  return make_generator(runtime.iterate(pairs), pairs.depth());
}

Value reverse(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bound("reverse", arguments, {});
  if (value.is_text()) {
    std::u32string points = decode_utf8(*value.as_text());
    std::reverse(points.begin(), points.end());
    return runtime.make_text(encode_utf8(points), value.is_safe_text());
  }
  std::vector<Value> all = runtime.collect(value);
  std::reverse(all.begin(), all.end());
  const Value reversed = Value::list(std::move(all));
  if (value.as_object()) return reversed;
  return make_generator(runtime.iterate(reversed), reversed.depth(), "list_reverseiterator");
}

}  // namespace assay::jinja::filters
