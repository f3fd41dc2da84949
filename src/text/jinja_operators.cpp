#include "text/jinja_operators.hpp"

#include <algorithm>
#include <cstring>

#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

/// Exact even where a double cannot hold the integer.
int compare_numbers(const Value& left, const Value& right) {
  const auto a = left.integral();
  const auto b = right.integral();
  if (a && b) return *a < *b ? -1 : *a > *b;
  const long double x = a ? static_cast<long double>(*a) : static_cast<long double>(left.to_double());
  const long double y = b ? static_cast<long double>(*b) : static_cast<long double>(right.to_double());
  if (x != x || y != y) return 2;  // NaN: neither less, equal nor greater
  return x < y ? -1 : x > y;
}

bool is_list_or_tuple(const Sequence& sequence) {
  return sequence.kind == SequenceKind::kList || sequence.kind == SequenceKind::kTuple;
}

bool equal_sequences(const Sequence& left, const Sequence& right, Budget& budget) {
  if (&left == &right) return true;
  if (left.kind != right.kind || left.items.size() != right.items.size()) return false;
  for (size_t i = 0; i < left.items.size(); ++i) {
    if (!equals(left.items[i], right.items[i], budget)) return false;
  }
  return true;
}

bool equal_dicts(const Dict& left, const Dict& right, Budget& budget) {
  if (left.size() != right.size()) return false;
  for (const auto& [key, value] : left.entries()) {
    const Value* other = right.find(key, budget);
    if (other == nullptr || !equals(value, *other, budget)) return false;
  }
  return true;
}

bool equal_texts(const std::string& left, const std::string& right, Budget& budget) {
  if (&left == &right) return true;
  if (left.size() != right.size()) return false;
  budget.spend_text(left.size());
  return left == right;
}

[[noreturn]] void fail_order(const Value& left, const Value& right) {
  require_defined(left);
  require_defined(right);
  fail("'<' not supported between instances of '" + left.type_name() + "' and '" + right.type_name() + "'");
}

bool is_less_sequence(const Sequence& left, const Sequence& right, Budget& budget) {
  const size_t common = std::min(left.items.size(), right.items.size());
  for (size_t i = 0; i < common; ++i) {
    if (!equals(left.items[i], right.items[i], budget)) return is_less(left.items[i], right.items[i], budget);
  }
  return left.items.size() < right.items.size();
}

bool is_not_greater(const Value& left, const Value& right, Budget& budget) {
  if (left.is_number() && right.is_number()) {
    const int order = compare_numbers(left, right);
    return order == -1 || order == 0;
  }
  return !is_less(right, left, budget);
}

}  // namespace

void require_defined(const Value& value) {
  if (const auto* undefined = std::get_if<Undefined>(&value.storage())) {
    fail(undefined->reason ? *undefined->reason : "value is undefined");
  }
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.to_double() != 0;
  if (const std::string* text = value.as_text()) return !text->empty();
  if (const Sequence* sequence = value.as_sequence()) return !sequence->items.empty();
  if (const Dict* dict = value.as_dict()) return dict->size() != 0;
  return true;
}

bool equals(const Value& left, const Value& right, Budget& budget) {
  budget.spend();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == 0;
  const std::string* a = left.as_text();
  const std::string* b = right.as_text();
  if (a && b) return equal_texts(*a, *b, budget);
  if (left.is_none() || left.is_undefined()) return left.storage().index() == right.storage().index();
  if (left.as_sequence() && right.as_sequence()) {
    return equal_sequences(*left.as_sequence(), *right.as_sequence(), budget);
  }
  if (left.as_dict() && right.as_dict()) return equal_dicts(*left.as_dict(), *right.as_dict(), budget);
  return left.as_object() != nullptr && left.as_object() == right.as_object();
}

bool is_less(const Value& left, const Value& right, Budget& budget) {
  budget.spend();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == -1;
  const std::string* a = left.as_text();
  const std::string* b = right.as_text();
  if (a && b) {
    budget.spend_text(std::min(a->size(), b->size()));
    return *a < *b;  // the order of UTF-8 bytes is the order of code points
  }
  const Sequence* x = left.as_sequence();
  const Sequence* y = right.as_sequence();
  if (x && y && x->kind == y->kind && is_list_or_tuple(*x)) return is_less_sequence(*x, *y, budget);
  fail_order(left, right);
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  Budget& budget = runtime.budget();
  if (const std::string* text = container.as_text()) {
    const std::string* needle = item.as_text();
    if (needle == nullptr) {
      fail("'in <string>' requires string as left operand, not " + item.type_name());
    }
    budget.spend_text(text->size());
    return find_bytes(*text, *needle) != std::string::npos;
  }
  if (const Dict* dict = container.as_dict()) return dict->find(item, budget) != nullptr;
  Object* object = container.as_object();
  if (!container.as_sequence() && !container.is_undefined() && !(object && object->stream())) {
    fail("argument of type '" + container.type_name() + "' is not iterable");
  }
  Stream items = runtime.iterate(container);
  while (auto each = items()) {
    if (equals(*each, item, budget)) return true;
  }
  return false;
}

bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right) {
  Budget& budget = runtime.budget();
  switch (comparison) {
    case Comparison::kEqual:
      return equals(left, right, budget);
    case Comparison::kNotEqual:
      return !equals(left, right, budget);
    case Comparison::kLess:
      return is_less(left, right, budget);
    case Comparison::kGreater:
      return is_less(right, left, budget);
    case Comparison::kLessEqual:
      return is_not_greater(left, right, budget);
    case Comparison::kGreaterEqual:
      return is_not_greater(right, left, budget);
    case Comparison::kIn:
      return contains(runtime, right, left);
    case Comparison::kNotIn:
      return !contains(runtime, right, left);
  }
  return false;
}

int64_t length_of(const Value& value) {
  if (const std::string* text = value.as_text()) return static_cast<int64_t>(count_code_points(*text));
  if (const Sequence* sequence = value.as_sequence()) return static_cast<int64_t>(sequence->items.size());
  if (const Dict* dict = value.as_dict()) return static_cast<int64_t>(dict->size());
  if (value.is_undefined()) return 0;
  if (Object* object = value.as_object()) {
    if (const auto length = object->length()) return *length;
  }
  fail("object of type '" + value.type_name() + "' has no len()");
}

}  // namespace assay::jinja
