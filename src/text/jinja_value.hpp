#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja_budget.hpp"

namespace assay::jinja {

class Value;
class Runtime;

/// What a template finds where nothing is: prints as nothing, iterates over nothing, and fails with `reason`
/// when it is used for anything else.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wmaybe-uninitialized"  // g++ 12 takes a moved variant's idle members for reads
#endif
/// A str. `safe` is Jinja2's Markup: the |safe and |escape filters make it, and joining it with plain text
/// escapes that text.
struct Text {
  std::shared_ptr<const std::string> bytes;
  bool safe = false;
};
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

enum class SequenceKind { kList, kTuple, kRange, kKeys, kValues, kItems };
struct Sequence;
class Dict;
class Object;

/// A value of the template language. Values never change once made (the sandbox refuses what would change
/// them), except for the state behind an Object.
class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const Sequence>,
                               std::shared_ptr<const Dict>, std::shared_ptr<Object>>;
  Value() = default;
  explicit Value(Storage storage) : storage_(std::move(storage)) {}

  static Value none() { return Value(Storage(None{})); }
  static Value boolean(bool value) { return Value(Storage(value)); }
  static Value integer(int64_t value) { return Value(Storage(value)); }
  static Value number(double value) { return Value(Storage(value)); }
  static Value text(std::string value, bool safe = false);
  static Value undefined(std::string reason);
  /// Throw Failure when the nesting exceeds kMaxValueDepth.
  static Value list(std::vector<Value> items) { return sequence(SequenceKind::kList, std::move(items)); }
  static Value tuple(std::vector<Value> items) { return sequence(SequenceKind::kTuple, std::move(items)); }
  static Value texts(std::vector<std::string> items, bool safe = false);
  static Value sequence(SequenceKind kind, std::vector<Value> items);
  static Value dict(Dict entries);
  static Value object(std::shared_ptr<Object> object) { return Value(Storage(std::move(object))); }

  bool is_undefined() const noexcept { return std::holds_alternative<Undefined>(storage_); }
  bool is_none() const noexcept { return std::holds_alternative<None>(storage_); }
  bool is_text() const noexcept { return std::holds_alternative<Text>(storage_); }
  const bool* as_bool() const noexcept { return std::get_if<bool>(&storage_); }
  const int64_t* as_int() const noexcept { return std::get_if<int64_t>(&storage_); }
  const double* as_float() const noexcept { return std::get_if<double>(&storage_); }
  /// The bytes of a str, or null.
  const std::string* as_text() const noexcept;
  bool is_safe_text() const noexcept;
  const Sequence* as_sequence() const noexcept;
  const Dict* as_dict() const noexcept;
  Object* as_object() const noexcept;
  template <typename T>
  T* as_object_of() const noexcept {
    return dynamic_cast<T*>(as_object());
  }
  const Storage& storage() const noexcept { return storage_; }

  /// The integer behind an int or a bool (Python's bool is an int).
  std::optional<int64_t> integral() const noexcept;
  /// True for bool, int and float.
  bool is_number() const noexcept;
  /// The number as a double; only for is_number().
  double to_double() const noexcept;
  /// Python's name of the type: "str", "dict", "NoneType", …
  std::string type_name() const;
  /// Levels of containers below and including this one; 0 for scalars.
  int depth() const noexcept;

 private:
  Storage storage_;
};

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;
  int depth = 1;
  std::string shown;     ///< repr() of a range; empty otherwise
  bool grouped = false;  ///< a (grouper, list) pair of the groupby filter, which has those attributes
};

/// Lists, tuples and ranges; the views of a dict are not.
bool is_subscriptable(const Sequence& sequence);

/// A dict: insertion order, keys compared as Python does (1, 1.0 and True are one key).
class Dict {
 public:
  /// Throws Failure when `key` is not hashable (a list, a dict).
  const Value* find(const Value& key, Budget& budget) const;
  const Value* find(const std::string& text_key) const;
  void set(const Value& key, Value value, Budget& budget);
  const std::vector<std::pair<Value, Value>>& entries() const noexcept { return entries_; }
  size_t size() const noexcept { return entries_.size(); }
  int depth() const noexcept { return depth_; }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, size_t> index_;  ///< hash key of each entry
  int depth_ = 1;
};

/// Positional and keyword arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Yields items one by one, nothing at the end.
using Stream = std::function<std::optional<Value>()>;

/// Values with identity or behaviour: namespaces, macros, functions, loops, generators.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::string show(Budget&) const { return "<" + type_name() + " object>"; }
  virtual std::optional<Value> attribute(const std::string&) { return std::nullopt; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Runtime& runtime, const Arguments& arguments);
  /// Non-null for iterators; an iterator is consumed by reading it.
  virtual Stream* stream() { return nullptr; }
  /// len(), where the object has one.
  virtual std::optional<int64_t> length() { return std::nullopt; }
  virtual int depth() const noexcept { return 0; }
  /// Drops every reference held, so that cycles do not outlive the rendering.
  virtual void release() {}
};

/// Throws Failure at kMaxValueDepth; returns `depth`.
int check_depth(int depth);

/// The template values of a JSON document. Throws Failure on integers beyond 64 bits and on deep nesting.
Value from_json(const nlohmann::ordered_json& json);

/// A text that stands for `key` in a dict: equal exactly for keys Python calls equal. Throws Failure when
/// the key is not hashable.
std::string hash_key(const Value& key, Budget& budget);

}  // namespace assay::jinja
