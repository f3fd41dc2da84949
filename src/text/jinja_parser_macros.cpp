#include <algorithm>

#include "text/jinja_statement_parser.hpp"
#include "text/jinja_text.hpp"

// Tags that define or call something with a body of its own.
namespace assay::jinja {

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

}  // namespace assay::jinja
