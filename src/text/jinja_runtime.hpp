#pragma once
#include <initializer_list>

#include "text/jinja_value.hpp"

namespace assay::jinja {

/// What operators, filters, tests and methods need of a running template.
class Runtime {
 public:
  /// `now`: seconds since the epoch, for strftime_now.
  Runtime(const Limits& limits, int64_t now) : budget_(limits), now_(now) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  /// Releases every kept object, so that cycles among them end here.
  ~Runtime();

  Budget& budget() noexcept { return budget_; }
  int64_t now() const noexcept { return now_; }

  /// `of.name`: Python's attribute first, then the item. Undefined when there is neither, and for attributes
  /// the immutable sandbox hides (underscore names, methods that change a list or dict).
  Value attribute(const Value& of, const std::string& name);
  /// `of[key]`: the item first, then the attribute.
  Value item(const Value& of, const Value& key);
  /// `of[start:stop:step]`; none() for a part left out.
  Value slice(const Value& of, const Value& start, const Value& stop, const Value& step);
  /// A path "a.b.0" as the `attribute` argument of filters: item() for each part.
  Value follow_path(const Value& from, const Value& path, const Value* fallback = nullptr);

  Value call(const Value& callee, const Arguments& arguments);
  /// Throw Failure when there is no such filter or test.
  Value apply_filter(const std::string& name, const Value& input, const Arguments& arguments);
  bool apply_test(const std::string& name, const Value& input, const Arguments& arguments);

  /// The items of an iterable, one by one (each costs a step); throws Failure when it is not iterable.
  Stream iterate(const Value& iterable);
  std::vector<Value> collect(const Value& iterable);
  /// A text value whose bytes are paid for.
  Value make_text(std::string text, bool safe = false);
  /// str() of the value.
  std::string to_text(const Value& value);

  /// Holds an object that may come to refer to itself until the rendering ends.
  void keep(std::shared_ptr<Object> object) { kept_.push_back(std::move(object)); }

 private:
  Budget budget_;
  int64_t now_;
  std::vector<std::shared_ptr<Object>> kept_;
};

/// A function of the language: a filter, a global, a method.
using Native = Value (*)(Runtime& runtime, const Value& self, const Arguments& arguments);
using NativeTest = bool (*)(Runtime& runtime, const Value& value, const Arguments& arguments);
/// Null when there is none of the name.
Native find_filter(std::string_view name) noexcept;
NativeTest find_test(std::string_view name) noexcept;
/// A method of the type of `self`.
Native find_method(const Value& self, std::string_view name) noexcept;
/// Attributes that are values (int.real, …), and what the sandbox hides. Nothing when there is no such
/// attribute, so that item access may follow.
std::optional<Value> find_plain_attribute(const Value& self, const std::string& name);
/// range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
std::optional<Value> find_global(Runtime& runtime, const std::string& name);

/// A function together with the value it works on.
Value make_bound(std::string name, Native native, Value self);
/// An iterator over `next`, made from something `source_depth` deep.
Value make_generator(Stream next, int source_depth, const char* type = "generator");

/// Arguments sorted into the parameters of a function, by position or by name.
class Bound {
 public:
  /// Names that start with '*' can only be given by position. Throws Failure on too many, unknown, doubled
  /// or missing (the first `required`) arguments.
  Bound(const char* callee, const Arguments& arguments, std::initializer_list<const char*> names,
        size_t required = 0);
  bool has(size_t i) const { return slots_[i].has_value(); }
  /// The argument, or none() when absent.
  Value value(size_t i) const { return slots_[i].value_or(Value::none()); }
  /// Typed access; a missing argument, or None where `none_is_absent`, gives the fallback.
  int64_t integer(size_t i, int64_t fallback) const;
  bool truth(size_t i, bool fallback) const;
  std::string text(size_t i, const std::string& fallback) const;
  std::optional<std::string> optional_text(size_t i) const;

 private:
  const char* callee_;
  std::vector<const char*> names_;
  std::vector<std::optional<Value>> slots_;
};

/// The attributes {{ ns.x }} reads and {% set ns.x %} writes.
class Namespace : public Object {
 public:
  std::string type_name() const override { return "Namespace"; }
  std::string show(Budget& budget) const override;
  std::optional<Value> attribute(const std::string& name) override;
  /// Throws Failure for names that start with an underscore.
  void set(const std::string& name, Value value, Budget& budget);
  void release() override { entries_ = Dict(); }

 private:
  Dict entries_;
};

/// json.dumps(): see the tojson filter.
std::string to_json(Runtime& runtime, const Value& value, const Arguments& options);

}  // namespace assay::jinja
