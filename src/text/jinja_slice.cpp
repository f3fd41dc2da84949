#include <algorithm>

#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

/// Python's slice.indices(): the first index, the end, and the step over `size` items.
struct SliceRange {
  int64_t start, stop, step;
};

int64_t clamp_index(int64_t index, int64_t size, int64_t step) {
  if (index < 0) index = std::max<int64_t>(index + size, step < 0 ? -1 : 0);
  return std::min(index, step < 0 ? size - 1 : size);
}

SliceRange resolve_slice(int64_t size, std::optional<int64_t> start, std::optional<int64_t> stop,
                         int64_t step) {
  SliceRange range{};
  // A step beyond the size takes one item whatever its value; bounding it keeps the sums from overflowing.
  range.step = std::clamp<int64_t>(step, -size - 1, size + 1);
  range.start = start ? clamp_index(*start, size, step) : (step < 0 ? size - 1 : 0);
  range.stop = stop ? clamp_index(*stop, size, step) : (step < 0 ? -1 : size);
  return range;
}

template <typename Take>
void for_each_in(const SliceRange& range, Take take) {
  for (int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop; i += range.step) {
    take(static_cast<size_t>(i));
  }
}

void require_sliceable(const Value& value) {
  if (value.as_dict()) fail("unhashable type: 'slice'");
  const Sequence* sequence = value.as_sequence();
  if (value.is_text() || (sequence && is_subscriptable(*sequence))) return;
  fail("'" + value.type_name() + "' object is not subscriptable");
}

}  // namespace

Value Runtime::slice(const Value& of, const Value& start, const Value& stop, const Value& step) {
  require_defined(of);
  const Sequence* sequence = of.as_sequence();
  const std::string* text = of.as_text();
  require_sliceable(of);
  for (const Value* part : {&start, &stop, &step}) {
    if (!part->is_none() && !part->integral()) fail("slice indices must be integers or None");
  }
  const int64_t stride = step.integral().value_or(1);
  if (stride == 0) fail("slice step cannot be zero");
  if (text) {
    budget_.spend_text(text->size());
    const std::u32string points = decode_utf8(*text);
    std::u32string out;
    for_each_in(resolve_slice(static_cast<int64_t>(points.size()), start.integral(), stop.integral(), stride),
                [&](size_t i) { out += points[i]; });
    return make_text(encode_utf8(out), of.is_safe_text());
  }
  std::vector<Value> items;
  for_each_in(
      resolve_slice(static_cast<int64_t>(sequence->items.size()), start.integral(), stop.integral(), stride),
      [&](size_t i) { items.push_back(sequence->items[i]); });
  budget_.spend(items.size());
  return Value::sequence(sequence->kind == SequenceKind::kTuple ? SequenceKind::kTuple : SequenceKind::kList,
                         std::move(items));
}

}  // namespace assay::jinja
