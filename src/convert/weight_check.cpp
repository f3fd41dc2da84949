#include "convert/weight_check.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "convert/npz_output.hpp"
#include "formats/format.hpp"

namespace assay {
namespace {

/// Half a unit in the last place of the type that holds the format's scales; ggml's are F16.
double scale_rounding(const WeightFormat& format) {
  const bool mlx = format.kind == WeightKind::kMlxAffine;
  if (mlx && format.scale_type == DType::kBF16) return 0x1p-9;
  if ((mlx && format.scale_type == DType::kF32) || format.kind == WeightKind::kInt8) return 0x1p-24;
  return 0x1p-12;
}

double sum_error_squares(const std::vector<float>& values, const std::vector<float>& decoded) {
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference = static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
    sum += difference * difference;
  }
  return sum;
}

/// Compares single rows; one object per thread.
class RowChecker {
 public:
  /// `scale` is what a fresh packing of the whole tensor would have; none where each row has its own.
  RowChecker(const WeightView& packed, const SourceWeight& source, std::optional<float> scale)
      : packed_(packed), source_(source), ops_(format_ops(packed.format)), scale_(scale) {
    const size_t cols = static_cast<size_t>(packed.cols);
    values_.resize(cols), decoded_.resize(cols), bounds_.resize(cols);
    if (!is_quantized(packed.format) || ops_.quantize_row == nullptr) return;
    const RowBytes bytes = row_bytes(packed.format, packed.cols);
    codes_.resize(bytes.codes), scales_.resize(bytes.scales), biases_.resize(bytes.biases);
  }

  WeightCheck check(int64_t row) {
    WeightCheck result;
    const PackedRow bytes = packed_row(packed_, row);
    result.has_packing = !codes_.empty();
    if (!ops_.is_finite(packed_.format, bytes, packed_.cols)) {
      result.not_finite_row = row;
      return result;
    }
    source_.read(row, values_.data());
    ops_.dequantize_row(packed_.format, bytes, packed_.cols, decoded_.data());
    ops_.error_bound(packed_.format, values_.data(), bytes, packed_.cols, bounds_.data());
    compare_with_bounds(row, result);
    if (result.has_packing) compare_with_fresh(result);
    return result;
  }

 private:
  void compare_with_bounds(int64_t row, WeightCheck& result) const {
    for (size_t i = 0; i < values_.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(decoded_[i]) - static_cast<double>(values_[i]));
      if (difference <= static_cast<double>(bounds_[i])) {
        if (difference > 0.0)
          result.worst_ratio = std::max(result.worst_ratio, difference / static_cast<double>(bounds_[i]));
        continue;
      }
      ++result.beyond;
      result.first_row = row;
      const double ratio = bounds_[i] > 0.0f ? difference / static_cast<double>(bounds_[i]) : HUGE_VAL;
      result.worst_ratio = std::max(result.worst_ratio, ratio);
    }
  }

  void compare_with_fresh(WeightCheck& result) {
    result.stored_squares = sum_error_squares(values_, decoded_);
    pack_afresh();
    result.fresh_squares = sum_error_squares(values_, decoded_);
    const double rounding = scale_rounding(packed_.format);
    for (const float value : values_)
      result.floor_squares += rounding * rounding * static_cast<double>(value) * static_cast<double>(value);
  }

  void pack_afresh() {
    if (scale_) {
      for (size_t i = 0; i < values_.size(); ++i)
        decoded_[i] = static_cast<float>(npz_code(values_[i], *scale_)) * *scale_;
      return;
    }
    ops_.quantize_row(packed_.format, values_.data(), packed_.cols, nullptr,
                      {codes_.data(), scales_.data(), biases_.data()});
    ops_.dequantize_row(packed_.format, {codes_.data(), scales_.data(), biases_.data()}, packed_.cols,
                        decoded_.data());
  }

  const WeightView& packed_;
  const SourceWeight& source_;
  const FormatOps& ops_;
  const std::optional<float> scale_;
  std::vector<float> values_, decoded_, bounds_;
  std::vector<std::byte> codes_, scales_, biases_;
};

void add(WeightCheck& total, const WeightCheck& row) {
  total.worst_ratio = std::max(total.worst_ratio, row.worst_ratio);
  total.beyond += row.beyond;
  if (total.first_row < 0) total.first_row = row.first_row;
  if (total.not_finite_row < 0) total.not_finite_row = row.not_finite_row;
  total.has_packing = total.has_packing || row.has_packing;
  total.stored_squares += row.stored_squares;
  total.fresh_squares += row.fresh_squares;
  total.floor_squares += row.floor_squares;
}

/// Of the whole tensor.
float find_largest(const SourceWeight& source, ThreadPool& pool) {
  std::vector<float> largest(static_cast<size_t>(source.rows()), 0.0f);
  pool.run_ranges(source.rows(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(source.cols()));
    for (int64_t row = begin; row < end; ++row) {
      source.read(row, values.data());
      for (const float value : values)
        largest[static_cast<size_t>(row)] = std::max(largest[static_cast<size_t>(row)], std::fabs(value));
    }
  });
  return *std::max_element(largest.begin(), largest.end());
}

}  // namespace

double WeightCheck::packing_ratio() const noexcept {
  if (fresh_squares > 0.0) return std::sqrt(stored_squares / fresh_squares);
  return stored_squares <= floor_squares ? 0.0 : HUGE_VAL;
}

bool WeightCheck::is_badly_packed() const noexcept {
  return has_packing &&
         !(stored_squares <= std::max(kWorstPacking * kWorstPacking * fresh_squares, floor_squares));
}

WeightCheck check_weight(const WeightView& packed, const SourceWeight& source, ThreadPool& pool,
                         bool one_scale) {
  ASSAY_CHECK(packed.rows == source.rows() && packed.cols == source.cols());
  const int64_t grain = std::max<int64_t>(1, 16384 / packed.cols);
  std::optional<float> scale;
  if (one_scale && packed.format.kind == WeightKind::kInt8) scale = npz_scale(find_largest(source, pool));
  // One result per range keeps the sum in row order, whatever thread took which range.
  std::vector<WeightCheck> ranges(static_cast<size_t>((packed.rows + grain - 1) / grain));
  pool.run_ranges(packed.rows, grain, [&](int64_t begin, int64_t end) {
    RowChecker checker(packed, source, scale);
    for (int64_t row = begin; row < end; ++row)
      add(ranges[static_cast<size_t>(begin / grain)], checker.check(row));
  });
  WeightCheck total;
  for (const WeightCheck& range : ranges) add(total, range);
  return total;
}

}  // namespace assay
