#include "text/jinja_runtime.hpp"

#include <algorithm>

#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

class Generator : public Object {
 public:
  Generator(Stream next, int depth, const char* type) : next_(std::move(next)), depth_(depth), type_(type) {}
  std::string type_name() const override { return type_; }
  Stream* stream() override { return &next_; }
  int depth() const noexcept override { return depth_; }

 private:
  Stream next_;
  int depth_;
  const char* type_;
};

class BoundNative : public Object {
 public:
  BoundNative(std::string name, Native native, Value self)
      : name_(std::move(name)),
        native_(native),
        self_(std::move(self)),
        depth_(check_depth(self_.depth() + 1)) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  std::string show(Budget&) const override { return "<built-in method " + name_ + ">"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, const Arguments& arguments) override {
    return native_(runtime, self_, arguments);
  }
  int depth() const noexcept override { return depth_; }

 private:
  std::string name_;
  Native native_;
  Value self_;
  int depth_;
};

/// "dict object", "None": how Jinja2 names what an attribute was missing from.
std::string describe(const Value& value) {
  return value.is_none() ? "None" : value.type_name() + " object";
}

Value missing(Runtime& runtime, const Value& of, const Value& key) {
  if (const std::string* name = key.as_text()) {
    return Value::undefined("'" + describe(of) + "' has no attribute " + quote(*name));
  }
  return Value::undefined(describe(of) + " has no element " + show(key, runtime.budget()));
}

bool is_hashable(const Value& value) {
  const Sequence* sequence = value.as_sequence();
  if (value.as_dict()) return false;
  if (sequence == nullptr) return true;
  if (sequence->kind == SequenceKind::kTuple) {
    return std::all_of(sequence->items.begin(), sequence->items.end(), is_hashable);
  }
  return sequence->kind == SequenceKind::kRange;
}

/// `of[key]` where Python has it.
std::optional<Value> subscript(Runtime& runtime, const Value& of, const Value& key) {
  if (const Dict* dict = of.as_dict()) {
    if (!is_hashable(key)) return std::nullopt;
    const Value* found = dict->find(key, runtime.budget());
    return found ? std::optional<Value>(*found) : std::nullopt;
  }
  const auto index = key.integral();
  if (!index) return std::nullopt;
  if (const std::string* text = of.as_text()) {
    const Value end = *index == -1 ? Value::none() : Value::integer(*index + 1);
    Value one = runtime.slice(of, Value::integer(*index), end, Value::none());
    return one.as_text()->empty() || text->empty() ? std::nullopt : std::optional<Value>(one);
  }
  const Sequence* sequence = of.as_sequence();
  if (sequence == nullptr || !is_subscriptable(*sequence)) return std::nullopt;
  const auto size = static_cast<int64_t>(sequence->items.size());
  const int64_t at = *index < 0 ? *index + size : *index;
  if (at < 0 || at >= size) return std::nullopt;
  return sequence->items[static_cast<size_t>(at)];
}

}  // namespace

Runtime::~Runtime() {
  // Every kept object is still held while each lets go of its references, so nothing is freed recursively.
  for (const auto& object : kept_) object->release();
}

Value Runtime::attribute(const Value& of, const std::string& name) {
  require_defined(of);
  budget_.spend();
  const bool is_private = !name.empty() && name[0] == '_';
  if (!is_private) {
    if (Object* object = of.as_object()) {
      if (auto found = object->attribute(name)) return *found;
    }
    if (auto found = find_plain_attribute(of, name)) return *found;
    if (const Native method = find_method(of, name)) return make_bound(name, method, of);
  } else if (name.starts_with("__") && name.ends_with("__")) {
    return Value::undefined("access to attribute " + quote(name) + " of '" + of.type_name() +
                            "' object is unsafe");
  }
  if (const Dict* dict = of.as_dict()) {
    if (const Value* found = dict->find(name)) return *found;
  }
  return missing(*this, of, Value::text(name));
}

Value Runtime::item(const Value& of, const Value& key) {
  require_defined(of);
  budget_.spend();
  if (auto found = subscript(*this, of, key)) return *found;
  if (const std::string* name = key.as_text()) return attribute(of, *name);
  return missing(*this, of, key);
}

Value Runtime::follow_path(const Value& from, const Value& path, const Value* fallback) {
  if (path.is_none()) return from;
  Value at = from;
  const auto step = [&](const Value& part) {
    at = item(at, part);
    if (fallback && !fallback->is_none() && at.is_undefined()) at = *fallback;
  };
  const std::string* text = path.as_text();
  if (text == nullptr) {
    step(path);
    return at;
  }
  for (const std::string& part : split(*text, ".", -1)) {
    const bool digits = !part.empty() && part.size() < 18 &&
                        std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    step(digits ? Value::integer(std::stoll(part)) : Value::text(part));
  }
  return at;
}

Value Runtime::call(const Value& callee, const Arguments& arguments) {
  require_defined(callee);
  const DepthGuard guard(budget_);
  budget_.spend();
  const auto* held = std::get_if<std::shared_ptr<Object>>(&callee.storage());
  if (held == nullptr) fail("'" + callee.type_name() + "' object is not callable");
  const std::shared_ptr<Object> alive = *held;
  return alive->call(*this, arguments);
}

Value Runtime::apply_filter(const std::string& name, const Value& input, const Arguments& arguments) {
  budget_.spend();
  const Native filter = find_filter(name);
  if (filter == nullptr) fail("No filter named " + quote(name) + ".");
  return filter(*this, input, arguments);
}

bool Runtime::apply_test(const std::string& name, const Value& input, const Arguments& arguments) {
  budget_.spend();
  const NativeTest test = find_test(name);
  if (test == nullptr) fail("No test named " + quote(name) + ".");
  return test(*this, input, arguments);
}

namespace {

Stream iterate_items(Budget& budget, std::shared_ptr<const Sequence> sequence) {
  return [&budget, sequence, i = size_t{0}]() mutable -> std::optional<Value> {
    if (i >= sequence->items.size()) return std::nullopt;
    budget.spend();
    return sequence->items[i++];
  };
}

Stream iterate_keys(Budget& budget, std::shared_ptr<const Dict> dict) {
  return [&budget, dict, i = size_t{0}]() mutable -> std::optional<Value> {
    if (i >= dict->size()) return std::nullopt;
    budget.spend();
    return dict->entries()[i++].first;
  };
}

Stream iterate_characters(Budget& budget, const Value& text) {
  budget.spend_text(text.as_text()->size());
  return [&budget, points = decode_utf8(*text.as_text()), i = size_t{0}]() mutable -> std::optional<Value> {
    if (i >= points.size()) return std::nullopt;
    budget.spend();
    return Value::text(encode_utf8(points.substr(i++, 1)));
  };
}

}  // namespace

Stream Runtime::iterate(const Value& iterable) {
  if (iterable.is_text()) return iterate_characters(budget_, iterable);
  const auto& storage = iterable.storage();
  if (const auto* sequence = std::get_if<std::shared_ptr<const Sequence>>(&storage)) {
    return iterate_items(budget_, *sequence);
  }
  if (const auto* dict = std::get_if<std::shared_ptr<const Dict>>(&storage))
    return iterate_keys(budget_, *dict);
  if (iterable.is_undefined()) return [] { return std::optional<Value>(); };
  if (const auto* object = std::get_if<std::shared_ptr<Object>>(&storage)) {
    if ((*object)->stream() != nullptr) {
      return [this, held = *object]() -> std::optional<Value> {
        const DepthGuard guard(budget_);
        budget_.spend();
        return (*held->stream())();
      };
    }
  }
  fail("'" + iterable.type_name() + "' object is not iterable");
}

std::vector<Value> Runtime::collect(const Value& iterable) {
  std::vector<Value> items;
  Stream next = iterate(iterable);
  while (auto item = next()) items.push_back(std::move(*item));
  return items;
}

Value Runtime::make_text(std::string text, bool safe) {
  budget_.spend_text(text.size());
  return Value::text(std::move(text), safe);
}

std::string Runtime::to_text(const Value& value) {
  std::string text = jinja::to_text(value, budget_);
  budget_.spend_text(text.size());
  return text;
}

Value make_bound(std::string name, Native native, Value self) {
  return Value::object(std::make_shared<BoundNative>(std::move(name), native, std::move(self)));
}

Value make_generator(Stream next, int source_depth, const char* type) {
  return Value::object(std::make_shared<Generator>(std::move(next), check_depth(source_depth + 1), type));
}

}  // namespace assay::jinja
