#include <algorithm>
#include <cmath>

#include "text/jinja_methods_text.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

// Methods and attributes of dicts, lists, tuples and numbers.
namespace assay::jinja {
namespace {

template <typename Take>
Value view_of(Runtime& runtime, const Value& self, const Arguments& arguments, SequenceKind kind, Take take) {
  Bound("dict method", arguments, {});
  std::vector<Value> items;
  for (const auto& entry : self.as_dict()->entries()) items.push_back(take(entry));
  runtime.budget().spend(items.size());
  return Value::sequence(kind, std::move(items));
}

Value dict_keys(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return view_of(runtime, self, arguments, SequenceKind::kKeys,
                 [](const auto& entry) { return entry.first; });
}

Value dict_values(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return view_of(runtime, self, arguments, SequenceKind::kValues,
                 [](const auto& entry) { return entry.second; });
}

Value dict_items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return view_of(runtime, self, arguments, SequenceKind::kItems, [](const auto& entry) {
    return Value::tuple({entry.first, entry.second});
  });
}

Value dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"*key", "*default"}, 1);
  const Value* found = self.as_dict()->find(bound.value(0), runtime.budget());
  return found ? *found : bound.value(1);
}

Value copy_self(Runtime&, const Value& self, const Arguments& arguments) {
  Bound("copy", arguments, {});
  return self;
}

Value sequence_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value wanted = Bound("count", arguments, {"*value"}, 1).value(0);
  int64_t count = 0;
  for (const Value& item : self.as_sequence()->items) count += equals(item, wanted, runtime.budget());
  return Value::integer(count);
}

Value sequence_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"*value", "*start", "*stop"}, 1);
  const std::vector<Value>& items = self.as_sequence()->items;
  const auto size = static_cast<int64_t>(items.size());
  const auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  const int64_t stop = clamp(bound.integer(2, size));
  for (int64_t i = clamp(bound.integer(1, 0)); i < stop; ++i) {
    if (equals(items[static_cast<size_t>(i)], bound.value(0), runtime.budget())) return Value::integer(i);
  }
  fail(show(bound.value(0), runtime.budget()) + " is not in " + self.type_name());
}

Value float_is_integer(Runtime&, const Value& self, const Arguments& arguments) {
  Bound("is_integer", arguments, {});
  const double value = *self.as_float();
  return Value::boolean(std::isfinite(value) && std::floor(value) == value);
}

Value int_bit_length(Runtime&, const Value& self, const Arguments& arguments) {
  Bound("bit_length", arguments, {});
  const int64_t value = *self.integral();
  auto magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  int64_t bits = 0;
  for (; magnitude != 0; magnitude >>= 1) ++bits;
  return Value::integer(bits);
}

template <size_t N>
bool is_among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};

bool is_hidden(const Value& self, std::string_view name) {
  const Sequence* sequence = self.as_sequence();
  if (sequence && sequence->kind == SequenceKind::kList) return is_among(kListChanges, name);
  return self.as_dict() && is_among(kDictChanges, name);
}

Native find_dict_method(std::string_view name) noexcept {
  if (name == "get") return dict_get;
  if (name == "items") return dict_items;
  if (name == "keys") return dict_keys;
  if (name == "values") return dict_values;
  return name == "copy" ? copy_self : nullptr;
}

Native find_sequence_method(const Sequence& sequence, std::string_view name) noexcept {
  if (sequence.kind == SequenceKind::kKeys || sequence.kind == SequenceKind::kValues ||
      sequence.kind == SequenceKind::kItems) {
    return nullptr;
  }
  if (name == "count") return sequence_count;
  if (name == "index") return sequence_index;
  return name == "copy" && sequence.kind == SequenceKind::kList ? copy_self : nullptr;
}

std::optional<Value> number_attribute(const Value& self, std::string_view name) {
  if (name == "real" || (name == "numerator" && self.integral())) {
    return self.as_float() ? self : Value::integer(*self.integral());
  }
  if (name == "imag") return self.as_float() ? Value::number(0) : Value::integer(0);
  if (name == "denominator" && self.integral()) return Value::integer(1);
  return std::nullopt;
}

}  // namespace

Native find_method(const Value& self, std::string_view name) noexcept {
  if (self.is_text()) return find_text_method(name);
  if (self.as_dict()) return find_dict_method(name);
  if (const Sequence* sequence = self.as_sequence()) return find_sequence_method(*sequence, name);
  if (self.as_float() && name == "is_integer") return float_is_integer;
  if (self.integral() && name == "bit_length") return int_bit_length;
  return nullptr;
}

std::optional<Value> find_plain_attribute(const Value& self, const std::string& name) {
  if (is_hidden(self, name)) {
    return Value::undefined("access to attribute " + quote(name) + " of '" + self.type_name() +
                            "' object is unsafe.");
  }
  if (self.is_number()) return number_attribute(self, name);
  const Sequence* sequence = self.as_sequence();
  if (sequence && sequence->grouped) {
    if (name == "grouper") return sequence->items[0];
    if (name == "list") return sequence->items[1];
  }
  return std::nullopt;
}

}  // namespace assay::jinja
