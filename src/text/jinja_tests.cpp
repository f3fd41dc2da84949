#include <algorithm>

#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

// The tests of the `is` operator. Source of names and meanings: Jinja2 3.1, jinja2/tests.py.
namespace assay::jinja {
namespace {

void take_none(const char* test, const Arguments& arguments) {
  Bound(test, arguments, {});
}

template <bool (*Check)(const Value&)>
bool plain(Runtime&, const Value& value, const Arguments& arguments) {
  take_none("test", arguments);
  return Check(value);
}

template <Comparison kComparison>
bool compared(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("test", arguments, {"other"}, 1);
  return compare(runtime, kComparison, value, bound.value(0));
}

bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_boolean(const Value& value) {
  return value.as_bool() != nullptr;
}
bool is_exactly_true(const Value& value) {
  return value.as_bool() && *value.as_bool();
}
bool is_exactly_false(const Value& value) {
  return value.as_bool() && !*value.as_bool();
}
bool is_integer(const Value& value) {
  return value.as_int() != nullptr;
}
bool is_float(const Value& value) {
  return value.as_float() != nullptr;
}
bool is_number(const Value& value) {
  return value.is_number();
}
bool is_string(const Value& value) {
  return value.is_text();
}
bool is_mapping(const Value& value) {
  return value.as_dict() != nullptr;
}
bool is_callable(const Value& value) {
  return value.is_undefined() || (value.as_object() && value.as_object()->is_callable());
}
bool is_escaped(const Value& value) {
  return value.is_safe_text();
}

bool is_iterable(const Value& value) {
  return value.is_text() || value.as_sequence() || value.as_dict() || value.is_undefined() ||
         (value.as_object() && value.as_object()->stream());
}

bool is_sequence(const Value& value) {
  const Sequence* sequence = value.as_sequence();
  if (sequence) {
    return sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple ||
           sequence->kind == SequenceKind::kRange;
  }
  return value.is_text() || value.as_dict() || value.is_undefined();
}

/// All cased letters are of one case, and there is at least one.
template <bool (*Matches)(char32_t), bool (*Opposes)(char32_t)>
bool has_case(Runtime& runtime, const Value& value, const Arguments& arguments) {
  take_none("test", arguments);
  const std::u32string text = decode_utf8(runtime.to_text(value));
  return std::any_of(text.begin(), text.end(), Matches) && std::none_of(text.begin(), text.end(), Opposes);
}

bool leaves_remainder(Runtime& runtime, const Value& value, const Value& divisor, int64_t expected) {
  const Value rest = apply_operator(runtime, BinaryOperator::kModulo, value, divisor);
  return equals(rest, Value::integer(expected), runtime.budget());
}

bool is_odd(Runtime& runtime, const Value& value, const Arguments& arguments) {
  take_none("odd", arguments);
  return leaves_remainder(runtime, value, Value::integer(2), 1);
}

bool is_even(Runtime& runtime, const Value& value, const Arguments& arguments) {
  take_none("even", arguments);
  return leaves_remainder(runtime, value, Value::integer(2), 0);
}

bool is_divisible(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"}, 1);
  return leaves_remainder(runtime, value, bound.value(0), 0);
}

bool is_in(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("in", arguments, {"seq"}, 1);
  return contains(runtime, bound.value(0), value);
}

bool is_same(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value other = Bound("sameas", arguments, {"other"}, 1).value(0);
  if (value.storage().index() != other.storage().index()) return false;
  if (value.as_sequence()) return value.as_sequence() == other.as_sequence();
  if (value.as_dict()) return value.as_dict() == other.as_dict();
  return equals(value, other, runtime.budget());
}

bool is_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  take_none("filter", arguments);
  hash_key(value, runtime.budget());  // Python looks the value up in a dict
  return value.as_text() && find_filter(*value.as_text());
}

bool is_test(Runtime& runtime, const Value& value, const Arguments& arguments) {
  take_none("test", arguments);
  hash_key(value, runtime.budget());
  return value.as_text() && find_test(*value.as_text());
}

struct NamedTest {
  std::string_view name;
  NativeTest test;
};

constexpr NamedTest kTests[] = {
    {"odd", is_odd},
    {"even", is_even},
    {"divisibleby", is_divisible},
    {"defined", plain<is_defined>},
    {"undefined", plain<is_undefined>},
    {"filter", is_filter},
    {"test", is_test},
    {"none", plain<is_none>},
    {"boolean", plain<is_boolean>},
    {"false", plain<is_exactly_false>},
    {"true", plain<is_exactly_true>},
    {"integer", plain<is_integer>},
    {"float", plain<is_float>},
    {"lower", has_case<is_lower, is_upper>},
    {"upper", has_case<is_upper, is_lower>},
    {"string", plain<is_string>},
    {"mapping", plain<is_mapping>},
    {"number", plain<is_number>},
    {"sequence", plain<is_sequence>},
    {"iterable", plain<is_iterable>},
    {"callable", plain<is_callable>},
    {"sameas", is_same},
    {"escaped", plain<is_escaped>},
    {"in", is_in},
    {"==", compared<Comparison::kEqual>},
    {"eq", compared<Comparison::kEqual>},
    {"equalto", compared<Comparison::kEqual>},
    {"!=", compared<Comparison::kNotEqual>},
    {"ne", compared<Comparison::kNotEqual>},
    {">", compared<Comparison::kGreater>},
    {"gt", compared<Comparison::kGreater>},
    {"greaterthan", compared<Comparison::kGreater>},
    {"ge", compared<Comparison::kGreaterEqual>},
    {">=", compared<Comparison::kGreaterEqual>},
    {"<", compared<Comparison::kLess>},
    {"lt", compared<Comparison::kLess>},
    {"lessthan", compared<Comparison::kLess>},
    {"<=", compared<Comparison::kLessEqual>},
    {"le", compared<Comparison::kLessEqual>},
};

}  // namespace

NativeTest find_test(std::string_view name) noexcept {
  const auto* row = std::find_if(std::begin(kTests), std::end(kTests),
                                 [&](const NamedTest& each) { return each.name == name; });
  return row == std::end(kTests) ? nullptr : row->test;
}

}  // namespace assay::jinja
