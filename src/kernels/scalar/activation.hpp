#pragma once
#include <cmath>

#include "kernels/activation_constants.hpp"
#include "kernels/scalar/exp.hpp"
#include "tensor/activation.hpp"

namespace assay::scalar {

inline float gelu_erf(float x) noexcept {
  const float a = std::fabs(x);
  const float bounded = kGeluRange < a ? kGeluRange : a;
  float p = kGeluCoefficients[0];
  for (int i = 1; i < 11; ++i) p = std::fma(p, bounded, kGeluCoefficients[i]);
  const float half = 0.5f * exp_approximate(-(a * p));
  return x * (std::signbit(x) ? half : 1.0f - half);
}

inline float gelu_coarse(float x) noexcept {
  const float magnitude = std::fabs(x), a = kGeluCoarseRange < magnitude ? kGeluCoarseRange : magnitude;
  float q = kGeluCoarseCoefficients[0];
  for (int i = 1; i < 9; ++i) q = std::fma(q, a * a, kGeluCoarseCoefficients[i]);
  const float half = 0.5f < a * q ? 0.5f : a * q;
  return std::fma(magnitude, half, 0.5f * x);
}

inline float gelu_tanh(float x) noexcept {
  return x / (1.0f + exp_approximate(x * std::fma(x * x, kGeluTanhCubic, kGeluTanhLinear)));
}

inline float tanh_approximate(float x) noexcept {
  const float a = std::fabs(x), square = a * a;
  float p = kTanhCoefficients[0];
  for (int i = 1; i < 5; ++i) p = std::fma(p, square, kTanhCoefficients[i]);
  const float near = std::fma(a * square, p, a);
  const float far = 1.0f - 2.0f / (exp_approximate(a + a) + 1.0f);
  return std::copysign(a < kTanhSmall ? near : far, x);
}

/// One element; the other instruction sets have overloads for a register of them.
inline float activate_lanes(Activation activation, float x) noexcept {
  switch (activation) {
    case Activation::kGeluErf:
      return gelu_erf(x);
    case Activation::kGeluTanh:
      return gelu_tanh(x);
    case Activation::kGeluQuick:
      return x / (1.0f + exp_approximate(x * kGeluQuickFactor));
    case Activation::kRelu:
      return 0.0f > x ? 0.0f : x;
    case Activation::kSilu:
      return x / (1.0f + exp_approximate(-x));
    case Activation::kTanh:
      return tanh_approximate(x);
    case Activation::kNone:
      break;
  }
  return x;
}

/// The same behind integer products (activation_constants.hpp).
inline float activate_integer_sum(Activation activation, float x) noexcept {
  return activation == Activation::kGeluErf ? gelu_coarse(x) : activate_lanes(activation, x);
}

}  // namespace assay::scalar
