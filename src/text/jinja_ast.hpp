#pragma once
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja_operators.hpp"

/// The tree of a compiled template.
namespace assay::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
struct Statement;
using Body = std::vector<Statement>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         ///< *args
  ExprPtr double_star;  ///< **kwargs
};

struct ConstExpr {
  Value value;
};
struct NameExpr {
  std::string name;
};
/// The target ns.attribute of a {% set %}.
struct NamespaceTarget {
  std::string name;
  std::string attribute;
};
struct AttributeExpr {
  ExprPtr of;
  std::string name;
};
struct ItemExpr {
  ExprPtr of;
  ExprPtr key;
};
/// Parts left out are null.
struct SliceExpr {
  ExprPtr of;
  ExprPtr start, stop, step;
};
struct CallExpr {
  ExprPtr callee;
  CallArguments arguments;
};
/// `input` is null in {% filter %} and {% set x | filter %}, where the body is the input.
struct FilterExpr {
  ExprPtr input;
  std::string name;
  CallArguments arguments;
};
struct TestExpr {
  ExprPtr input;
  std::string name;
  CallArguments arguments;
};
enum class UnaryOperator { kNot, kNegate, kAffirm };
struct UnaryExpr {
  UnaryOperator op;
  ExprPtr operand;
};
struct BinaryExpr {
  BinaryOperator op;
  ExprPtr left, right;
};
/// `and` / `or`: gives one of its operands.
struct LogicExpr {
  bool is_and;
  ExprPtr left, right;
};
/// a < b <= c: every operand is evaluated at most once.
struct CompareExpr {
  ExprPtr first;
  std::vector<std::pair<Comparison, ExprPtr>> rest;
};
struct ConditionalExpr {
  ExprPtr condition, then, otherwise;  ///< `otherwise` may be null
};
struct ConcatExpr {
  std::vector<ExprPtr> parts;
};
struct SequenceExpr {
  SequenceKind kind;  ///< kList or kTuple
  std::vector<ExprPtr> items;
};
struct DictExpr {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};

struct Expr {
  using Node = std::variant<ConstExpr, NameExpr, NamespaceTarget, AttributeExpr, ItemExpr, SliceExpr,
                            CallExpr, FilterExpr, TestExpr, UnaryExpr, BinaryExpr, LogicExpr, CompareExpr,
                            ConditionalExpr, ConcatExpr, SequenceExpr, DictExpr>;
  int line;
  int depth;  ///< levels of expressions below and including this one, at most kMaxSourceDepth
  Node node;
};

struct TextOutput {
  std::string text;
};
struct Output {
  ExprPtr value;
};
struct If {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct For {
  ExprPtr target, iterable, condition;  ///< `condition` may be null
  bool recursive = false;
  Body body, otherwise;
};
struct Set {
  ExprPtr target, value;
};
/// {% set x %}…{% endset %}; `filter` may be null.
struct SetBlock {
  ExprPtr target, filter;
  Body body;
};
struct Signature {
  std::vector<std::string> names;
  std::vector<ExprPtr> defaults;  ///< of the last names
};
/// What {% macro %} and {% call %} define.
struct MacroBody {
  std::string name;
  Signature signature;
  Body body;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};
struct MacroDefinition {
  std::shared_ptr<const MacroBody> macro;
};
struct CallBlock {
  ExprPtr call;  ///< a CallExpr
  std::shared_ptr<const MacroBody> caller;
};
struct FilterBlock {
  ExprPtr filter;
  Body body;
};
struct With {
  std::vector<std::pair<ExprPtr, ExprPtr>> bindings;
  Body body;
};
/// {% generation %}, and {% block %} of a template that nothing extends: the body in a scope of its own.
struct ScopedBody {
  Body body;
  bool sees_locals;  ///< false for an unscoped {% block %}, which sees only the top level
};
struct Break {};
struct Continue {};

struct Statement {
  using Node = std::variant<TextOutput, Output, If, For, Set, SetBlock, MacroDefinition, CallBlock,
                            FilterBlock, With, ScopedBody, Break, Continue>;
  int line;
  Node node;
};

/// Throws Failure with the line on a syntax error, an unknown filter or test outside of conditions, and tags
/// that would read other templates. Source of the grammar: Jinja2 3.1, jinja2/parser.py.
Body parse_template(std::string_view source);

}  // namespace assay::jinja
