#include "text/jinja_value.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace assay::jinja {

Value Value::text(std::string value, bool safe) {
  return Value(Storage(Text{std::make_shared<const std::string>(std::move(value)), safe}));
}

Value Value::undefined(std::string reason) {
  return Value(Storage(Undefined{std::make_shared<const std::string>(std::move(reason))}));
}

Value Value::texts(std::vector<std::string> items, bool safe) {
  std::vector<Value> values;
  values.reserve(items.size());
  for (std::string& item : items) values.push_back(text(std::move(item), safe));
  return list(std::move(values));
}

Value Value::sequence(SequenceKind kind, std::vector<Value> items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return Value(Storage(
      std::make_shared<const Sequence>(Sequence{kind, std::move(items), check_depth(depth + 1), {}, false})));
}

Value Value::dict(Dict entries) {
  return Value(Storage(std::make_shared<const Dict>(std::move(entries))));
}

const std::string* Value::as_text() const noexcept {
  const Text* held = std::get_if<Text>(&storage_);
  return held ? held->bytes.get() : nullptr;
}

bool Value::is_safe_text() const noexcept {
  const Text* held = std::get_if<Text>(&storage_);
  return held && held->safe;
}

const Sequence* Value::as_sequence() const noexcept {
  const auto* held = std::get_if<std::shared_ptr<const Sequence>>(&storage_);
  return held ? held->get() : nullptr;
}

const Dict* Value::as_dict() const noexcept {
  const auto* held = std::get_if<std::shared_ptr<const Dict>>(&storage_);
  return held ? held->get() : nullptr;
}

Object* Value::as_object() const noexcept {
  const auto* held = std::get_if<std::shared_ptr<Object>>(&storage_);
  return held ? held->get() : nullptr;
}

std::optional<int64_t> Value::integral() const noexcept {
  if (const int64_t* held = as_int()) return *held;
  if (const bool* held = as_bool()) return *held ? 1 : 0;
  return std::nullopt;
}

bool Value::is_number() const noexcept {
  return as_int() || as_bool() || as_float();
}

double Value::to_double() const noexcept {
  if (const double* held = as_float()) return *held;
  return static_cast<double>(integral().value_or(0));
}

std::string Value::type_name() const {
  static constexpr const char* kScalars[] = {"Undefined", "NoneType", "bool", "int", "float"};
  static constexpr const char* kSequences[] = {"list",      "tuple",       "range",
                                               "dict_keys", "dict_values", "dict_items"};
  if (storage_.index() < std::size(kScalars)) return kScalars[storage_.index()];
  if (is_text()) return is_safe_text() ? "Markup" : "str";
  if (const Sequence* sequence = as_sequence()) return kSequences[static_cast<size_t>(sequence->kind)];
  if (as_dict()) return "dict";
  return as_object()->type_name();
}

int Value::depth() const noexcept {
  if (const Sequence* sequence = as_sequence()) return sequence->depth;
  if (const Dict* dict = as_dict()) return dict->depth();
  if (const Object* object = as_object()) return object->depth();
  return 0;
}

Value Object::call(Runtime&, const Arguments&) {
  fail("'" + type_name() + "' object is not callable");
}

bool is_subscriptable(const Sequence& sequence) {
  return sequence.kind == SequenceKind::kList || sequence.kind == SequenceKind::kTuple ||
         sequence.kind == SequenceKind::kRange;
}

int check_depth(int depth) {
  if (depth > kMaxValueDepth) {
    fail("values nest more than " + std::to_string(kMaxValueDepth) + " levels deep");
  }
  return depth;
}

const Value* Dict::find(const Value& key, Budget& budget) const {
  const auto at = index_.find(hash_key(key, budget));
  return at == index_.end() ? nullptr : &entries_[at->second].second;
}

const Value* Dict::find(const std::string& text_key) const {
  const auto at = index_.find("s" + text_key);
  return at == index_.end() ? nullptr : &entries_[at->second].second;
}

void Dict::set(const Value& key, Value value, Budget& budget) {
  const auto [at, fresh] = index_.emplace(hash_key(key, budget), entries_.size());
  depth_ = std::max(depth_, check_depth(1 + std::max(key.depth(), value.depth())));
  if (fresh) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[at->second].second = std::move(value);
  }
}

namespace {

/// Whole floats share the key of the int they equal.
std::string hash_number(double value) {
  if (value == std::floor(value) && std::fabs(value) < 9.2e18) {
    return "n" + std::to_string(static_cast<int64_t>(value));
  }
  char bits[sizeof value];
  std::memcpy(bits, &value, sizeof value);
  return "f" + std::string(bits, sizeof bits);
}

std::string hash_tuple(const Sequence& tuple, Budget& budget) {
  std::string out = "t";
  for (const Value& item : tuple.items) {
    const std::string key = hash_key(item, budget);
    budget.spend_text(out.size() + key.size());
    out += std::to_string(key.size()) + ":" + key;
  }
  return out;
}

}  // namespace

std::string hash_key(const Value& key, Budget& budget) {
  budget.spend();
  if (const std::string* text = key.as_text()) {
    budget.spend_text(text->size());
    return "s" + *text;
  }
  if (const auto integer = key.integral()) return "n" + std::to_string(*integer);
  if (const double* number = key.as_float()) return hash_number(*number);
  if (key.is_none()) return "N";
  if (key.is_undefined()) return "U";
  const Sequence* sequence = key.as_sequence();
  if (sequence && sequence->kind == SequenceKind::kTuple) return hash_tuple(*sequence, budget);
  if (sequence && sequence->kind == SequenceKind::kRange) return "r" + sequence->shown;
  if (const Object* object = key.as_object()) {
    return "o" + std::to_string(reinterpret_cast<uintptr_t>(object));
  }
  fail("unhashable type: '" + key.type_name() + "'");
}

namespace {

Value from_json_at(const nlohmann::ordered_json& json, int depth, Budget& budget);

Value dict_from_json(const nlohmann::ordered_json& json, int depth, Budget& budget) {
  Dict dict;
  for (const auto& [key, value] : json.items()) {
    dict.set(Value::text(key), from_json_at(value, depth + 1, budget), budget);
  }
  return Value::dict(std::move(dict));
}

Value list_from_json(const nlohmann::ordered_json& json, int depth, Budget& budget) {
  std::vector<Value> items;
  items.reserve(json.size());
  for (const auto& item : json) items.push_back(from_json_at(item, depth + 1, budget));
  return Value::list(std::move(items));
}

Value from_json_at(const nlohmann::ordered_json& json, int depth, Budget& budget) {
  check_depth(depth);
  if (json.is_object()) return dict_from_json(json, depth, budget);
  if (json.is_array()) return list_from_json(json, depth, budget);
  if (json.is_string()) return Value::text(json.get_ref<const std::string&>());
  if (json.is_boolean()) return Value::boolean(json.get<bool>());
  if (json.is_number_float()) return Value::number(json.get<double>());
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    fail("a value holds an integer beyond 64 bits: " + json.dump());
  }
  if (json.is_number_integer()) return Value::integer(json.get<int64_t>());
  return Value::none();
}

}  // namespace

Value from_json(const nlohmann::ordered_json& json) {
  Limits unlimited;
  unlimited.steps = std::numeric_limits<uint64_t>::max();
  unlimited.text_bytes = std::numeric_limits<uint64_t>::max();
  Budget budget(unlimited);
  return from_json_at(json, 0, budget);
}

}  // namespace assay::jinja
