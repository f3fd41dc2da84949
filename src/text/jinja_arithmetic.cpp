#include <cmath>

#include "text/jinja_format.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void fail_operands(BinaryOperator op, const Value& left, const Value& right) {
  require_defined(left);
  require_defined(right);
  fail(std::string("unsupported operand type(s) for ") + kSymbols[static_cast<int>(op)] + ": '" +
       left.type_name() + "' and '" + right.type_name() + "'");
}

[[noreturn]] void fail_overflow() {
  fail("an integer grows beyond 64 bits");
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (b == -1) {
    int64_t negated = 0;
    if (__builtin_sub_overflow(int64_t{0}, a, &negated)) fail_overflow();
    return negated;
  }
  return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0);
}

int64_t floor_modulo(int64_t a, int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0.0 cannot be raised to a negative power");
    return Value::number(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) fail_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return Value::integer(result);
}

Value true_division(double a, double b) {
  if (b == 0) fail("division by zero");
  return Value::number(a / b);
}

Value apply_integers(BinaryOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow();
      return Value::integer(result);
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
      return Value::integer(result);
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
      return Value::integer(result);
    case BinaryOperator::kDivide:
      return true_division(static_cast<double>(a), static_cast<double>(b));
    case BinaryOperator::kFloorDivide:
      return Value::integer(floor_divide(a, b));
    case BinaryOperator::kModulo:
      return Value::integer(floor_modulo(a, b));
    case BinaryOperator::kPower:
      return integer_power(a, b);
  }
  return Value();
}

/// Python's float %: the sign of the divisor.
double float_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) rest += b;
  } else {
    rest = std::copysign(0.0, b);
  }
  return rest;
}

/// Python's float //: the quotient of the exact remainder, rounded to a whole number.
double float_floor_divide(double a, double b) {
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1.0;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1.0 : whole;
}

Value float_power(double a, double b) {
  if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
    fail("a power of a negative number is complex");
  }
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) fail("the result of ** is too large");
  return Value::number(result);
}

Value apply_floats(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value::number(a + b);
    case BinaryOperator::kSubtract:
      return Value::number(a - b);
    case BinaryOperator::kMultiply:
      return Value::number(a * b);
    case BinaryOperator::kDivide:
      return true_division(a, b);
    case BinaryOperator::kFloorDivide:
      if (b == 0) fail("float floor division by zero");
      return Value::number(float_floor_divide(a, b));
    case BinaryOperator::kModulo:
      if (b == 0) fail("float modulo by zero");
      return Value::number(float_modulo(a, b));
    case BinaryOperator::kPower:
      return float_power(a, b);
  }
  return Value();
}

/// str + str. A safe side escapes the other, as Markup does.
Value join_texts(Runtime& runtime, const Value& left, const Value& right) {
  const bool safe = left.is_safe_text() || right.is_safe_text();
  const auto part = [&](const Value& side) {
    return safe && !side.is_safe_text() ? escape_html(*side.as_text()) : *side.as_text();
  };
  runtime.budget().spend_text(left.as_text()->size() + right.as_text()->size());
  return runtime.make_text(part(left) + part(right), safe);
}

Value repeat(Runtime& runtime, const Value& value, int64_t times) {
  const auto count = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  if (const std::string* text = value.as_text()) {
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(count, uint64_t{text->size()}, &bytes)) fail_overflow();
    runtime.budget().spend_text(bytes);
    std::string out;
    out.reserve(bytes);
    if (!text->empty()) {
      for (uint64_t i = 0; i < count; ++i) out += *text;
    }
    return Value::text(std::move(out), value.is_safe_text());
  }
  const Sequence& sequence = *value.as_sequence();
  uint64_t total = 0;
  if (__builtin_mul_overflow(count, uint64_t{sequence.items.size()}, &total)) fail_overflow();
  runtime.budget().spend(total);
  std::vector<Value> items;
  items.reserve(total);
  for (uint64_t i = 0; i < count && total > 0; ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return Value::sequence(sequence.kind, std::move(items));
}

bool is_repeatable(const Value& value) {
  const Sequence* sequence = value.as_sequence();
  return value.is_text() ||
         (sequence && (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple));
}

Value join_sequences(Runtime& runtime, const Value& left, const Value& right) {
  std::vector<Value> items = left.as_sequence()->items;
  const std::vector<Value>& more = right.as_sequence()->items;
  runtime.budget().spend(items.size() + more.size());
  items.insert(items.end(), more.begin(), more.end());
  return Value::sequence(left.as_sequence()->kind, std::move(items));
}

}  // namespace

Value apply_operator(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  const auto a = left.integral();
  const auto b = right.integral();
  if (a && b) return apply_integers(op, *a, *b);
  if (left.is_number() && right.is_number()) return apply_floats(op, left.to_double(), right.to_double());
  if (op == BinaryOperator::kModulo && left.is_text()) return format_percent(runtime, left, right);
  if (op == BinaryOperator::kMultiply && b && is_repeatable(left)) return repeat(runtime, left, *b);
  if (op == BinaryOperator::kMultiply && a && is_repeatable(right)) return repeat(runtime, right, *a);
  if (op == BinaryOperator::kAdd) {
    if (left.is_text() && right.is_text()) return join_texts(runtime, left, right);
    if (is_repeatable(left) && is_repeatable(right) && left.type_name() == right.type_name()) {
      return join_sequences(runtime, left, right);
    }
    require_defined(left);
    require_defined(right);
    if (left.is_text()) {
      fail("can only concatenate str (not \"" + right.type_name() + "\") to str");
    }
  }
  fail_operands(op, left, right);
}

Value negate(const Value& value) {
  if (const auto integer = value.integral()) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t{0}, *integer, &result)) fail_overflow();
    return Value::integer(result);
  }
  if (const double* number = value.as_float()) return Value::number(-*number);
  require_defined(value);
  fail("bad operand type for unary -: '" + value.type_name() + "'");
}

Value affirm(const Value& value) {
  if (const auto integer = value.integral()) return Value::integer(*integer);
  if (value.as_float()) return value;
  require_defined(value);
  fail("bad operand type for unary +: '" + value.type_name() + "'");
}

}  // namespace assay::jinja
