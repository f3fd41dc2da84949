#pragma once
#include <functional>
#include <span>
#include <string>

#include "base/thread_pool.hpp"
#include "convert/source_weight.hpp"

namespace assay {

/// How far the written weights lie from the source, over one tensor. Measured on the packed bytes.
struct WeightError {
  double error_squares = 0.0;   ///< sum of squared differences
  double weight_squares = 0.0;  ///< sum of squared source weights
  double max_abs = 0.0;         ///< largest difference

  /// Root mean square of the difference over that of the weights; 0 for a tensor of zeros.
  double rms_relative() const noexcept;
};

/// Quantizes one weight by chunks of rows, the rows of a chunk in parallel, and hands out the parts in file
/// order: all codes, then all scales, then all biases (the latter two where the format has them apart). Holds
/// one chunk of codes and the tensor's scales and biases. The bytes and the error do not depend on the thread
/// count.
class TensorQuantizer {
 public:
  explicit TensorQuantizer(ThreadPool& pool) : pool_(pool) {}

  using Sink = std::function<void(std::span<const std::byte>)>;
  /// Called after each chunk with the source rows that are done.
  using Done = std::function<void(int64_t begin, int64_t end)>;

  /// Throws Error naming `name` and the first offending element when the source holds NaN or infinity, or a
  /// value (or scale) overflows the format.
  /// `importance` is empty or holds one weight per column, for the searches.
  WeightError run(const SourceWeight& source, const WeightFormat& format, const std::string& name,
                  const Sink& sink, const Done& done, std::span<const float> importance = {});

 private:
  ThreadPool& pool_;
};

}  // namespace assay
