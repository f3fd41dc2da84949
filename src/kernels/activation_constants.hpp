#pragma once

// How every table computes the activations; exp is the one of isa.hpp.
//
// gelu (erf): x Phi(x) with Phi(-a) = exp(-a P(a)) / 2 and Phi(a) = 1 - Phi(-a), P by Horner's rule in fma of
// min(a, kGeluRange). gelu (tanh): x / (1 + exp(x fma(x², kGeluTanhCubic, kGeluTanhLinear))). quick gelu and
// silu: x / (1 + exp(-c x)). tanh: sign(x) times fma(a³, T(a²), a) for a = |x| below kTanhSmall, else
// 1 - 2 / (exp(2a) + 1).

namespace assay {

/// Fitted by tools/fit_activations.py to ln erfc(a / √2) / -a, highest power first. The fit alone is off by
/// 9e-9 in gelu and 5e-6 of erfc's size, the recipe in f32 by 1e-7 in Phi (2e-7 in erf).
inline constexpr float kGeluRange = 8.0f;
inline constexpr float kGeluCoefficients[11] = {-8.182926003e-10f, 3.627078371e-08f,  -6.977123235e-07f,
                                                7.577602446e-06f,  -4.961748709e-05f, 1.756230777e-04f,
                                                4.693249502e-05f,  -4.881055094e-03f, 3.639915213e-02f,
                                                3.182895184e-01f,  7.978870273e-01f};

/// Behind integer products, whose own error is larger by two orders of magnitude: gelu (erf) as
/// fma(|x|, min(a Q(a²), 1/2), x/2) with a = min(|x|, kGeluCoarseRange) and Q by Horner's rule in fma. Off by
/// 6e-5 at most, most of it -gelu(-kGeluCoarseRange); below -kGeluCoarseRange it is 0. Fitted by the same
/// script.
inline constexpr float kGeluCoarseRange = 4.25f;
inline constexpr float kGeluCoarseCoefficients[9] = {6.899297800e-11f,  -6.443621192e-09f, 2.645412280e-07f,
                                                     -6.363891771e-06f, 1.015741072e-04f,  -1.161682070e-03f,
                                                     1.001022197e-02f,  -6.669541448e-02f, 3.991265595e-01f};

/// -2 √(2/π) and that times 0.044715 (transformers activations.py, NewGELUActivation).
inline constexpr float kGeluTanhLinear = -1.5957691216057308f;
inline constexpr float kGeluTanhCubic = -0.07135481627260025f;
/// transformers activations.py, QuickGELUActivation.
inline constexpr float kGeluQuickFactor = -1.702f;

/// Fitted by the same script to (tanh a - a) / a³ as a polynomial in a², off by 9e-9 of tanh's size.
inline constexpr float kTanhSmall = 0.625f;
inline constexpr float kTanhCoefficients[5] = {-5.704904441e-03f, 2.063901536e-02f, -5.373969302e-02f,
                                               1.333144158e-01f, -3.333328068e-01f};

}  // namespace assay
