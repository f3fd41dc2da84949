#include <algorithm>

#include "text/jinja_callables.hpp"
#include "text/jinja_frame.hpp"
#include "text/jinja_text.hpp"

// Expressions and calls.
namespace assay::jinja {

Value Evaluator::evaluate(const Expr& expr) {
  const DepthGuard guard(runtime_.budget());
  runtime_.budget().spend();
  line_ = expr.line;
  return std::visit([this](const auto& node) { return (*this)(node); }, expr.node);
}

Value Evaluator::operator()(const NameExpr& node) {
  if (const Value* found = scope_->find(node.name)) return *found;
  if (auto global = find_global(runtime_, node.name)) return *global;
  return Value::undefined(quote(node.name) + " is undefined");
}

Value Evaluator::operator()(const NamespaceTarget&) {
  fail("a namespace attribute can only be assigned to here");
}

Value Evaluator::operator()(const AttributeExpr& node) {
  return runtime_.attribute(evaluate(*node.of), node.name);
}

Value Evaluator::operator()(const ItemExpr& node) {
  const Value of = evaluate(*node.of);
  return runtime_.item(of, evaluate(*node.key));
}

Value Evaluator::operator()(const SliceExpr& node) {
  const Value of = evaluate(*node.of);
  const Value start = evaluate_part(node.start);
  const Value stop = evaluate_part(node.stop);
  return runtime_.slice(of, start, stop, evaluate_part(node.step));
}

Value Evaluator::operator()(const CallExpr& node) {
  return call(node, nullptr);
}

Value Evaluator::call(const CallExpr& node, const Value* caller) {
  const int line = line_;
  const Value callee = evaluate(*node.callee);
  Arguments arguments = evaluate_arguments(node.arguments);
  if (caller) arguments.named.emplace_back("caller", *caller);
  line_ = line;
  return runtime_.call(callee, arguments);
}

Arguments Evaluator::evaluate_arguments(const CallArguments& node) {
  Arguments arguments;
  for (const ExprPtr& each : node.positional) arguments.positional.push_back(evaluate(*each));
  for (const auto& [name, each] : node.named) arguments.named.emplace_back(name, evaluate(*each));
  if (node.star) {
    for (Value& each : runtime_.collect(evaluate(*node.star)))
      arguments.positional.push_back(std::move(each));
  }
  if (!node.double_star) return arguments;
  const Value extra = evaluate(*node.double_star);
  const Dict* dict = extra.as_dict();
  if (dict == nullptr) fail("argument after ** must be a mapping, not " + extra.type_name());
  runtime_.budget().spend(dict->size() * (dict->size() + arguments.named.size()));
  for (const auto& [key, value] : dict->entries()) {
    const std::string* name = key.as_text();
    if (name == nullptr) fail("keywords must be strings");
    for (const auto& [known, ignored] : arguments.named) {
      if (known == *name) fail("got multiple values for keyword argument " + quote(known));
    }
    arguments.named.emplace_back(*name, value);
  }
  return arguments;
}

Value Evaluator::operator()(const FilterExpr& node) {
  const int line = line_;
  const Value input = evaluate(*node.input);
  const Arguments arguments = evaluate_arguments(node.arguments);
  line_ = line;
  return runtime_.apply_filter(node.name, input, arguments);
}

Value Evaluator::apply_filters(const Expr& filter, const Value& input) {
  const auto& node = std::get<FilterExpr>(filter.node);
  const Value inner = node.input ? apply_filters(*node.input, input) : input;
  return runtime_.apply_filter(node.name, inner, evaluate_arguments(node.arguments));
}

Value Evaluator::operator()(const TestExpr& node) {
  const int line = line_;
  const Value input = evaluate(*node.input);
  const Arguments arguments = evaluate_arguments(node.arguments);
  line_ = line;
  return Value::boolean(runtime_.apply_test(node.name, input, arguments));
}

Value Evaluator::operator()(const UnaryExpr& node) {
  const Value operand = evaluate(*node.operand);
  if (node.op == UnaryOperator::kNot) return Value::boolean(!is_true(operand));
  return node.op == UnaryOperator::kNegate ? negate(operand) : affirm(operand);
}

Value Evaluator::operator()(const BinaryExpr& node) {
  const int line = line_;
  const Value left = evaluate(*node.left);
  const Value right = evaluate(*node.right);
  line_ = line;
  return apply_operator(runtime_, node.op, left, right);
}

Value Evaluator::operator()(const LogicExpr& node) {
  Value left = evaluate(*node.left);
  return is_true(left) == node.is_and ? evaluate(*node.right) : left;
}

Value Evaluator::operator()(const CompareExpr& node) {
  Value left = evaluate(*node.first);
  for (const auto& [comparison, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compare(runtime_, comparison, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Evaluator::operator()(const ConditionalExpr& node) {
  const int line = line_;
  if (is_true(evaluate(*node.condition))) return evaluate(*node.then);
  if (node.otherwise) return evaluate(*node.otherwise);
  return Value::undefined("the inline if-expression on line " + std::to_string(line) +
                          " evaluated to false and no else section was defined.");
}

Value Evaluator::operator()(const ConcatExpr& node) {
  std::string text;
  for (const ExprPtr& part : node.parts) {
    text += runtime_.to_text(evaluate(*part));
    if (text.size() > runtime_.budget().limits().text_bytes) runtime_.budget().spend_text(text.size());
  }
  return runtime_.make_text(std::move(text));
}

Value Evaluator::operator()(const SequenceExpr& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const ExprPtr& item : node.items) items.push_back(evaluate(*item));
  return Value::sequence(node.kind, std::move(items));
}

Value Evaluator::operator()(const DictExpr& node) {
  Dict dict;
  for (const auto& [key, value] : node.entries) {
    const Value made = evaluate(*key);
    dict.set(made, evaluate(*value), runtime_.budget());
  }
  return Value::dict(std::move(dict));
}

Value Evaluator::make_macro(std::shared_ptr<const MacroBody> macro) {
  captured_.push_back(scope_);
  return Value::object(std::make_shared<Macro>(*this, std::move(macro), scope_));
}

namespace {

const Value* find_named(const Arguments& arguments, const std::string& name) {
  for (const auto& [known, value] : arguments.named) {
    if (known == name) return &value;
  }
  return nullptr;
}

/// The keyword arguments that fill no parameter and are not the caller.
Dict extra_keywords(const MacroBody& macro, const Arguments& arguments, Budget& budget) {
  Dict extra;
  const std::vector<std::string>& names = macro.signature.names;
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    const bool fills =
        at != names.end() && static_cast<size_t>(at - names.begin()) >= arguments.positional.size();
    if (!fills && !(name == "caller" && macro.uses_caller)) extra.set(Value::text(name), value, budget);
  }
  return extra;
}

}  // namespace

void Evaluator::bind_parameters(const MacroBody& macro, Scope& scope, const Arguments& arguments) {
  const std::vector<std::string>& names = macro.signature.names;
  const size_t first_default = names.size() - macro.signature.defaults.size();
  for (size_t i = 0; i < names.size(); ++i) {
    if (i < arguments.positional.size()) {
      scope.set(names[i], arguments.positional[i]);
    } else if (const Value* named = find_named(arguments, names[i])) {
      scope.set(names[i], *named);
    } else if (i >= first_default) {
      scope.set(names[i], evaluate(*macro.signature.defaults[i - first_default]));
    } else {
      scope.set(names[i], Value::undefined("parameter " + quote(names[i]) + " was not provided"));
    }
  }
}

Value Evaluator::run_macro(const MacroBody& macro, const std::shared_ptr<Scope>& closure,
                           const Arguments& arguments) {
  Budget& budget = runtime_.budget();
  const std::vector<std::string>& names = macro.signature.names;
  const Dict extra = extra_keywords(macro, arguments, budget);
  if (!macro.uses_kwargs && extra.size() > 0) {
    fail("macro " + quote(macro.name) + " takes no keyword argument " +
         show(extra.entries()[0].first, budget));
  }
  if (!macro.uses_varargs && arguments.positional.size() > names.size()) {
    fail("macro " + quote(macro.name) + " takes not more than " + std::to_string(names.size()) +
         " argument(s)");
  }
  const auto scope = std::make_shared<Scope>(closure);
  std::string out;
  const Frame frame(*this, scope, &out);
  if (macro.uses_caller && std::find(names.begin(), names.end(), "caller") == names.end()) {
    const Value* caller = find_named(arguments, "caller");
    scope->set("caller", caller ? *caller : Value::undefined("No caller defined"));
  }
  if (macro.uses_kwargs) scope->set("kwargs", Value::dict(extra));
  if (macro.uses_varargs) {
    const size_t taken = std::min(names.size(), arguments.positional.size());
    scope->set("varargs", Value::tuple({arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken),
                                        arguments.positional.end()}));
  }
  bind_parameters(macro, *scope, arguments);
  execute(macro.body);
  return runtime_.make_text(std::move(out));
}

}  // namespace assay::jinja
