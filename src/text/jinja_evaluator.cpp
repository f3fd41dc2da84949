#include "text/jinja_evaluator.hpp"

#include "text/jinja_callables.hpp"
#include "text/jinja_frame.hpp"
#include "text/jinja_text.hpp"

// Statements.
namespace assay::jinja {

const Value* Scope::find(const std::string& name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_.get()) {
    const auto at = scope->names_.find(name);
    if (at != scope->names_.end()) return &at->second;
  }
  return nullptr;
}

Evaluator::Evaluator(const Limits& limits, int64_t now, const Value& globals)
    : runtime_(limits, now), root_(std::make_shared<Scope>(nullptr)), scope_(root_) {
  for (const auto& [key, value] : globals.as_dict()->entries()) root_->set(*key.as_text(), value);
}

Evaluator::~Evaluator() {
  // Macros and the scopes that hold them refer to each other; all are still held while each is emptied.
  for (const auto& scope : captured_) scope->clear();
  root_->clear();
}

std::string Evaluator::render(const Body& body) {
  std::string out;
  // The template's own names stand below the given ones, which stay reachable for blocks.
  const Frame frame(*this, root_, &out);
  try {
    execute(body);
  } catch (Failure& failure) {
    if (failure.line == 0) failure.line = line_;
    throw;
  }
  return out;
}

void Evaluator::emit(std::string_view text) {
  runtime_.budget().spend_text(text.size());
  *out_ += text;
  if (out_->size() > runtime_.budget().limits().text_bytes) runtime_.budget().spend_text(out_->size());
}

std::string Evaluator::capture(const Body& body, std::shared_ptr<Scope> scope) {
  std::string out;
  const Frame frame(*this, std::move(scope), &out);
  execute(body);
  return out;
}

Evaluator::Flow Evaluator::execute(const Body& body) {
  const DepthGuard guard(runtime_.budget());
  for (const Statement& statement : body) {
    const Flow flow = execute_one(statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::execute_one(const Statement& statement) {
  line_ = statement.line;
  runtime_.budget().spend();
  return std::visit([this](const auto& node) { return (*this)(node); }, statement.node);
}

Evaluator::Flow Evaluator::operator()(const TextOutput& node) {
  emit(node.text);
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const Output& node) {
  const Value value = evaluate(*node.value);
  if (const std::string* text = value.as_text()) {
    emit(*text);
  } else {
    emit(to_text(value, runtime_.budget()));
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const If& node) {
  for (const auto& [condition, body] : node.branches) {
    if (is_true(evaluate(*condition))) return execute(body);
  }
  return execute(node.otherwise);
}

std::string Evaluator::run_loop(const For& loop, const Value& iterable, const std::shared_ptr<Scope>& outer,
                                int depth0) {
  std::string out;
  const Frame frame(*this, outer, &out);
  Stream items = runtime_.iterate(iterable);
  std::optional<int64_t> length;
  if (!loop.condition) {
    if (iterable.as_sequence() || iterable.as_dict() || iterable.is_text()) length = length_of(iterable);
  } else {
    items = [this, &loop, outer, items]() -> std::optional<Value> {
      while (auto item = items()) {
        const Frame inner(*this, std::make_shared<Scope>(outer));
        assign(*loop.target, *item);
        if (is_true(evaluate(*loop.condition))) return item;
      }
      return std::nullopt;
    };
  }
  const auto state =
      std::make_shared<Loop>(*this, loop, outer, std::move(items), length, depth0, iterable.depth());
  bool ran = false;
  while (auto item = state->advance()) {
    ran = true;
    const Frame inner(*this, std::make_shared<Scope>(outer));
    scope_->set("loop", Value::object(state));
    assign(*loop.target, *item);
    if (execute(loop.body) == Flow::kBreak) break;
  }
  state->finish();
  if (!ran) {
    const Frame inner(*this, std::make_shared<Scope>(outer));
    execute(loop.otherwise);
  }
  return out;
}

Evaluator::Flow Evaluator::operator()(const For& node) {
  const Value iterable = evaluate(*node.iterable);
  emit(run_loop(node, iterable, scope_, 0));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const Set& node) {
  assign(*node.target, evaluate(*node.value));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const SetBlock& node) {
  Value value = runtime_.make_text(capture(node.body, std::make_shared<Scope>(scope_)));
  if (node.filter) value = apply_filters(*node.filter, value);
  assign(*node.target, value);
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const MacroDefinition& node) {
  scope_->set(node.macro->name, make_macro(node.macro));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const CallBlock& node) {
  const Value caller = make_macro(node.caller);
  const Value result = call(std::get<CallExpr>(node.call->node), &caller);
  emit(runtime_.to_text(result));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const FilterBlock& node) {
  const Value input = runtime_.make_text(capture(node.body, std::make_shared<Scope>(scope_)));
  emit(runtime_.to_text(apply_filters(*node.filter, input)));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::operator()(const With& node) {
  std::vector<Value> values;
  for (const auto& [target, value] : node.bindings) values.push_back(evaluate(*value));
  const Frame frame(*this, std::make_shared<Scope>(scope_));
  for (size_t i = 0; i < values.size(); ++i) assign(*node.bindings[i].first, values[i]);
  return execute(node.body);
}

Evaluator::Flow Evaluator::operator()(const ScopedBody& node) {
  const Frame frame(*this, std::make_shared<Scope>(node.sees_locals ? scope_ : root_));
  execute(node.body);
  return Flow::kNext;
}

void Evaluator::assign(const Expr& target, const Value& value) {
  if (const auto* name = std::get_if<NameExpr>(&target.node)) {
    scope_->set(name->name, value);
  } else if (const auto* reference = std::get_if<NamespaceTarget>(&target.node)) {
    const Value* held = scope_->find(reference->name);
    auto* space = held ? held->as_object_of<Namespace>() : nullptr;
    if (space == nullptr) fail("cannot assign attribute on non-namespace object");
    space->set(reference->attribute, value, runtime_.budget());
  } else {
    assign_tuple(std::get<SequenceExpr>(target.node), value);
  }
}

void Evaluator::assign_tuple(const SequenceExpr& target, const Value& value) {
  const std::vector<Value> parts = runtime_.collect(value);
  if (parts.size() != target.items.size()) {
    fail(std::string(parts.size() < target.items.size() ? "not enough" : "too many") +
         " values to unpack (expected " + std::to_string(target.items.size()) + ", got " +
         std::to_string(parts.size()) + ")");
  }
  for (size_t i = 0; i < parts.size(); ++i) assign(*target.items[i], parts[i]);
}

}  // namespace assay::jinja
