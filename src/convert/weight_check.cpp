#include "convert/weight_check.hpp"

#include <cmath>

#include "base/error.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

WeightCheck check_row(const FormatOps& ops, const WeightView& packed, const SourceWeight& source, int64_t row,
                      std::vector<float>& values, std::vector<float>& decoded, std::vector<float>& bounds) {
  WeightCheck result;
  const PackedRow bytes = packed_row(packed, row);
  if (!ops.is_finite(packed.format, bytes, packed.cols)) {
    result.not_finite_row = row;
    return result;
  }
  source.read(row, values.data());
  ops.dequantize_row(packed.format, bytes, packed.cols, decoded.data());
  ops.error_bound(packed.format, values.data(), bytes, packed.cols, bounds.data());
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(decoded[i]) - static_cast<double>(values[i]));
    if (difference <= static_cast<double>(bounds[i])) {
      if (difference > 0.0)
        result.worst_ratio = std::max(result.worst_ratio, difference / static_cast<double>(bounds[i]));
      continue;
    }
    ++result.beyond;
    result.first_row = row;
    const double ratio = bounds[i] > 0.0f ? difference / static_cast<double>(bounds[i]) : HUGE_VAL;
    result.worst_ratio = std::max(result.worst_ratio, ratio);
  }
  return result;
}

void add(WeightCheck& total, const WeightCheck& row) {
  total.worst_ratio = std::max(total.worst_ratio, row.worst_ratio);
  total.beyond += row.beyond;
  if (total.first_row < 0) total.first_row = row.first_row;
  if (total.not_finite_row < 0) total.not_finite_row = row.not_finite_row;
}

}  // namespace

WeightCheck check_weight(const WeightView& packed, const SourceWeight& source, ThreadPool& pool) {
  ASSAY_CHECK(packed.rows == source.rows() && packed.cols == source.cols());
  const FormatOps& ops = format_ops(packed.format);
  const int64_t grain = std::max<int64_t>(1, 16384 / packed.cols);
  // One result per range keeps the sum in row order, whatever thread took which range.
  std::vector<WeightCheck> ranges(static_cast<size_t>((packed.rows + grain - 1) / grain));
  pool.run_ranges(packed.rows, grain, [&](int64_t begin, int64_t end) {
    const size_t cols = static_cast<size_t>(packed.cols);
    std::vector<float> values(cols), decoded(cols), bounds(cols);
    for (int64_t row = begin; row < end; ++row)
      add(ranges[static_cast<size_t>(begin / grain)],
          check_row(ops, packed, source, row, values, decoded, bounds));
  });
  WeightCheck total;
  for (const WeightCheck& range : ranges) add(total, range);
  return total;
}

}  // namespace assay
