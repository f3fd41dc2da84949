#pragma once
#include <initializer_list>

#include "text/jinja_parser.hpp"

namespace assay::jinja {

using EndNames = std::initializer_list<std::string_view>;

/// The statement half of the grammar.
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
  void check_target(const Expr& target) const;
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
  Statement::Node parse_print(int line);
  Statement::Node parse_loop_exit(const std::string& tag);
  Signature parse_signature();
  void parse_macro_body(MacroBody& macro, std::string_view end);
  [[noreturn]] void fail_end(EndNames ends) const;

  bool in_loop_ = false;
};

}  // namespace assay::jinja
