// Elementary functions on vectors, accurate to a few units of float32. Coefficients and their errors:
// fit/fit_activations.py.
#pragma once

#include "simd/common-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

HWY_INLINE V set(float x) { return hn::Set(D(), x); }
HWY_INLINE V bits(uint32_t x) { return hn::BitCast(D(), hn::Set(DU(), x)); }

// e^x = 2^n (1 + q). Adding 1.5*2^23 + offset rounds to an integer and leaves n + offset in the low bits, one shift
// away from the exponent field.
struct ExpParts {
  V shifted;  // low 9 bits: n + offset
  V q;
};

// kFull: 3e-9 before rounding. Without: 9.5e-8, for functions that pass on at most half of it.
template <bool kFull>
HWY_INLINE ExpParts exp_parts(V x, float offset) {
  const V magic = set(12582912.0f + offset);
  const V shifted = hn::MulAdd(x, set(1.442695041f), magic);
  const V n = hn::Sub(shifted, magic);
  // ln 2 in two pieces, the first of 12 bits: n * piece is exact without FMA too.
  V r = hn::NegMulAdd(n, set(6.931152344e-01f), x);
  r = hn::NegMulAdd(n, set(3.194618330e-05f), r);
  V g;
  if constexpr (kFull) {
    g = set(1.395049156e-03f);
    g = hn::MulAdd(g, r, set(8.368889801e-03f));
    g = hn::MulAdd(g, r, set(4.166620597e-02f));
    g = hn::MulAdd(g, r, set(1.666651815e-01f));
    g = hn::MulAdd(g, r, set(0.5f));
  } else {
    g = set(8.374648169e-03f);
    g = hn::MulAdd(g, r, set(4.189832509e-02f));
    g = hn::MulAdd(g, r, set(1.666645706e-01f));
    g = hn::MulAdd(g, r, set(4.999914765e-01f));
  }
  return {shifted, hn::MulAdd(hn::Mul(r, r), g, r)};
}

HWY_INLINE V exponent_field(V shifted) { return hn::BitCast(D(), hn::ShiftLeft<23>(hn::BitCast(DU(), shifted))); }

HWY_INLINE V clamp(V x, float low, float high) { return hn::Min(hn::Max(x, set(low)), set(high)); }

// For functions that need e^x between 0 and infinity but not its last octaves: exact infinity from 88.4, exact zero
// below -87.7.
HWY_INLINE V exp_wide(V x) {
  const ExpParts e = exp_parts<false>(clamp(x, -88.0f, 89.0f), 127.0f);
  return hn::Mul(exponent_field(e.shifted), hn::Add(e.q, set(1.0f)));
}

// Every normal result, infinity above, zero instead of denormals (the same with and without FTZ).
HWY_INLINE V exp(V x) {
  constexpr float kLowest = -87.33654f, kHighest = 88.72283f;  // ln of the least and the greatest normal float
  const ExpParts e = exp_parts<true>(clamp(x, kLowest, kHighest), 0.0f);
  const auto p = hn::BitCast(DU(), hn::Add(e.q, set(1.0f)));
  const V y = hn::BitCast(D(), hn::Add(p, hn::ShiftLeft<23>(hn::BitCast(DU(), e.shifted))));
  return hn::IfThenElse(hn::Gt(x, set(kHighest)), bits(0x7F800000u), hn::IfThenElseZero(hn::Ge(x, set(kLowest)), y));
}

// e^x - 1 for -87 <= x <= 87, exact to a few ulp near 0 as well.
HWY_INLINE V expm1(V x) {
  const ExpParts e = exp_parts<false>(x, 127.0f);
  const V s = exponent_field(e.shifted);
  return hn::MulAdd(s, e.q, hn::Sub(s, set(1.0f)));
}

// E / (E + 2) with E = e^(2x) - 1 = 2^y - 1, y = n + f: 1.6e-7 at most. The rounding of y costs x times less than the slope there, so that
// one step of reduction is enough; a tenth of the time less than by expm1. Exactly 1 from 10 on.
HWY_INLINE V tanh(V x) {
  const V y = hn::Mul(clamp(x, -10.0f, 10.0f), set(2.885390082f));
  const V magic = set(12582912.0f + 127.0f);
  const V shifted = hn::Add(y, magic);
  const V f = hn::Sub(y, hn::Sub(shifted, magic));
  V h = set(1.340726740e-03f);
  h = hn::MulAdd(h, f, set(9.671881795e-03f));
  h = hn::MulAdd(h, f, set(5.550308153e-02f));
  h = hn::MulAdd(h, f, set(2.402223498e-01f));
  h = hn::MulAdd(h, f, set(6.931472421e-01f));
  const V s = exponent_field(shifted);
  const V e = hn::MulAdd(s, hn::Mul(h, f), hn::Sub(s, set(1.0f)));
  return hn::Div(e, hn::Add(e, set(2.0f)));
}

HWY_INLINE V sigmoid(V x) { return hn::Div(set(1.0f), hn::Add(set(1.0f), exp_wide(hn::Neg(x)))); }

HWY_INLINE V silu(V x) { return hn::Div(x, hn::Add(set(1.0f), exp_wide(hn::Neg(x)))); }

// x = 2^e (1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1]; log(1 + f) = f - f^2/2 + f^3 g(f). Zero and denormals give
// -infinity.
HWY_INLINE V log(V x) {
  const auto from_sqrt_half = hn::Sub(hn::BitCast(DI(), x), hn::Set(DI(), 0x3F3504F3));
  const V e = hn::ConvertTo(D(), hn::ShiftRight<23>(from_sqrt_half));
  const auto mantissa = hn::And(from_sqrt_half, hn::Set(DI(), 0x007FFFFF));
  const V f = hn::Sub(hn::BitCast(D(), hn::Add(mantissa, hn::Set(DI(), 0x3F3504F3))), set(1.0f));
  V g = set(-7.859615237e-02f);
  g = hn::MulAdd(g, f, set(1.288164854e-01f));
  g = hn::MulAdd(g, f, set(-1.312875450e-01f));
  g = hn::MulAdd(g, f, set(1.418119222e-01f));
  g = hn::MulAdd(g, f, set(-1.662455350e-01f));
  g = hn::MulAdd(g, f, set(2.000228614e-01f));
  g = hn::MulAdd(g, f, set(-2.500081062e-01f));
  g = hn::MulAdd(g, f, set(3.333331645e-01f));
  const V f2 = hn::Mul(f, f);
  V y = hn::MulAdd(hn::Mul(f2, f), g, hn::Mul(e, set(-2.121944400e-04f)));
  y = hn::NegMulAdd(f2, set(0.5f), y);
  y = hn::MulAdd(e, set(0.693359375f), hn::Add(f, y));
  y = hn::IfThenElse(hn::Lt(x, set(1.17549435e-38f)), bits(0xFF800000u), y);
  y = hn::IfThenElse(hn::Lt(x, set(0.0f)), bits(0x7FC00000u), y);
  return hn::IfThenElse(hn::Gt(x, set(3.4028234e38f)), x, y);
}

// log(1 + e^(beta x)) / beta, from log1p(t) = log(u) + (t - (u - 1)) / u with u = 1 + t: keeps the far negative side.
HWY_INLINE V softplus(V x, V beta) {
  const V y = hn::Mul(x, beta);
  const V t = exp_wide(hn::Neg(hn::Abs(y)));
  const V u = hn::Add(t, set(1.0f));
  const V log1p = hn::Add(log(u), hn::Div(hn::Sub(t, hn::Sub(u, set(1.0f))), u));
  return hn::Add(hn::IfThenElseZero(hn::Gt(y, set(0.0f)), x), hn::Div(log1p, beta));
}

// sin on [-1.5735, 1.5735], 5e-9 before rounding.
HWY_INLINE V sin_half_turn(V r) {
  const V t = hn::Mul(r, r);
  V g = set(2.608440127e-06f);
  g = hn::MulAdd(g, t, set(-1.981090754e-04f));
  g = hn::MulAdd(g, t, set(8.333086036e-03f));
  g = hn::MulAdd(g, t, set(-1.666665971e-01f));
  return hn::MulAdd(hn::Mul(t, r), g, r);
}

// x - n pi for |n| < 2^13: three pieces of 11 bits make every product exact, so |x| up to 2e4 keeps its accuracy. n may
// be off by 2e-4, hence a remainder a little beyond pi/2; the clamp keeps absurd inputs from blowing up in the
// polynomial: whatever x is, |sin| <= 1.
HWY_INLINE V minus_pi(V x, V n) {
  V r = hn::NegMulAdd(n, set(3.140625f), x);
  r = hn::NegMulAdd(n, set(9.675025940e-04f), r);
  r = hn::NegMulAdd(n, set(1.509906724e-07f), r);
  return clamp(hn::NegMulAdd(n, set(5.126688137e-12f), r), -1.5735f, 1.5735f);
}

// Rounds to the nearest integer and leaves its parity in the lowest bit of `shifted`. |x| < 2^22.
HWY_INLINE V nearest(V x, V& shifted) {
  const V magic = set(12582912.0f);
  shifted = hn::Add(x, magic);
  return hn::Sub(shifted, magic);
}

HWY_INLINE V flip_if_odd(V y, V shifted) {
  return hn::Xor(y, hn::BitCast(D(), hn::ShiftLeft<31>(hn::BitCast(DU(), shifted))));
}

HWY_INLINE V sin(V x) {
  V shifted;
  const V n = nearest(hn::Mul(x, set(0.318309886f)), shifted);
  return flip_if_odd(sin_half_turn(minus_pi(x, n)), shifted);
}

// cos((n + 1/2) pi + r) = -(-1)^n sin r
HWY_INLINE V cos(V x) {
  V shifted;
  const V n = nearest(hn::MulAdd(x, set(0.318309886f), set(-0.5f)), shifted);
  const V r = minus_pi(x, hn::Add(n, set(0.5f)));
  return hn::Neg(flip_if_odd(sin_half_turn(r), shifted));
}

// sin(x)^2 has the period pi: no sign to restore.
HWY_INLINE V sin_squared(V x) {
  V shifted;
  const V n = nearest(hn::Mul(x, set(0.318309886f)), shifted);
  const V s = sin_half_turn(minus_pi(x, n));
  return hn::Mul(s, s);
}

// x Phi(x) with Phi = 1 / (1 + e^(x g(x^2))): 2e-7 where a rational erf of the same cost gives 7e-7, and a true tail.
// Beyond 5.6, where the fit ends, Phi is within 1e-8 of its limit.
HWY_INLINE V gelu_erf(V x) {
  const V t = hn::Min(hn::Mul(x, x), set(31.36f));
  V g = set(-3.389354131e-09f);
  g = hn::MulAdd(g, t, set(2.578304361e-07f));
  g = hn::MulAdd(g, t, set(-7.804201232e-06f));
  g = hn::MulAdd(g, t, set(1.095833650e-04f));
  g = hn::MulAdd(g, t, set(6.902995665e-05f));
  g = hn::MulAdd(g, t, set(-7.267211378e-02f));
  g = hn::MulAdd(g, t, set(-1.595767140e+00f));
  return hn::Div(x, hn::Add(set(1.0f), exp_wide(hn::Mul(x, g))));
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
