#include <algorithm>

#include "text/jinja_parser.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

// What follows an operand: attributes, items, slices, calls, filters, tests.
namespace assay::jinja {
namespace {

int arguments_depth(const CallArguments& arguments) {
  int depth = 0;
  const auto include = [&](const ExprPtr& expr) { depth = std::max(depth, expr ? expr->depth : 0); };
  for (const ExprPtr& expr : arguments.positional) include(expr);
  for (const auto& [name, expr] : arguments.named) include(expr);
  include(arguments.star);
  include(arguments.double_star);
  return depth;
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template data / text";
    case TokenKind::kVariableBegin:
      return "begin of print statement";
    case TokenKind::kVariableEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "begin of statement block";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kInteger:
      return std::to_string(token.integer);
    case TokenKind::kFloat:
      return format_float(token.number);
    case TokenKind::kEnd:
      return "end of template";
    default:
      return quote(token.text);
  }
}

}  // namespace

void TokenStream::fail_here(const std::string& message) const {
  throw Failure(message, current().line);
}

void TokenStream::fail_unexpected(const std::string& wanted) const {
  fail_here("expected " + wanted + ", got " + describe(current()));
}

const Token& TokenStream::expect(TokenKind kind) {
  if (!at(kind)) {
    Token wanted;
    wanted.kind = kind;
    fail_unexpected(kind == TokenKind::kName ? "a name" : describe(wanted));
  }
  return take();
}

void TokenStream::expect_operator(std::string_view symbol) {
  if (!skip_operator(symbol)) fail_unexpected("'" + std::string(symbol) + "'");
}

void TokenStream::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_unexpected("'" + std::string(name) + "'");
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr expr) {
  while (true) {
    if (tokens_.at_operator(".")) {
      expr = parse_dot(std::move(expr));
    } else if (tokens_.at_operator("[")) {
      expr = parse_brackets(std::move(expr));
    } else if (tokens_.at_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::parse_filter_or_test(ExprPtr expr) {
  while (true) {
    if (tokens_.at_operator("|")) {
      expr = parse_filter(std::move(expr), false);
    } else if (tokens_.at_name("is")) {
      expr = parse_test(std::move(expr));
    } else if (tokens_.at_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::parse_dot(ExprPtr of) {
  const int line = tokens_.take().line;
  const int depth = of->depth;
  if (tokens_.at(TokenKind::kName)) {
    return make(line, depth, AttributeExpr{std::move(of), tokens_.take().text});
  }
  if (!tokens_.at(TokenKind::kInteger)) tokens_.fail_unexpected("a name or number");
  ExprPtr key = make(line, 0, ConstExpr{Value::integer(tokens_.take().integer)});
  return make(line, depth, ItemExpr{std::move(of), std::move(key)});
}

ExprPtr ExpressionParser::parse_brackets(ExprPtr of) {
  const int line = tokens_.take().line;
  ExprPtr expr = parse_subscript(std::move(of), line);
  if (tokens_.at_operator(",")) tokens_.fail_here("a tuple of subscripts is not supported");
  tokens_.expect_operator("]");
  return expr;
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr of, int line) {
  ExprPtr parts[3];
  const auto at_end = [&] { return tokens_.at_operator("]") || tokens_.at_operator(","); };
  if (!tokens_.at_operator(":")) parts[0] = parse_expression();
  int depth = std::max(of->depth, parts[0] ? parts[0]->depth : 0);
  if (!tokens_.at_operator(":")) return make(line, depth, ItemExpr{std::move(of), std::move(parts[0])});
  for (int i = 1; i < 3 && tokens_.skip_operator(":"); ++i) {
    if (at_end() || tokens_.at_operator(":")) continue;
    parts[i] = parse_expression();
    depth = std::max(depth, parts[i]->depth);
  }
  return make(line, depth,
              SliceExpr{std::move(of), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])});
}

CallArguments ExpressionParser::parse_arguments() {
  CallArguments arguments;
  tokens_.expect_operator("(");
  for (bool first = true; !tokens_.at_operator(")"); first = false) {
    if (!first) {
      tokens_.expect_operator(",");
      if (tokens_.at_operator(")")) break;
    }
    parse_argument(arguments);
  }
  tokens_.expect_operator(")");
  return arguments;
}

void ExpressionParser::parse_argument(CallArguments& arguments) {
  const auto require = [&](bool condition) {
    if (!condition) tokens_.fail_here("invalid syntax for function call expression");
  };
  if (tokens_.skip_operator("*")) {
    require(!arguments.star && !arguments.double_star);
    arguments.star = parse_expression();
  } else if (tokens_.skip_operator("**")) {
    require(!arguments.double_star);
    arguments.double_star = parse_expression();
  } else if (tokens_.at(TokenKind::kName) && tokens_.next_one().is_operator("=")) {
    require(!arguments.double_star);
    std::string name = tokens_.take().text;
    tokens_.take();
    for (const auto& [known, value] : arguments.named) require(known != name);
    arguments.named.emplace_back(std::move(name), parse_expression());
  } else {
    require(!arguments.star && !arguments.double_star && arguments.named.empty());
    arguments.positional.push_back(parse_expression());
  }
}

ExprPtr ExpressionParser::parse_call(ExprPtr callee) {
  const int line = tokens_.current().line;
  CallArguments arguments = parse_arguments();
  const int depth = std::max(callee->depth, arguments_depth(arguments));
  return make(line, depth, CallExpr{std::move(callee), std::move(arguments)});
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = tokens_.expect(TokenKind::kName).text;
  while (tokens_.skip_operator(".")) name += "." + tokens_.expect(TokenKind::kName).text;
  return name;
}

ExprPtr ExpressionParser::parse_filter(ExprPtr input, bool start_inline) {
  while (tokens_.at_operator("|") || start_inline) {
    if (!start_inline) tokens_.take();
    start_inline = false;
    const int line = tokens_.current().line;
    std::string name = parse_dotted_name();
    if (!soft_ && find_filter(name) == nullptr) {
      throw Failure("No filter named " + quote(name) + ".", line);
    }
    CallArguments arguments;
    if (tokens_.at_operator("(")) arguments = parse_arguments();
    const int depth = std::max(input ? input->depth : 0, arguments_depth(arguments));
    input = make(line, depth, FilterExpr{std::move(input), std::move(name), std::move(arguments)});
  }
  return input;
}

namespace {

/// A test takes one argument without parentheses: `x is divisibleby 3`.
bool starts_bare_argument(const Token& token) {
  switch (token.kind) {
    case TokenKind::kName:
      return token.text != "else" && token.text != "or" && token.text != "and";
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    default:
      return token.is_operator("[") || token.is_operator("{");
  }
}

}  // namespace

ExprPtr ExpressionParser::parse_test(ExprPtr input) {
  const int line = tokens_.take().line;
  const bool negated = tokens_.skip_name("not");
  std::string name = parse_dotted_name();
  if (!soft_ && find_test(name) == nullptr) throw Failure("No test named " + quote(name) + ".", line);
  CallArguments arguments;
  if (tokens_.at_operator("(")) {
    arguments = parse_arguments();
  } else if (starts_bare_argument(tokens_.current())) {
    if (tokens_.at_name("is")) tokens_.fail_here("You cannot chain multiple tests with is");
    const Nesting nesting(*this);
    arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  const int depth = std::max(input->depth, arguments_depth(arguments));
  ExprPtr test = make(line, depth, TestExpr{std::move(input), std::move(name), std::move(arguments)});
  if (!negated) return test;
  return make(line, depth + 1, UnaryExpr{UnaryOperator::kNot, std::move(test)});
}

}  // namespace assay::jinja
