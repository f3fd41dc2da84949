#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "base/thread_pool.hpp"
#include "engine/compute.hpp"
#include "kernels/kernels.hpp"

namespace assay {

/// y = x Wᵀ + b with W packed where it lies in its mapped file.
struct Linear {
  WeightView weight;
  std::vector<float> bias;  ///< [rows] or empty
};

/// One product of a parallel step: out[t * out_stride + r] = linear(x[t])[r].
struct LinearJob {
  const Linear* linear;
  float* out;
  int64_t out_stride;
};

/// Rows of activations, [tokens, cols], with their int8 form when a fast product needs it.
class Activations {
 public:
  /// Quantizes x for `fast` products, tokens in parallel. x must outlive the object.
  void set(const float* x, int64_t tokens, int64_t cols, Compute compute, const KernelTable& kernels,
           ThreadPool& pool);

  const float* values() const noexcept { return values_; }
  const QuantizedRow* rows() const noexcept { return rows_.data(); }
  int64_t tokens() const noexcept { return tokens_; }
  int64_t cols() const noexcept { return cols_; }

 private:
  const float* values_ = nullptr;
  int64_t tokens_ = 0, cols_ = 0;
  AlignedVector<int8_t> codes_;
  AlignedVector<float> scales_;
  AlignedVector<int32_t> sums_;
  std::vector<QuantizedRow> rows_;
};

/// Runs all jobs over the same activations as one parallel step, split by rows.
void multiply(std::span<const LinearJob> jobs, const Activations& x, Compute compute,
              const KernelTable& kernels, ThreadPool& pool);

}  // namespace assay
