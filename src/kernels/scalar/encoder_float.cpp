#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/encoder_float_isa.hpp"
#include "kernels/scalar/activation.hpp"
#include "kernels/scalar/lanes.hpp"

// The specification: one value after the other.

namespace assay {
namespace scalar {
namespace {

float finish(float value, const Epilogue& epilogue, int64_t token, int64_t row) noexcept {
  if (epilogue.bias != nullptr) value += epilogue.bias[row];
  value = activate_lanes(epilogue.activation, value);
  if (epilogue.residual != nullptr) value += epilogue.residual[token * epilogue.residual_stride + row];
  return value;
}

void multiply_f32(const std::byte* panels, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
                  ProductRange range, const Epilogue& epilogue, float* out, int64_t out_stride) {
  const auto* weight = reinterpret_cast<const float*>(panels);
  const int64_t row_end = std::min(range.row_end, rows);
  for (int64_t panel = range.row_begin; panel < row_end; panel += kPanelRows)
    for (int64_t t = range.token_begin; t < range.token_end; ++t) {
      const float* w = weight + panel * cols;
      float acc[kPanelRows] = {};
      for (int64_t k = 0; k < cols; ++k)
        for (int64_t r = 0; r < kPanelRows; ++r)
          acc[r] = std::fma(w[k * kPanelRows + r], x[t * x_stride + k], acc[r]);
      for (int64_t row = panel; row < std::min(panel + kPanelRows, row_end); ++row)
        out[t * out_stride + row] = finish(acc[row - panel], epilogue, t, row);
    }
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t n, float* out) {
  const auto count = static_cast<float>(n);
  float sums[kLanes] = {}, squares[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) sums[i % kLanes] += x[i];
  const float mean = reduce_lanes(sums) / count;
  for (int64_t i = 0; i < n; ++i) {
    const float centred = x[i] - mean;
    squares[i % kLanes] = std::fma(centred, centred, squares[i % kLanes]);
  }
  const float inverse = 1.0f / std::sqrt(reduce_lanes(squares) / count + eps);
  for (int64_t i = 0; i < n; ++i) {
    const float normal = (x[i] - mean) * inverse;
    out[i] = bias != nullptr ? std::fma(normal, weight[i], bias[i]) : normal * weight[i];
  }
}

void activate(Activation activation, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = activate_lanes(activation, x[i]);
}

/// exp of the scores of one query, not yet normalized; returns their sum.
float soften(const AttentionJob& job, int64_t query, VisibleKeys keys, float* scores) noexcept {
  const float* relative = job.relative == nullptr ? nullptr : job.relative + job.length - 1 - query;
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t j = keys.begin; j < keys.end; ++j) {
    if (relative != nullptr) scores[j] = std::fma(scores[j], job.scale, relative[j]);
    largest = scores[j] > largest ? scores[j] : largest;
  }
  const float scale = relative != nullptr ? 1.0f : job.scale;
  float sums[kLanes] = {};
  for (int64_t j = keys.begin; j < keys.end; ++j) {
    scores[j] = exp_approximate((scores[j] - largest) * scale);
    sums[j % kLanes] += scores[j];
  }
  return reduce_lanes(sums);
}

void attend(const AttentionJob& job, float* scratch) {
  for (int64_t query = 0; query < job.queries; ++query) {
    const VisibleKeys keys = visible_keys(query, job.length, job.window);
    for (int64_t j = keys.begin; j < keys.end; ++j) {
      float score = 0;
      for (int64_t d = 0; d < job.head_dim; ++d)
        score = std::fma(job.q[query * job.stride + d], job.k[j * job.stride + d], score);
      scratch[j] = score;
    }
    const float inverse = 1.0f / soften(job, query, keys, scratch);
    for (int64_t d = 0; d < job.head_dim; ++d) {
      float value = 0;
      for (int64_t j = keys.begin; j < keys.end; ++j)
        value = std::fma(scratch[j], job.v[j * job.stride + d], value);
      job.out[query * job.out_stride + d] = value * inverse;
    }
  }
}

}  // namespace
}  // namespace scalar

const EncoderFloatIsa kScalarEncoderFloat = {
    .f32_panel_bytes = f32_panel_bytes,
    .pack_f32 = pack_f32_panels,
    .multiply_f32 = scalar::multiply_f32,
    .layer_norm = scalar::layer_norm,
    .activate = scalar::activate,
    .attend = scalar::attend,
};

}  // namespace assay
