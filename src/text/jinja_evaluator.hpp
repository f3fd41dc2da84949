#pragma once
#include <map>

#include "text/jinja_ast.hpp"
#include "text/jinja_runtime.hpp"

namespace assay::jinja {

/// The variables of a block; lookups go outwards.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> outer) : outer_(std::move(outer)) {}
  const Value* find(const std::string& name) const;
  void set(const std::string& name, Value value) { names_.insert_or_assign(name, std::move(value)); }
  void clear() { names_.clear(); }

 private:
  std::map<std::string, Value> names_;
  std::shared_ptr<Scope> outer_;
};

/// Runs a parsed template once.
class Evaluator {
 public:
  /// `globals`: what render() was given, by name.
  Evaluator(const Limits& limits, int64_t now, const Value& globals);
  /// Throws Failure with the line.
  std::string render(const Body& body);

  /// Called by macros: runs `macro` in a fresh scope below `closure`.
  Value run_macro(const MacroBody& macro, const std::shared_ptr<Scope>& closure, const Arguments& arguments);
  /// Called by recursive loops: the body of `loop` over `iterable`.
  std::string run_loop(const For& loop, const Value& iterable, const std::shared_ptr<Scope>& outer,
                       int depth0);

 private:
  /// How a body ended: at its end, or by {% break %} or {% continue %}.
  enum class Flow { kNext, kBreak, kContinue };
  /// Runs statements in another scope and, when given, with another output.
  class Frame;

  Flow execute(const Body& body);
  Flow execute_one(const Statement& statement);
  Flow operator()(const TextOutput& node);
  Flow operator()(const Output& node);
  Flow operator()(const If& node);
  Flow operator()(const For& node);
  Flow operator()(const Set& node);
  Flow operator()(const SetBlock& node);
  Flow operator()(const MacroDefinition& node);
  Flow operator()(const CallBlock& node);
  Flow operator()(const FilterBlock& node);
  Flow operator()(const With& node);
  Flow operator()(const ScopedBody& node);
  Flow operator()(const Break&) { return Flow::kBreak; }
  Flow operator()(const Continue&) { return Flow::kContinue; }

  Value evaluate(const Expr& expr);
  /// None for a part that was left out.
  Value evaluate_part(const ExprPtr& expr) { return expr ? evaluate(*expr) : Value::none(); }
  Value operator()(const ConstExpr& node) { return node.value; }
  Value operator()(const NameExpr& node);
  Value operator()(const NamespaceTarget&);
  Value operator()(const AttributeExpr& node);
  Value operator()(const ItemExpr& node);
  Value operator()(const SliceExpr& node);
  Value operator()(const CallExpr& node);
  Value operator()(const FilterExpr& node);
  Value operator()(const TestExpr& node);
  Value operator()(const UnaryExpr& node);
  Value operator()(const BinaryExpr& node);
  Value operator()(const LogicExpr& node);
  Value operator()(const CompareExpr& node);
  Value operator()(const ConditionalExpr& node);
  Value operator()(const ConcatExpr& node);
  Value operator()(const SequenceExpr& node);
  Value operator()(const DictExpr& node);

  Arguments evaluate_arguments(const CallArguments& arguments);
  Value call(const CallExpr& node, const Value* caller);
  /// A chain of filters without input, applied to `input`.
  Value apply_filters(const Expr& filter, const Value& input);
  void assign(const Expr& target, const Value& value);
  void assign_tuple(const SequenceExpr& target, const Value& value);
  void bind_parameters(const MacroBody& macro, Scope& scope, const Arguments& arguments);
  Value make_macro(std::shared_ptr<const MacroBody> macro);
  std::string capture(const Body& body, std::shared_ptr<Scope> scope);
  void emit(std::string_view text);

  Runtime runtime_;
  std::shared_ptr<Scope> root_;
  std::shared_ptr<Scope> scope_;
  std::string* out_ = nullptr;
  int line_ = 1;                                  ///< of what is being evaluated, for errors
  std::vector<std::shared_ptr<Scope>> captured_;  ///< scopes that macros hold on to

 public:
  ~Evaluator();
};

}  // namespace assay::jinja
