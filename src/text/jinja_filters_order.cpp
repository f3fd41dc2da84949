#include <algorithm>
#include <numeric>

#include "text/jinja_filter_table.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja::filters {
namespace {

Value fold_case(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_text()) return value;
  return runtime.make_text(to_lower(*value.as_text()));
}

/// The order that sorts `keys`; stable both ways.
std::vector<size_t> order_of(Runtime& runtime, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? is_less(keys[b], keys[a], runtime.budget())
                   : is_less(keys[a], keys[b], runtime.budget());
  });
  return order;
}

std::vector<Value> in_order(const std::vector<Value>& values, const std::vector<size_t>& order) {
  std::vector<Value> sorted;
  sorted.reserve(values.size());
  for (const size_t i : order) sorted.push_back(values[i]);
  return sorted;
}

/// The sort key for "a,b.c": one value per path, compared in turn.
Value sort_key(Runtime& runtime, const Value& item, const Value& attribute, bool case_sensitive) {
  const std::string* paths = attribute.as_text();
  if (paths == nullptr) return fold_case(runtime, runtime.follow_path(item, attribute), case_sensitive);
  std::vector<Value> keys;
  for (std::string& path : split(*paths, ",", -1)) {
    keys.push_back(
        fold_case(runtime, runtime.follow_path(item, Value::text(std::move(path))), case_sensitive));
  }
  return Value::list(std::move(keys));
}

Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments, bool largest) {
  const Bound bound(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const bool case_sensitive = bound.truth(0, false);
  Stream next = runtime.iterate(value);
  std::optional<Value> best;
  Value best_key;
  while (auto item = next()) {
    Value key = fold_case(runtime, runtime.follow_path(*item, bound.value(1)), case_sensitive);
    const bool better = !best || (largest ? is_less(best_key, key, runtime.budget())
                                          : is_less(key, best_key, runtime.budget()));
    if (!better) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return best ? *best : Value::undefined("No aggregated item, sequence was empty.");
}

Value make_group(Value grouper, std::vector<Value> members) {
  Sequence pair;
  pair.kind = SequenceKind::kTuple;
  pair.grouped = true;
  pair.items = {std::move(grouper), Value::list(std::move(members))};
  pair.depth = check_depth(1 + std::max(pair.items[0].depth(), pair.items[1].depth()));
  return Value(Value::Storage(std::make_shared<const Sequence>(std::move(pair))));
}

}  // namespace

Value sort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> all = runtime.collect(value);
  std::vector<Value> keys;
  keys.reserve(all.size());
  for (const Value& item : all) {
    keys.push_back(sort_key(runtime, item, bound.value(2), bound.truth(1, false)));
  }
  return Value::list(in_order(all, order_of(runtime, keys, bound.truth(0, false))));
}

Value dict_sort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.text(1, "key");
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  require_defined(value);
  const Dict* dict = value.as_dict();
  if (dict == nullptr) fail("'" + value.type_name() + "' object has no attribute 'items'");
  std::vector<Value> pairs;
  std::vector<Value> keys;
  for (const auto& [key, item] : dict->entries()) {
    runtime.budget().spend();
    pairs.push_back(Value::tuple({key, item}));
    keys.push_back(fold_case(runtime, by == "key" ? key : item, bound.truth(0, false)));
  }
  return Value::list(in_order(pairs, order_of(runtime, keys, bound.truth(2, false))));
}

Value unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Stream next = runtime.iterate(value);
  const bool case_sensitive = bound.truth(0, false);
  const Value path = bound.value(1);
  return make_generator(
      [&runtime, next, case_sensitive, path, seen = Dict()]() mutable -> std::optional<Value> {
        while (auto item = next()) {
          const Value key = fold_case(runtime, runtime.follow_path(*item, path), case_sensitive);
          if (seen.find(key, runtime.budget())) continue;
          seen.set(key, Value::none(), runtime.budget());
          return item;
        }
        return std::nullopt;
      },
      std::max(value.depth(), path.depth()));
}

Value min(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return extreme(runtime, value, arguments, false);
}

Value max(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return extreme(runtime, value, arguments, true);
}

Value group_by(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Value fallback = bound.value(1);
  const auto key_of = [&](const Value& item) { return runtime.follow_path(item, bound.value(0), &fallback); };
  const std::vector<Value> all = runtime.collect(value);
  std::vector<Value> keys;
  for (const Value& item : all) keys.push_back(fold_case(runtime, key_of(item), bound.truth(2, false)));
  const std::vector<size_t> order = order_of(runtime, keys, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < order.size();) {
    const size_t first = order[i];
    std::vector<Value> members;
    for (; i < order.size() && equals(keys[order[i]], keys[first], runtime.budget()); ++i) {
      members.push_back(all[order[i]]);
    }
    if (members.empty()) members.push_back(all[order[i++]]);  // NaN equals nothing, not even itself
    groups.push_back(make_group(key_of(all[first]), std::move(members)));
  }
  return Value::list(std::move(groups));
}

}  // namespace assay::jinja::filters
