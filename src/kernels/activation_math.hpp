#pragma once
#include "kernels/activation_constants.hpp"
#include "tensor/activation.hpp"

// The recipes of activation_constants.hpp over one register. Ops is a struct of an instruction set, local to
// its file (so that everything here is local too): the type F and static functions splat, add, subtract,
// multiply, divide, multiply_add, minimum and maximum (the second operand where either is NaN), magnitude,
// negative, with_sign_of, choose_negative, choose_less, exp.

namespace assay {

template <class Ops, int kCount>
[[gnu::always_inline]] inline typename Ops::F polynomial(const float (&coefficients)[kCount],
                                                         typename Ops::F x) {
  auto p = Ops::splat(coefficients[0]);
  for (int i = 1; i < kCount; ++i) p = Ops::multiply_add(p, x, Ops::splat(coefficients[i]));
  return p;
}

template <class Ops>
[[gnu::always_inline]] inline typename Ops::F gelu_erf(typename Ops::F x) {
  const auto a = Ops::magnitude(x);
  const auto p = polynomial<Ops>(kGeluCoefficients, Ops::minimum(Ops::splat(kGeluRange), a));
  const auto half = Ops::multiply(Ops::splat(0.5f), Ops::exp(Ops::negative(Ops::multiply(a, p))));
  return Ops::multiply(x, Ops::choose_negative(x, half, Ops::subtract(Ops::splat(1.0f), half)));
}

template <class Ops>
[[gnu::always_inline]] inline typename Ops::F gelu_coarse(typename Ops::F x) {
  const auto magnitude = Ops::magnitude(x), half = Ops::splat(0.5f);
  const auto a = Ops::minimum(Ops::splat(kGeluCoarseRange), magnitude);
  const auto q = polynomial<Ops>(kGeluCoarseCoefficients, Ops::multiply(a, a));
  return Ops::multiply_add(magnitude, Ops::minimum(half, Ops::multiply(a, q)), Ops::multiply(half, x));
}

/// x / (1 + exp(power)).
template <class Ops>
[[gnu::always_inline]] inline typename Ops::F logistic(typename Ops::F x, typename Ops::F power) {
  return Ops::divide(x, Ops::add(Ops::splat(1.0f), Ops::exp(power)));
}

template <class Ops>
[[gnu::always_inline]] inline typename Ops::F gelu_tanh(typename Ops::F x) {
  const auto inner =
      Ops::multiply_add(Ops::multiply(x, x), Ops::splat(kGeluTanhCubic), Ops::splat(kGeluTanhLinear));
  return logistic<Ops>(x, Ops::multiply(x, inner));
}

template <class Ops>
[[gnu::always_inline]] inline typename Ops::F tanh_approximate(typename Ops::F x) {
  const auto a = Ops::magnitude(x), square = Ops::multiply(a, a), one = Ops::splat(1.0f);
  const auto near =
      Ops::multiply_add(Ops::multiply(a, square), polynomial<Ops>(kTanhCoefficients, square), a);
  const auto divisor = Ops::add(Ops::exp(Ops::add(a, a)), one);
  const auto far = Ops::subtract(one, Ops::divide(Ops::splat(2.0f), divisor));
  return Ops::with_sign_of(x, Ops::choose_less(a, Ops::splat(kTanhSmall), near, far));
}

template <class Ops>
[[gnu::always_inline]] inline typename Ops::F activate_register(Activation activation, typename Ops::F x) {
  switch (activation) {
    case Activation::kGeluErf:
      return gelu_erf<Ops>(x);
    case Activation::kGeluTanh:
      return gelu_tanh<Ops>(x);
    case Activation::kGeluQuick:
      return logistic<Ops>(x, Ops::multiply(x, Ops::splat(kGeluQuickFactor)));
    case Activation::kRelu:
      return Ops::maximum(Ops::splat(0.0f), x);
    case Activation::kSilu:
      return logistic<Ops>(x, Ops::negative(x));
    case Activation::kTanh:
      return tanh_approximate<Ops>(x);
    case Activation::kNone:
      break;
  }
  return x;
}

/// The same behind integer products.
template <class Ops>
[[gnu::always_inline]] inline typename Ops::F activate_integer_sum(Activation activation, typename Ops::F x) {
  return activation == Activation::kGeluErf ? gelu_coarse<Ops>(x) : activate_register<Ops>(activation, x);
}

}  // namespace assay
