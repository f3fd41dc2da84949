#include "engine/linear.hpp"

#include <algorithm>

namespace assay {
namespace {

/// Rows handed to a kernel are multiples of this, so that it can always work on whole groups of rows.
constexpr int64_t kRowGrain = 32;
constexpr int64_t kActivationBlock = 32;

void add_bias(const Linear& linear, int64_t row_begin, int64_t row_end, int64_t tokens,
              const LinearJob& job) {
  if (linear.bias.empty()) return;
  for (int64_t t = 0; t < tokens; ++t) {
    float* out = job.out + t * job.out_stride;
    for (int64_t r = row_begin; r < row_end; ++r) out[r] += linear.bias[static_cast<size_t>(r)];
  }
}

void multiply_rows(const LinearJob& job, int64_t row_begin, int64_t row_end, const Activations& x,
                   Compute compute, const KernelTable& kernels) {
  const WeightView& weight = job.linear->weight;
  if (compute == Compute::kFast && is_quantized(weight.format)) {
    kernels.matmul_fast(weight, row_begin, row_end, x.rows(), x.tokens(), job.out, job.out_stride);
  } else {
    kernels.matmul_exact(weight, row_begin, row_end, x.values(), x.tokens(), job.out, job.out_stride);
  }
  add_bias(*job.linear, row_begin, row_end, x.tokens(), job);
}

}  // namespace

void Activations::set(const float* x, int64_t tokens, int64_t cols, Compute compute,
                      const KernelTable& kernels, ThreadPool& pool) {
  values_ = x;
  tokens_ = tokens;
  cols_ = cols;
  if (compute == Compute::kExact || cols % kActivationBlock != 0) return;
  const int64_t blocks = cols / kActivationBlock;
  codes_.resize(static_cast<size_t>(tokens * cols));
  scales_.resize(static_cast<size_t>(tokens * blocks));
  sums_.resize(static_cast<size_t>(tokens * blocks));
  rows_.resize(static_cast<size_t>(tokens));
  pool.run_ranges(tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int8_t* codes = codes_.data() + t * cols;
      float* scales = scales_.data() + t * blocks;
      int32_t* sums = sums_.data() + t * blocks;
      kernels.quantize_activations(x + t * cols, cols, codes, scales, sums);
      rows_[static_cast<size_t>(t)] = {codes, scales, sums};
    }
  });
}

void multiply(std::span<const LinearJob> jobs, const Activations& x, Compute compute,
              const KernelTable& kernels, ThreadPool& pool) {
  int64_t rows = 0;  // of all jobs, each rounded up to whole grains
  const auto padded_rows = [](const LinearJob& job) {
    return (job.linear->weight.rows + kRowGrain - 1) / kRowGrain * kRowGrain;
  };
  for (const LinearJob& job : jobs) rows += padded_rows(job);
  pool.run_ranges(rows, kRowGrain, [&](int64_t begin, int64_t end) {
    int64_t first = 0;
    for (const LinearJob& job : jobs) {
      const int64_t row_begin = std::max<int64_t>(begin - first, 0);
      const int64_t row_end = std::min(end - first, job.linear->weight.rows);
      if (row_begin < row_end) multiply_rows(job, row_begin, row_end, x, compute, kernels);
      first += padded_rows(job);
    }
  });
}

}  // namespace assay
