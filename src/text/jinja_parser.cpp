#include "text/jinja_parser.hpp"

#include <algorithm>

#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

int depth_of(const ExprPtr& expr) {
  return expr ? expr->depth : 0;
}

int depth_of(const std::vector<ExprPtr>& exprs) {
  int depth = 0;
  for (const ExprPtr& expr : exprs) depth = std::max(depth, expr->depth);
  return depth;
}

std::optional<BinaryOperator> operator_of(const Token& token, std::string_view allowed) {
  static constexpr std::pair<std::string_view, BinaryOperator> kOperators[] = {
      {"+", BinaryOperator::kAdd},    {"-", BinaryOperator::kSubtract},     {"*", BinaryOperator::kMultiply},
      {"/", BinaryOperator::kDivide}, {"//", BinaryOperator::kFloorDivide}, {"%", BinaryOperator::kModulo},
  };
  if (token.kind != TokenKind::kOperator || allowed.find(token.text[0]) == std::string_view::npos)
    return std::nullopt;
  for (const auto& [symbol, op] : kOperators)
    if (token.text == symbol) return op;
  return std::nullopt;
}

bool ends_tuple(const Token& token, std::string_view end_name) {
  return token.kind == TokenKind::kVariableEnd || token.kind == TokenKind::kBlockEnd ||
         token.is_operator(")") || (!end_name.empty() && token.is_name(end_name));
}

}  // namespace

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (parser_.nesting_ >= kMaxSourceDepth) {
    parser_.tokens_.fail_here("the template nests more than " + std::to_string(kMaxSourceDepth) + " levels");
  }
  ++parser_.nesting_;
}

ExprPtr ExpressionParser::make(int line, int child_depth, Expr::Node node) const {
  if (child_depth >= kMaxSourceDepth) {
    throw Failure("an expression nests more than " + std::to_string(kMaxSourceDepth) + " levels", line);
  }
  return std::make_unique<Expr>(Expr{line, child_depth + 1, std::move(node)});
}

ExprPtr ExpressionParser::parse_expression(bool with_condition) {
  const Nesting nesting(*this);
  return with_condition ? parse_condition() : parse_or();
}

ExprPtr ExpressionParser::parse_condition() {
  const int line = tokens_.current().line;
  // Known to be a condition only after its first part was read; unknown names there fail as outside of it.
  ExprPtr expr = parse_or();
  while (tokens_.skip_name("if")) {
    const bool outer = std::exchange(soft_, true);
    ExprPtr condition = parse_or();
    ExprPtr otherwise;
    if (tokens_.skip_name("else")) {
      const Nesting nesting(*this);
      otherwise = parse_condition();
    }
    soft_ = outer;
    const int depth = std::max({expr->depth, condition->depth, depth_of(otherwise)});
    expr = make(line, depth, ConditionalExpr{std::move(condition), std::move(expr), std::move(otherwise)});
  }
  return expr;
}

ExprPtr ExpressionParser::parse_or() {
  ExprPtr left = parse_and();
  while (tokens_.at_name("or")) {
    const int line = tokens_.take().line;
    ExprPtr right = parse_and();
    const int depth = std::max(left->depth, right->depth);
    left = make(line, depth, LogicExpr{false, std::move(left), std::move(right)});
  }
  return left;
}

ExprPtr ExpressionParser::parse_and() {
  ExprPtr left = parse_not();
  while (tokens_.at_name("and")) {
    const int line = tokens_.take().line;
    ExprPtr right = parse_not();
    const int depth = std::max(left->depth, right->depth);
    left = make(line, depth, LogicExpr{true, std::move(left), std::move(right)});
  }
  return left;
}

ExprPtr ExpressionParser::parse_not() {
  if (!tokens_.at_name("not")) return parse_compare();
  const Nesting nesting(*this);
  const int line = tokens_.take().line;
  ExprPtr operand = parse_not();
  const int depth = operand->depth;
  return make(line, depth, UnaryExpr{UnaryOperator::kNot, std::move(operand)});
}

bool ExpressionParser::take_comparison(Comparison& comparison) {
  static constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::kEqual},     {"!=", Comparison::kNotEqual}, {"<", Comparison::kLess},
      {"<=", Comparison::kLessEqual}, {">", Comparison::kGreater},   {">=", Comparison::kGreaterEqual},
  };
  for (const auto& [symbol, each] : kComparisons) {
    if (!tokens_.skip_operator(symbol)) continue;
    comparison = each;
    return true;
  }
  if (tokens_.skip_name("in")) {
    comparison = Comparison::kIn;
    return true;
  }
  if (!tokens_.at_name("not") || !tokens_.next_one().is_name("in")) return false;
  tokens_.take();
  tokens_.take();
  comparison = Comparison::kNotIn;
  return true;
}

ExprPtr ExpressionParser::parse_compare() {
  const int line = tokens_.current().line;
  ExprPtr first = parse_sum();
  std::vector<std::pair<Comparison, ExprPtr>> rest;
  int depth = first->depth;
  Comparison comparison{};
  while (take_comparison(comparison)) {
    rest.emplace_back(comparison, parse_sum());
    depth = std::max(depth, rest.back().second->depth);
  }
  if (rest.empty()) return first;
  return make(line, depth, CompareExpr{std::move(first), std::move(rest)});
}

ExprPtr ExpressionParser::parse_sum() {
  ExprPtr left = parse_concat();
  while (const auto op = operator_of(tokens_.current(), "+-")) {
    const int line = tokens_.take().line;
    ExprPtr right = parse_concat();
    const int depth = std::max(left->depth, right->depth);
    left = make(line, depth, BinaryExpr{*op, std::move(left), std::move(right)});
  }
  return left;
}

ExprPtr ExpressionParser::parse_concat() {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> parts;
  parts.push_back(parse_product());
  while (tokens_.skip_operator("~")) parts.push_back(parse_product());
  if (parts.size() == 1) return std::move(parts[0]);
  const int depth = depth_of(parts);
  return make(line, depth, ConcatExpr{std::move(parts)});
}

ExprPtr ExpressionParser::parse_product() {
  ExprPtr left = parse_power();
  while (const auto op = tokens_.at_operator("**") ? std::nullopt : operator_of(tokens_.current(), "*/%")) {
    const int line = tokens_.take().line;
    ExprPtr right = parse_power();
    const int depth = std::max(left->depth, right->depth);
    left = make(line, depth, BinaryExpr{*op, std::move(left), std::move(right)});
  }
  return left;
}

ExprPtr ExpressionParser::parse_power() {
  ExprPtr left = parse_unary(true);
  while (tokens_.at_operator("**")) {
    const int line = tokens_.take().line;
    ExprPtr right = parse_unary(true);
    const int depth = std::max(left->depth, right->depth);
    left = make(line, depth, BinaryExpr{BinaryOperator::kPower, std::move(left), std::move(right)});
  }
  return left;
}

ExprPtr ExpressionParser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  ExprPtr expr;
  if (tokens_.at_operator("-") || tokens_.at_operator("+")) {
    const Token& sign = tokens_.take();
    const auto op = sign.text == "-" ? UnaryOperator::kNegate : UnaryOperator::kAffirm;
    const int line = sign.line;
    ExprPtr operand = parse_unary(false);
    const int depth = operand->depth;
    expr = make(line, depth, UnaryExpr{op, std::move(operand)});
  } else {
    expr = parse_primary();
  }
  expr = parse_postfix(std::move(expr));
  return with_filter ? parse_filter_or_test(std::move(expr)) : std::move(expr);
}

ExprPtr ExpressionParser::parse_primary(bool with_namespace) {
  const Token& token = tokens_.current();
  switch (token.kind) {
    case TokenKind::kName:
      return parse_name(with_namespace);
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kInteger:
      return make(token.line, 0, ConstExpr{Value::integer(tokens_.take().integer)});
    case TokenKind::kFloat:
      return make(token.line, 0, ConstExpr{Value::number(tokens_.take().number)});
    default:
      break;
  }
  if (tokens_.at_operator("[")) return parse_list();
  if (tokens_.at_operator("{")) return parse_dict();
  if (!tokens_.skip_operator("(")) tokens_.fail_unexpected("an expression");
  ExprPtr inner = parse_tuple({true, true, {}});
  tokens_.expect_operator(")");
  return inner;
}

ExprPtr ExpressionParser::parse_name(bool with_namespace) {
  const int line = tokens_.current().line;
  const std::string name = tokens_.take().text;
  if (name == "true" || name == "True") return make(line, 0, ConstExpr{Value::boolean(true)});
  if (name == "false" || name == "False") return make(line, 0, ConstExpr{Value::boolean(false)});
  if (name == "none" || name == "None") return make(line, 0, ConstExpr{Value::none()});
  if (with_namespace && tokens_.skip_operator(".")) {
    return make(line, 0, NamespaceTarget{name, tokens_.expect(TokenKind::kName).text});
  }
  for (MacroBody* macro : macros_) {
    macro->uses_caller |= name == "caller";
    macro->uses_varargs |= name == "varargs";
    macro->uses_kwargs |= name == "kwargs";
  }
  return make(line, 0, NameExpr{name});
}

ExprPtr ExpressionParser::parse_string() {
  const int line = tokens_.current().line;
  std::string text;
  while (tokens_.at(TokenKind::kString)) text += tokens_.take().text;
  return make(line, 0, ConstExpr{Value::text(std::move(text))});
}

ExprPtr ExpressionParser::parse_tuple(const TupleRules& rules) {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) tokens_.expect_operator(",");
    if (ends_tuple(tokens_.current(), rules.end_name)) break;
    items.push_back(parse_expression(rules.with_condition));
    if (!tokens_.at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!rules.explicit_brackets) tokens_.fail_unexpected("an expression");
  }
  const int depth = depth_of(items);
  return make(line, depth, SequenceExpr{SequenceKind::kTuple, std::move(items)});
}

ExprPtr ExpressionParser::parse_list() {
  const int line = tokens_.take().line;
  std::vector<ExprPtr> items;
  while (!tokens_.at_operator("]")) {
    if (!items.empty()) tokens_.expect_operator(",");
    if (tokens_.at_operator("]")) break;
    items.push_back(parse_expression());
  }
  tokens_.expect_operator("]");
  const int depth = depth_of(items);
  return make(line, depth, SequenceExpr{SequenceKind::kList, std::move(items)});
}

ExprPtr ExpressionParser::parse_dict() {
  const int line = tokens_.take().line;
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
  int depth = 0;
  while (!tokens_.at_operator("}")) {
    if (!entries.empty()) tokens_.expect_operator(",");
    if (tokens_.at_operator("}")) break;
    ExprPtr key = parse_expression();
    tokens_.expect_operator(":");
    ExprPtr value = parse_expression();
    depth = std::max({depth, key->depth, value->depth});
    entries.emplace_back(std::move(key), std::move(value));
  }
  tokens_.expect_operator("}");
  return make(line, depth, DictExpr{std::move(entries)});
}

}  // namespace assay::jinja
