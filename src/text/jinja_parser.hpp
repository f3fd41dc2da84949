#pragma once
#include "text/jinja_ast.hpp"
#include "text/jinja_lexer.hpp"

namespace assay::jinja {

/// The tokens of a template and a place among them.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  const Token& current() const { return tokens_[at_]; }
  const Token& next_one() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_operator(std::string_view symbol) const { return current().is_operator(symbol); }
  bool at_name(std::string_view name) const { return current().is_name(name); }
  bool skip_operator(std::string_view symbol) { return at_operator(symbol) && (take(), true); }
  bool skip_name(std::string_view name) { return at_name(name) && (take(), true); }
  const Token& expect(TokenKind kind);
  void expect_operator(std::string_view symbol);
  void expect_name(std::string_view name);
  [[noreturn]] void fail_here(const std::string& message) const;
  [[noreturn]] void fail_unexpected(const std::string& wanted) const;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

/// What an expression parsed by parse_tuple may stop at, beside the end of its tag.
struct TupleRules {
  bool with_condition = true;      ///< `a if b` belongs to the expression
  bool explicit_brackets = false;  ///< () is the empty tuple
  std::string_view end_name = {};  ///< a keyword that ends the tuple
};

/// The expression half of the grammar.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  ExprPtr parse_expression(bool with_condition = true);
  ExprPtr parse_tuple(const TupleRules& rules);
  ExprPtr parse_primary(bool with_namespace = false);
  /// A chain of `| filter`; `input` is null in blocks, `start_inline` when the first `|` is left out.
  ExprPtr parse_filter(ExprPtr input, bool start_inline);
  ExprPtr make(int line, int child_depth, Expr::Node node) const;

  /// One level of nesting in the source; throws Failure at kMaxSourceDepth.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  TokenStream tokens_;
  /// Inside a condition Jinja2 leaves unknown filters and tests to the rendering.
  bool soft_ = false;
  /// The macros around the present place: reading the special names marks them.
  std::vector<MacroBody*> macros_;

 private:
  ExprPtr parse_condition();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter);
  ExprPtr parse_name(bool with_namespace);
  ExprPtr parse_string();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_filter_or_test(ExprPtr expr);
  ExprPtr parse_dot(ExprPtr of);
  ExprPtr parse_brackets(ExprPtr of);
  ExprPtr parse_subscript(ExprPtr of, int line);
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_test(ExprPtr input);
  CallArguments parse_arguments();
  void parse_argument(CallArguments& arguments);
  std::string parse_dotted_name();
  bool take_comparison(Comparison& comparison);

  int nesting_ = 0;
};

}  // namespace assay::jinja
