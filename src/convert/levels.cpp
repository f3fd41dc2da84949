#include "convert/levels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/half.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

constexpr int64_t kMaxRows = 64, kMaxCols = 4096;
constexpr size_t kLeastValues = 4096;
/// Ternary and binary weights are a trained thing of their own, not a rounding of others.
constexpr size_t kTernary = 3;
constexpr size_t kMostLevels = 256;
constexpr size_t kLeastWindows = 16;

/// A window length, the number of levels that condemns it, and what it would have come from. Genuine 16-bit
/// weights have at least 0.9 distinct values per value in windows up to 256 and 0.6 in windows of 1024.
struct WindowRule {
  size_t length, most_levels;
};
constexpr WindowRule kWindows[] = {{32, 16}, {64, 32}, {128, 64}, {1024, 256}};

/// Position of a float in the order of all floats of a type with `dropped` fewer significand bits.
int64_t ordinal(float value, int dropped) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const int64_t magnitude = static_cast<int64_t>((bits & 0x7fffffffu) >> dropped);
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

/// How many numbers the element type has between the least and the greatest value, taking the coarsest type
/// that holds them all: bf16 (16 bits dropped), f16's significand (13), f32.
int64_t count_representable(std::span<const float> sorted) {
  const auto all = [&](int dropped) {
    return std::all_of(sorted.begin(), sorted.end(), [&](float value) {
      return (std::bit_cast<uint32_t>(value) & ((1u << dropped) - 1u)) == 0;
    });
  };
  const int dropped = all(16) ? 16 : all(13) ? 13 : 0;
  return ordinal(sorted.back(), dropped) - ordinal(sorted.front(), dropped) + 1;
}

/// Sorts and drops repetitions (and the sign of zero).
std::vector<float> distinct_values(std::span<const float> values) {
  std::vector<float> sorted(values.begin(), values.end());
  for (float& value : sorted) value += 0.0f;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

/// Few levels that the element type does not explain.
bool has_few_levels(std::span<const float> distinct, size_t most) {
  return distinct.size() > kTernary && distinct.size() <= most &&
         count_representable(distinct) > static_cast<int64_t>(8 * distinct.size());
}

/// True when the distinct values lie on an even grid of at most 256 steps. The grid's step is the smallest
/// gap, or a half or a third of it where no two neighbours on the grid occur.
bool lies_on_grid(std::span<const float> distinct) {
  if (distinct.size() <= kTernary) return false;
  double gap = HUGE_VAL;
  for (size_t i = 1; i < distinct.size(); ++i)
    gap = std::min(gap, static_cast<double>(distinct[i]) - static_cast<double>(distinct[i - 1]));
  const double range = static_cast<double>(distinct.back()) - static_cast<double>(distinct.front());
  for (const double parts : {1.0, 2.0, 3.0}) {
    const double steps = std::round(range * parts / gap);
    if (steps > 255.0) return false;
    const double step = range / steps;
    const bool even = std::all_of(distinct.begin(), distinct.end(), [&](float value) {
      const double at = (static_cast<double>(value) - static_cast<double>(distinct.front())) / step;
      return std::fabs(at - std::round(at)) < 0.02;
    });
    if (even) return true;
  }
  return false;
}

/// Calls visit(distinct values) for every aligned window that is not mostly zeros.
template <class Visit>
void visit_windows(const RowSample& sample, size_t length, Visit visit) {
  const size_t cols = static_cast<size_t>(sample.cols);
  for (size_t row = 0; row < static_cast<size_t>(sample.rows()); ++row)
    for (size_t begin = 0; begin + length <= cols; begin += length) {
      const std::span<const float> window(sample.values.data() + row * cols + begin, length);
      const auto zeros = std::count(window.begin(), window.end(), 0.0f);
      if (static_cast<size_t>(zeros) * 4 > length) continue;
      visit(distinct_values(window));
    }
}

std::string find_in_windows(const RowSample& sample, const WindowRule& rule) {
  size_t windows = 0, few = 0, largest = 0;
  visit_windows(sample, rule.length, [&](const std::vector<float>& distinct) {
    ++windows;
    if (!has_few_levels(distinct, rule.most_levels)) return;
    ++few;
    largest = std::max(largest, distinct.size());
  });
  if (windows < kLeastWindows || few * 20 < windows * 19) return {};
  return fmt::format("holds at most {} distinct values in every {} neighbours ({} of {} groups looked at)",
                     largest, rule.length, few, windows);
}

bool is_sixteen_bit(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return (std::bit_cast<uint32_t>(value) & 0x1fffu) == 0; });
}

std::string find_grid(const RowSample& sample) {
  size_t windows = 0, even = 0;
  visit_windows(sample, 32, [&](const std::vector<float>& distinct) {
    ++windows;
    if (lies_on_grid(distinct)) ++even;
  });
  if (windows < kLeastWindows || even * 5 < windows * 4) return {};
  return fmt::format("lies on even grids of at most 256 steps ({} of {} groups of 32 looked at)", even,
                     windows);
}

}  // namespace

RowSample sample_rows(const WeightView& weight) {
  RowSample sample;
  const FormatOps* ops = find_format_ops(weight.format);
  if (ops == nullptr || weight.rows == 0 || weight.cols == 0) return sample;
  sample.cols = std::min(weight.cols, kMaxCols);
  const int64_t rows = std::min(weight.rows, kMaxRows);
  std::vector<float> row(static_cast<size_t>(weight.cols));
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t at = rows == 1 ? 0 : i * (weight.rows - 1) / (rows - 1);
    ops->dequantize_row(weight.format, packed_row(weight, at), weight.cols, row.data());
    sample.values.insert(sample.values.end(), row.begin(), row.begin() + sample.cols);
  }
  return sample;
}

std::string find_few_levels(const RowSample& sample) {
  if (sample.values.size() < kLeastValues) return {};
  if (!std::all_of(sample.values.begin(), sample.values.end(), [](float v) { return std::isfinite(v); }))
    return {};
  const std::vector<float> distinct = distinct_values(sample.values);
  if (distinct.size() <= kTernary) return {};
  if (has_few_levels(distinct, kMostLevels) && sample.values.size() >= 8 * distinct.size())
    return fmt::format("holds only {} distinct values among {} looked at", distinct.size(),
                       sample.values.size());
  for (const WindowRule& rule : kWindows)
    if (std::string evidence = find_in_windows(sample, rule); !evidence.empty()) return evidence;
  return is_sixteen_bit(sample.values) ? std::string() : find_grid(sample);
}

bool is_degenerate(const RowSample& sample) {
  const size_t cols = static_cast<size_t>(sample.cols);
  size_t windows = 0, constant = 0;
  for (size_t row = 0; row < static_cast<size_t>(sample.rows()); ++row)
    for (size_t begin = 0; begin + 32 <= cols; begin += 32) {
      const float* window = sample.values.data() + row * cols + begin;
      ++windows;
      if (std::all_of(window, window + 32, [&](float value) { return value == window[0]; })) ++constant;
    }
  return windows >= kLeastWindows && constant * 10 > windows * 9;
}

bool uses_few_codes(const RowSample& sample) {
  const size_t cols = static_cast<size_t>(sample.cols);
  size_t windows = 0, few = 0;
  for (size_t row = 0; row < static_cast<size_t>(sample.rows()); ++row)
    for (size_t begin = 0; begin + 32 <= cols; begin += 32) {
      const size_t distinct = distinct_values({sample.values.data() + row * cols + begin, 32}).size();
      ++windows;
      if (distinct > 1 && distinct <= 16) ++few;
    }
  return windows >= kLeastWindows && few * 20 >= windows * 19;
}

}  // namespace assay
