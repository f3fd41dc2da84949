#include <algorithm>

#include "text/jinja_statement_parser.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

std::string list_names(EndNames names) {
  std::string out;
  for (const std::string_view name : names) out += (out.empty() ? "'" : " or '") + std::string(name) + "'";
  return out;
}

}  // namespace

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
  if (tag == "print") return parse_print(line);
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    throw Failure("{% " + tag + " %} is refused: a chat template cannot read other templates", line);
  }
  if (tag == "autoescape") throw Failure("{% autoescape %} is not supported: prompts are plain text", line);
  throw Failure("Encountered unknown tag " + quote(tag) + ".", line);
}

void StatementParser::check_target(const Expr& target) const {
  const auto* tuple = std::get_if<SequenceExpr>(&target.node);
  if (tuple && tuple->kind == SequenceKind::kTuple) {
    for (const ExprPtr& item : tuple->items) check_target(*item);
  } else if (!std::holds_alternative<NameExpr>(target.node) &&
             !std::holds_alternative<NamespaceTarget>(target.node)) {
    throw Failure("can't assign to an expression", target.line);
  }
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

/// Prints its expressions one after the other, which is what `~` makes of them.
Statement::Node StatementParser::parse_print(int line) {
  std::vector<ExprPtr> parts;
  int depth = 0;
  while (!tokens_.at(TokenKind::kBlockEnd)) {
    if (!parts.empty()) tokens_.expect_operator(",");
    parts.push_back(parse_expression());
    depth = std::max(depth, parts.back()->depth);
  }
  return Output{make(line, depth, ConcatExpr{std::move(parts)})};
}

Statement::Node StatementParser::parse_loop_exit(const std::string& tag) {
  if (!in_loop_) tokens_.fail_here("'" + tag + "' outside loop");
  if (tag == "break") return Break{};
  return Continue{};
}

Body parse_template(std::string_view source) {
  return StatementParser(read_tokens(source)).parse();
}

}  // namespace assay::jinja
