#include <algorithm>
#include <initializer_list>

#include "text/jinja_parser.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

using EndNames = std::initializer_list<std::string_view>;

class StatementParser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body parse() { return parse_body({}); }

 private:
  /// Statements up to {% one of `ends`; the stream then stands at that name. Without ends: to the end.
  Body parse_body(EndNames ends);
  /// The end of an opening tag, then the body.
  Body parse_block(EndNames ends);
  /// The same in a frame of its own, where unknown filters fail at once and a loop can not be left.
  Body parse_frame(EndNames ends, bool in_loop);
  Statement parse_statement();
  Statement::Node parse_tag(const std::string& tag, int line);

  ExprPtr parse_target(bool with_namespace, std::string_view end_name);
  void check_target(const Expr& target, bool in_tuple = false) const;
  std::string parse_plain_name();
  Statement::Node parse_for();
  Statement::Node parse_if();
  Statement::Node parse_set();
  Statement::Node parse_macro();
  Statement::Node parse_call_block();
  Statement::Node parse_filter_block();
  Statement::Node parse_with();
  Statement::Node parse_named_block();
  Statement::Node parse_generation();
  Statement::Node parse_loop_exit(const std::string& tag);
  Signature parse_signature();
  void parse_macro_body(MacroBody& macro, std::string_view end);
  [[noreturn]] void fail_end(EndNames ends) const;

  bool in_loop_ = false;
};

std::string list_names(EndNames names) {
  std::string out;
  for (const std::string_view name : names) out += (out.empty() ? "'" : " or '") + std::string(name) + "'";
  return out;
}

void StatementParser::fail_end(EndNames ends) const {
  tokens_.fail_here("unexpected end of template, " + list_names(ends) + " is missing");
}

Body StatementParser::parse_body(EndNames ends) {
  const Nesting nesting(*this);
  Body body;
  while (!tokens_.at(TokenKind::kEnd)) {
    const Token& token = tokens_.take();
    const int line = token.line;
    if (token.kind == TokenKind::kData) {
      body.push_back({line, TextOutput{token.text}});
    } else if (token.kind == TokenKind::kVariableBegin) {
      body.push_back({line, Output{parse_tuple({})}});
      tokens_.expect(TokenKind::kVariableEnd);
    } else {
      const bool at_end =
          std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return tokens_.at_name(end); });
      if (at_end) return body;
      body.push_back(parse_statement());
      tokens_.expect(TokenKind::kBlockEnd);
    }
  }
  if (ends.size() > 0) fail_end(ends);
  return body;
}

Body StatementParser::parse_block(EndNames ends) {
  tokens_.skip_operator(":");
  tokens_.expect(TokenKind::kBlockEnd);
  return parse_body(ends);
}

Body StatementParser::parse_frame(EndNames ends, bool in_loop) {
  const bool outer_soft = std::exchange(soft_, false);
  const bool outer_loop = std::exchange(in_loop_, in_loop);
  Body body = parse_block(ends);
  soft_ = outer_soft;
  in_loop_ = outer_loop;
  return body;
}

Statement StatementParser::parse_statement() {
  const int line = tokens_.current().line;
  if (!tokens_.at(TokenKind::kName)) tokens_.fail_here("tag name expected");
  const std::string tag = tokens_.take().text;
  return {line, parse_tag(tag, line)};
}

Statement::Node StatementParser::parse_tag(const std::string& tag, int line) {
  if (tag == "if") return parse_if();
  if (tag == "for") return parse_for();
  if (tag == "set") return parse_set();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "block") return parse_named_block();
  if (tag == "generation") return parse_generation();
  if (tag == "break" || tag == "continue") return parse_loop_exit(tag);
  if (tag == "print") return Output{parse_tuple({})};
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    throw Failure("{% " + tag + " %} is refused: a chat template cannot read other templates", line);
  }
  if (tag == "autoescape") throw Failure("{% autoescape %} is not supported: prompts are plain text", line);
  throw Failure("Encountered unknown tag " + quote(tag) + ".", line);
}

void StatementParser::check_target(const Expr& target, bool in_tuple) const {
  if (std::holds_alternative<NameExpr>(target.node) || std::holds_alternative<NamespaceTarget>(target.node))
    return;
  const auto* tuple = std::get_if<SequenceExpr>(&target.node);
  if (tuple && tuple->kind == SequenceKind::kTuple) {
    for (const ExprPtr& item : tuple->items) check_target(*item, true);
    return;
  }
  throw Failure(in_tuple ? "can't assign to part of a tuple target" : "can't assign to an expression",
                target.line);
}

ExprPtr StatementParser::parse_target(bool with_namespace, std::string_view end_name) {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) tokens_.expect_operator(",");
    const bool ended = tokens_.at(TokenKind::kBlockEnd) || tokens_.at_operator(")") ||
                       (!end_name.empty() && tokens_.at_name(end_name));
    if (ended) break;
    items.push_back(parse_primary(with_namespace));
    check_target(*items.back());
    if (!tokens_.at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.size() == 1) return std::move(items[0]);
  if (items.empty()) tokens_.fail_unexpected("a name to assign to");
  return make(line, 1, SequenceExpr{SequenceKind::kTuple, std::move(items)});
}

std::string StatementParser::parse_plain_name() {
  const std::string& name = tokens_.expect(TokenKind::kName).text;
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) tokens_.fail_here("can't assign to '" + name + "'");
  }
  return name;
}

Statement::Node StatementParser::parse_for() {
  For loop;
  loop.target = parse_target(false, "in");
  tokens_.expect_name("in");
  loop.iterable = parse_tuple({false, false, "recursive"});
  if (tokens_.skip_name("if")) loop.condition = parse_expression();
  loop.recursive = tokens_.skip_name("recursive");
  loop.body = parse_frame({"endfor", "else"}, true);
  if (tokens_.take().text == "else") {
    loop.otherwise = parse_frame({"endfor"}, false);
    tokens_.take();
  }
  return loop;
}

Statement::Node StatementParser::parse_if() {
  If node;
  const bool outer = std::exchange(soft_, true);
  while (true) {
    ExprPtr condition = parse_tuple({false, false, {}});
    Body body = parse_block({"elif", "else", "endif"});
    node.branches.emplace_back(std::move(condition), std::move(body));
    const std::string end = tokens_.take().text;
    if (end == "elif") continue;
    if (end == "else") {
      node.otherwise = parse_block({"endif"});
      tokens_.take();
    }
    break;
  }
  soft_ = outer;
  return node;
}

Statement::Node StatementParser::parse_set() {
  ExprPtr target = parse_target(true, {});
  if (tokens_.skip_operator("=")) return Set{std::move(target), parse_tuple({})};
  ExprPtr filter = parse_filter(nullptr, false);
  Body body = parse_frame({"endset"}, false);
  tokens_.take();
  return SetBlock{std::move(target), std::move(filter), std::move(body)};
}

Signature StatementParser::parse_signature() {
  Signature signature;
  tokens_.expect_operator("(");
  while (!tokens_.at_operator(")")) {
    if (!signature.names.empty()) tokens_.expect_operator(",");
    std::string name = parse_plain_name();
    if (std::find(signature.names.begin(), signature.names.end(), name) != signature.names.end()) {
      tokens_.fail_here("duplicate argument " + quote(name));
    }
    if (tokens_.skip_operator("=")) {
      signature.defaults.push_back(parse_expression());
    } else if (!signature.defaults.empty()) {
      tokens_.fail_here("non-default argument follows default argument");
    }
    signature.names.push_back(std::move(name));
  }
  tokens_.expect_operator(")");
  return signature;
}

void StatementParser::parse_macro_body(MacroBody& macro, std::string_view end) {
  macros_.push_back(&macro);
  macro.body = parse_frame({end}, false);
  macros_.pop_back();
  tokens_.take();
}

Statement::Node StatementParser::parse_macro() {
  auto macro = std::make_shared<MacroBody>();
  macro->name = parse_plain_name();
  macro->signature = parse_signature();
  parse_macro_body(*macro, "endmacro");
  return MacroDefinition{std::move(macro)};
}

Statement::Node StatementParser::parse_call_block() {
  auto caller = std::make_shared<MacroBody>();
  caller->name = "caller";
  if (tokens_.at_operator("(")) caller->signature = parse_signature();
  const int line = tokens_.current().line;
  ExprPtr call = parse_expression();
  if (!std::holds_alternative<CallExpr>(call->node)) throw Failure("expected call", line);
  parse_macro_body(*caller, "endcall");
  return CallBlock{std::move(call), std::move(caller)};
}

Statement::Node StatementParser::parse_filter_block() {
  ExprPtr filter = parse_filter(nullptr, true);
  Body body = parse_frame({"endfilter"}, false);
  tokens_.take();
  return FilterBlock{std::move(filter), std::move(body)};
}

Statement::Node StatementParser::parse_with() {
  With with;
  while (!tokens_.at(TokenKind::kBlockEnd)) {
    if (!with.bindings.empty()) tokens_.expect_operator(",");
    // Each target stops at its "=", so a tuple target would swallow the next binding: only names and
    // bracketed tuples are read.
    ExprPtr target = parse_primary();
    check_target(*target);
    tokens_.expect_operator("=");
    ExprPtr value = parse_expression();
    with.bindings.emplace_back(std::move(target), std::move(value));
  }
  with.body = parse_frame({"endwith"}, in_loop_);
  tokens_.take();
  return with;
}

Statement::Node StatementParser::parse_named_block() {
  const std::string name = parse_plain_name();
  const bool scoped = tokens_.skip_name("scoped");
  tokens_.skip_name("required");
  ScopedBody block{parse_frame({"endblock"}, false), scoped};
  tokens_.take();
  tokens_.skip_name(name);
  return block;
}

Statement::Node StatementParser::parse_generation() {
  ScopedBody generation{parse_frame({"endgeneration"}, false), true};
  tokens_.take();
  return generation;
}

Statement::Node StatementParser::parse_loop_exit(const std::string& tag) {
  if (!in_loop_) tokens_.fail_here("'" + tag + "' outside loop");
  if (tag == "break") return Break{};
  return Continue{};
}

}  // namespace

Body parse_template(std::string_view source) {
  return StatementParser(read_tokens(source)).parse();
}

}  // namespace assay::jinja
