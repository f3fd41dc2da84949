#include "text/jinja_callables.hpp"

#include "text/jinja_text.hpp"

namespace assay::jinja {

std::string Macro::show(Budget&) const {
  return "<Macro " + quote(body_->name) + ">";
}

std::optional<Value> Macro::attribute(const std::string& name) {
  if (name == "name") return Value::text(body_->name);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const std::string& each : body_->signature.names) names.push_back(Value::text(each));
    return Value::tuple(std::move(names));
  }
  if (name == "catch_kwargs") return Value::boolean(body_->uses_kwargs);
  if (name == "catch_varargs") return Value::boolean(body_->uses_varargs);
  if (name == "caller") return Value::boolean(body_->uses_caller);
  return std::nullopt;
}

Value Macro::call(Runtime&, const Arguments& arguments) {
  return evaluator_.run_macro(*body_, closure_, arguments);
}

std::optional<Value> Loop::advance() {
  std::optional<Value> item;
  if (peeked_) {
    item = std::exchange(after_, std::nullopt);
    peeked_ = false;
  } else {
    item = items_();
  }
  if (!item) return std::nullopt;
  ++index0_;
  before_ = std::exchange(current_, *item);
  return item;
}

void Loop::finish() {
  // What iterates may refer to the scope that holds this loop.
  outer_.reset();
}

void Loop::release() {
  last_changed_.reset();
  outer_.reset();
}

const std::optional<Value>& Loop::peek() {
  if (!peeked_) {
    after_ = items_();
    peeked_ = true;
  }
  return after_;
}

int64_t Loop::total() {
  if (length_) return *length_;
  std::vector<Value> rest;
  if (peeked_ && after_) rest.push_back(*after_);
  if (!peeked_ || after_) {
    while (auto item = items_()) rest.push_back(std::move(*item));
  }
  peeked_ = false;
  after_.reset();
  length_ = index0_ + 1 + static_cast<int64_t>(rest.size());
  items_ = [rest = std::move(rest), i = size_t{0}]() mutable -> std::optional<Value> {
    if (i >= rest.size()) return std::nullopt;
    return rest[i++];
  };
  return *length_;
}

namespace {

Value call_cycle(Runtime&, const Value& self, const Arguments& arguments) {
  return self.as_object_of<Loop>()->cycle(arguments);
}

Value call_changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return self.as_object_of<Loop>()->changed(runtime, arguments);
}

}  // namespace

std::optional<Value> Loop::attribute(const std::string& name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek().has_value());
  if (name == "length") return Value::integer(total());
  if (name == "revindex") return Value::integer(total() - index0_);
  if (name == "revindex0") return Value::integer(total() - index0_ - 1);
  if (name == "depth") return Value::integer(depth0_ + 1);
  if (name == "depth0") return Value::integer(depth0_);
  if (name == "previtem") return index0_ == 0 ? Value::undefined("there is no previous item") : before_;
  if (name == "nextitem") return peek() ? *peek() : Value::undefined("there is no next item");
  if (name == "cycle") return make_bound(name, call_cycle, Value::object(shared_from_this()));
  if (name == "changed") return make_bound(name, call_changed, Value::object(shared_from_this()));
  return std::nullopt;
}

Value Loop::cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) fail("no items for cycling given");
  return arguments.positional[static_cast<size_t>(index0_) % arguments.positional.size()];
}

Value Loop::changed(Runtime& runtime, const Arguments& arguments) {
  const Value now = Value::tuple(arguments.positional);
  if (last_changed_ && equals(*last_changed_, now, runtime.budget())) return Value::boolean(false);
  // From here on the loop may refer to itself.
  if (!last_changed_) runtime.keep(shared_from_this());
  last_changed_ = now;
  return Value::boolean(true);
}

Value Loop::call(Runtime&, const Arguments& arguments) {
  const Value iterable = Bound("loop", arguments, {"iterable"}, 1).value(0);
  if (!node_.recursive) fail("The loop must have the 'recursive' marker to be called recursively.");
  if (!outer_) fail("a loop was called after its end");
  const std::shared_ptr<Scope> outer = outer_;
  return Value::text(evaluator_.run_loop(node_, iterable, outer, depth0_ + 1));
}

}  // namespace assay::jinja
