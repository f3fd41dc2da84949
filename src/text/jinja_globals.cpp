#include <algorithm>
#include <ctime>

#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

/// What dict() and namespace() take: a mapping or pairs, then keywords.
Dict dict_from(Runtime& runtime, const char* callee, const Arguments& arguments) {
  Dict dict;
  if (arguments.positional.size() > 1) fail(std::string(callee) + "() takes at most 1 positional argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (const Dict* other = source.as_dict()) {
      dict = *other;
      runtime.budget().spend(other->size());
    } else {
      for (const Value& pair : runtime.collect(source)) {
        const std::vector<Value> parts = runtime.collect(pair);
        if (parts.size() != 2) fail(std::string(callee) + "() needs pairs of key and value");
        dict.set(parts[0], parts[1], runtime.budget());
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(Value::text(name), value, runtime.budget());
  return dict;
}

Value make_dict(Runtime& runtime, const Value&, const Arguments& arguments) {
  return Value::dict(dict_from(runtime, "dict", arguments));
}

Value make_namespace(Runtime& runtime, const Value&, const Arguments& arguments) {
  auto made = std::make_shared<Namespace>();
  const Dict entries = dict_from(runtime, "namespace", arguments);
  for (const auto& [key, value] : entries.entries()) {
    if (const std::string* name = key.as_text()) made->set(*name, value, runtime.budget());
  }
  runtime.keep(made);
  return Value::object(std::move(made));
}

std::string show_range(int64_t start, int64_t stop, int64_t step) {
  std::string shown = "range(" + std::to_string(start) + ", " + std::to_string(stop);
  if (step != 1) shown += ", " + std::to_string(step);
  return shown + ")";
}

Value make_range(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Bound bound("range", arguments, {"*start", "*stop", "*step"}, 1);
  const bool only_stop = !bound.has(1);
  const int64_t start = only_stop ? 0 : bound.integer(0, 0);
  const int64_t stop = bound.integer(only_stop ? 0 : 1, 0);
  const int64_t step = bound.integer(2, 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  // In 128 bits nothing overflows.
  const __int128 span = step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const __int128 stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > kMaxRange) {
    fail("Range too big. The sandbox blocks ranges larger than " + std::to_string(kMaxRange) + ".");
  }
  runtime.budget().spend(static_cast<uint64_t>(count));
  Sequence range;
  range.kind = SequenceKind::kRange;
  range.shown = show_range(start, stop, step);
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i)
    range.items.push_back(Value::integer(start + i * step));
  return Value(Value::Storage(std::make_shared<const Sequence>(std::move(range))));
}

Value raise(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  Failure failure(runtime.to_text(bound.value(0)));
  failure.raised = true;
  throw failure;
}

Value format_now(Runtime& runtime, const Value&, const Arguments& arguments) {
  const std::string format = Bound("strftime_now", arguments, {"format"}, 1).text(0, {});
  if (format.empty()) return Value::text("");
  const auto now = static_cast<std::time_t>(runtime.now());
  std::tm local{};
  localtime_r(&now, &local);
  runtime.budget().spend_text(format.size() * 32);
  // A leading mark tells an empty result from a buffer that is too small. Fields of huge width are refused.
  std::string out(format.size() * 32 + 64, '\0');
  const size_t length = std::strftime(out.data(), out.size(), ("x" + format).c_str(), &local);
  if (length == 0) fail("strftime_now(): the formatted time is too long");
  return runtime.make_text(out.substr(1, length - 1));
}

/// cycler("a", "b"): next() goes round, current stays, reset() starts again.
class Cycler : public Object {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {
    for (const Value& item : items_) depth_ = std::max(depth_, check_depth(item.depth() + 1));
  }
  std::string type_name() const override { return "Cycler"; }
  std::optional<Value> attribute(const std::string& name) override;
  int depth() const noexcept override { return depth_; }
  Value next() {
    const Value item = items_[at_];
    at_ = (at_ + 1) % items_.size();
    return item;
  }
  void reset() { at_ = 0; }
  std::weak_ptr<Object> self;

 private:
  std::vector<Value> items_;
  size_t at_ = 0;
  int depth_ = 0;
};

Value advance_cycler(Runtime&, const Value& self, const Arguments&) {
  return self.as_object_of<Cycler>()->next();
}

Value reset_cycler(Runtime&, const Value& self, const Arguments&) {
  self.as_object_of<Cycler>()->reset();
  return Value::none();
}

std::optional<Value> Cycler::attribute(const std::string& name) {
  if (name == "current") return items_[at_];
  if (name == "next") return make_bound(name, advance_cycler, Value::object(self.lock()));
  if (name == "reset") return make_bound(name, reset_cycler, Value::object(self.lock()));
  return std::nullopt;
}

Value make_cycler(Runtime&, const Value&, const Arguments& arguments) {
  if (arguments.positional.empty()) fail("at least one item has to be provided");
  auto cycler = std::make_shared<Cycler>(arguments.positional);
  cycler->self = cycler;
  return Value::object(std::move(cycler));
}

/// joiner(", "): nothing the first time it is called, the separator from then on.
class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool is_callable() const override { return true; }
  int depth() const noexcept override { return separator_.depth() + 1; }
  Value call(Runtime&, const Arguments&) override {
    if (used_) return separator_;
    used_ = true;
    return Value::text("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value make_joiner(Runtime&, const Value&, const Arguments& arguments) {
  const Bound bound("joiner", arguments, {"sep"});
  const Value separator = bound.has(0) ? bound.value(0) : Value::text(", ");
  check_depth(separator.depth() + 1);
  return Value::object(std::make_shared<Joiner>(separator));
}

}  // namespace

std::optional<Value> Namespace::attribute(const std::string& name) {
  const Value* found = entries_.find(name);
  return found ? std::optional<Value>(*found) : std::nullopt;
}

void Namespace::set(const std::string& name, Value value, Budget& budget) {
  if (!name.empty() && name[0] == '_') fail("a namespace cannot hold the private name " + quote(name));
  entries_.set(Value::text(name), std::move(value), budget);
}

std::string Namespace::show(Budget& budget) const {
  return "<Namespace " + jinja::show(Value::dict(entries_), budget) + ">";
}

std::optional<Value> find_global(Runtime&, const std::string& name) {
  static constexpr std::pair<std::string_view, Native> kGlobals[] = {
      {"range", make_range},        {"dict", make_dict},     {"namespace", make_namespace},
      {"raise_exception", raise},   {"cycler", make_cycler}, {"joiner", make_joiner},
      {"strftime_now", format_now},
  };
  for (const auto& [known, native] : kGlobals) {
    if (known == name) return make_bound(name, native, Value::none());
  }
  return std::nullopt;
}

}  // namespace assay::jinja
