#pragma once
#include "text/jinja_value.hpp"

/// Python's operators on template values. All throw Failure with Python's wording where Python raises.
namespace assay::jinja {

enum class BinaryOperator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

bool is_true(const Value& value);
bool equals(const Value& left, const Value& right, Budget& budget);
/// `left < right`; defined for numbers, texts, lists and tuples.
bool is_less(const Value& left, const Value& right, Budget& budget);
/// `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);
bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right);

/// Integers are 64-bit and checked: an overflow is a Failure where Python would grow the number.
Value apply_operator(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
Value negate(const Value& value);
Value affirm(const Value& value);

/// len(); an Undefined has length 0.
int64_t length_of(const Value& value);
/// str() and repr().
std::string to_text(const Value& value, Budget& budget);
std::string show(const Value& value, Budget& budget);

/// Throws the reason of an Undefined; does nothing for other values.
void require_defined(const Value& value);

}  // namespace assay::jinja
