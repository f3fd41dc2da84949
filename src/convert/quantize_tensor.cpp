#include "convert/quantize_tensor.hpp"

#include <atomic>
#include <cmath>

#include "base/error.hpp"
#include "convert/plan.hpp"
#include "formats/format.hpp"
#include "kernels/kernels.hpp"

namespace assay {
namespace {

/// The lowest row at which some thread found a fault; INT64_MAX when none did.
class FirstRow {
 public:
  void report(int64_t row) noexcept {
    int64_t seen = row_.load();
    while (row < seen && !row_.compare_exchange_weak(seen, row)) {
    }
  }
  bool found() const noexcept { return row_.load() != INT64_MAX; }
  int64_t row() const noexcept { return row_.load(); }

 private:
  std::atomic<int64_t> row_{INT64_MAX};
};

[[noreturn]] void fail_source(const SourceWeight& source, const std::string& name, int64_t row) {
  std::vector<float> values(static_cast<size_t>(source.cols()));
  source.read_stored(row, values.data());
  const int64_t column = find_non_finite(values.data(), source.cols());
  throw Error(Fault{"weight is not finite", name, "numbers",
                    std::string(std::isnan(values[static_cast<size_t>(column)]) ? "NaN" : "infinity") +
                        " at [" + std::to_string(source.source_row(row)) + ", " + std::to_string(column) +
                        "]",
                    "damaged checkpoint?"});
}

[[noreturn]] void fail_overflow(const WeightFormat& format, const std::string& name, int64_t row) {
  throw Error(Fault{"value does not fit the format", name,
                    "weights and scales within what " + format_name(format) + " holds",
                    "an overflow in row " + std::to_string(row),
                    format.kind == WeightKind::kF16 ? "use BF16 or F32" : ""});
}

/// Quantizes single rows and measures them; one object serves all threads.
class RowWorker {
 public:
  RowWorker(const SourceWeight& source, const WeightFormat& format, std::span<const float> importance)
      : importance_(importance.empty() ? nullptr : importance.data()),
        source_(source),
        format_(format),
        ops_(format_ops(format)),
        bytes_(row_bytes(format, source.cols())) {
    if (ops_.quantize_row == nullptr)
      throw Error(Fault{"format cannot be written", format_name(format), {}, {}, {}});
  }

  /// Rows [begin, end) of the source; `codes` belongs to row `chunk_begin`, scales and biases to row 0.
  void work(int64_t begin, int64_t end, int64_t chunk_begin, std::byte* codes, std::byte* scales,
            std::byte* biases, WeightError* errors) {
    const size_t cols = static_cast<size_t>(source_.cols());
    std::vector<float> stored(cols), rounded(source_.has_cast() ? cols : 0), decoded(cols);
    for (int64_t row = begin; row < end; ++row) {
      source_.read_stored(row, stored.data());
      if (find_non_finite(stored.data(), source_.cols()) >= 0) return not_finite_.report(row);
      if (source_.has_cast()) {
        rounded = stored;
        source_.cast(rounded.data());
      }
      const std::vector<float>& values = source_.has_cast() ? rounded : stored;
      PackedRowOut out{codes + static_cast<size_t>(row - chunk_begin) * bytes_.codes,
                       scales + static_cast<size_t>(row) * bytes_.scales,
                       biases + static_cast<size_t>(row) * bytes_.biases};
      ops_.quantize_row(format_, values.data(), source_.cols(), importance_, out);
      const PackedRow packed{out.codes, out.scales, out.biases};
      if (!ops_.is_finite(format_, packed, source_.cols())) return overflow_.report(row);
      kernels().dequantize_row(format_, packed, source_.cols(), decoded.data());
      errors[row - begin] = measure(stored, decoded);
    }
  }

  void rethrow_faults(const std::string& name) const {
    if (not_finite_.found()) fail_source(source_, name, not_finite_.row());
    if (overflow_.found()) fail_overflow(format_, name, overflow_.row());
  }

 private:
  /// Sixteen running sums in a fixed order, so that the compiler may keep them in registers.
  static WeightError measure(const std::vector<float>& values, const std::vector<float>& decoded) {
    constexpr size_t kLanes = 16;
    float errors[kLanes] = {}, weights[kLanes] = {}, largest[kLanes] = {};
    const size_t whole = values.size() / kLanes * kLanes;
    const auto add = [&](size_t lane, size_t i) {
      const float difference = decoded[i] - values[i];
      errors[lane] += difference * difference;
      weights[lane] += values[i] * values[i];
      largest[lane] = std::max(largest[lane], std::fabs(difference));
    };
    for (size_t i = 0; i < whole; i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
    for (size_t i = whole; i < values.size(); ++i) add(i - whole, i);
    WeightError row;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      row.error_squares += static_cast<double>(errors[lane]);
      row.weight_squares += static_cast<double>(weights[lane]);
      row.max_abs = std::max(row.max_abs, static_cast<double>(largest[lane]));
    }
    return row;
  }

  const float* importance_;
  const SourceWeight& source_;
  const WeightFormat format_;
  const FormatOps& ops_;
  const RowBytes bytes_;
  FirstRow not_finite_, overflow_;
};

}  // namespace

double WeightError::rms_relative() const noexcept {
  return weight_squares > 0.0 ? std::sqrt(error_squares / weight_squares) : 0.0;
}

WeightError TensorQuantizer::run(const SourceWeight& source, const WeightFormat& format,
                                 const std::string& name, const Sink& sink, const Done& done,
                                 std::span<const float> importance) {
  const int64_t rows = source.rows(), step = std::min(rows, rows_per_chunk(format, source.cols()));
  const RowBytes bytes = row_bytes(format, source.cols());
  std::vector<std::byte> codes(static_cast<size_t>(step) * bytes.codes);
  std::vector<std::byte> scales(static_cast<size_t>(rows) * bytes.scales);
  std::vector<std::byte> biases(static_cast<size_t>(rows) * bytes.biases);
  std::vector<WeightError> row_errors(static_cast<size_t>(step));
  RowWorker worker(source, format, importance);
  WeightError total;
  // A task of some 16k weights costs far more than handing it out.
  const int64_t grain = std::max<int64_t>(1, 16384 / source.cols());
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t end = std::min(rows, begin + step);
    pool_.run_ranges(end - begin, grain, [&](int64_t first, int64_t last) {
      worker.work(begin + first, begin + last, begin, codes.data(), scales.data(), biases.data(),
                  row_errors.data() + first);
    });
    worker.rethrow_faults(name);
    for (int64_t row = 0; row < end - begin; ++row) {
      const WeightError& error = row_errors[static_cast<size_t>(row)];
      total.error_squares += error.error_squares;
      total.weight_squares += error.weight_squares;
      total.max_abs = std::max(total.max_abs, error.max_abs);
    }
    sink(std::span(codes).first(static_cast<size_t>(end - begin) * bytes.codes));
    done(begin, end);
  }
  if (!scales.empty()) sink(scales);
  if (!biases.empty()) sink(biases);
  return total;
}

}  // namespace assay
