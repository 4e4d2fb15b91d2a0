// Pointwise activations: one function per Unary, chosen once per call or per GEMM tile.
#pragma once

#include "simd/math-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

template <Unary kOp>
struct Activation {
  V a, b;
  Activation(float a_in, float b_in) : a(set(a_in)), b(set(b_in)) {}

  HWY_INLINE V operator()(V x) const {
    const V zero = set(0.0f), one = set(1.0f);
    if constexpr (kOp == Unary::kRelu) return hn::Max(x, zero);
    if constexpr (kOp == Unary::kLeakyRelu) return hn::IfThenElse(hn::Gt(x, zero), x, hn::Mul(x, a));
    if constexpr (kOp == Unary::kElu)
      return hn::IfThenElse(hn::Gt(x, zero), x, hn::Mul(a, expm1(clamp(x, -30.0f, 0.0f))));
    if constexpr (kOp == Unary::kGeluErf) return gelu_erf(x);
    if constexpr (kOp == Unary::kGeluTanh) {
      // (1 + tanh u) / 2 = 1 / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
      const V x2 = hn::Mul(x, x);
      const V minus_2u = hn::Mul(x, hn::MulAdd(x2, set(-0.0713548162726f), set(-1.59576912161f)));
      return hn::Div(x, hn::Add(one, exp_wide(minus_2u)));
    }
    if constexpr (kOp == Unary::kSilu) return silu(x);
    if constexpr (kOp == Unary::kTanh) return tanh(x);
    if constexpr (kOp == Unary::kSigmoid) return sigmoid(x);
    if constexpr (kOp == Unary::kSoftplus) return softplus(x, a);
    if constexpr (kOp == Unary::kExp) return exp(x);
    if constexpr (kOp == Unary::kLog) return log(x);
    if constexpr (kOp == Unary::kSqrt) return hn::Sqrt(x);
    if constexpr (kOp == Unary::kSquare) return hn::Mul(x, x);
    if constexpr (kOp == Unary::kAbs) return hn::Abs(x);
    if constexpr (kOp == Unary::kNeg) return hn::Neg(x);
    if constexpr (kOp == Unary::kReciprocal) return hn::Div(one, x);
    if constexpr (kOp == Unary::kSin) return sin(x);
    if constexpr (kOp == Unary::kCos) return cos(x);
    if constexpr (kOp == Unary::kClip) return hn::Min(hn::Max(x, a), b);
    return x;
  }
};

// Calls body(Activation<op>(a, b)): the switch stays outside of every loop.
template <class Body>
HWY_INLINE void with_activation(Unary op, float a, float b, Body body) {
  switch (op) {
    case Unary::kNone:
      return body(Activation<Unary::kNone>(a, b));
    case Unary::kRelu:
      return body(Activation<Unary::kRelu>(a, b));
    case Unary::kLeakyRelu:
      return body(Activation<Unary::kLeakyRelu>(a, b));
    case Unary::kElu:
      return body(Activation<Unary::kElu>(a, b));
    case Unary::kGeluErf:
      return body(Activation<Unary::kGeluErf>(a, b));
    case Unary::kGeluTanh:
      return body(Activation<Unary::kGeluTanh>(a, b));
    case Unary::kSilu:
      return body(Activation<Unary::kSilu>(a, b));
    case Unary::kTanh:
      return body(Activation<Unary::kTanh>(a, b));
    case Unary::kSigmoid:
      return body(Activation<Unary::kSigmoid>(a, b));
    case Unary::kSoftplus:
      return body(Activation<Unary::kSoftplus>(a, b));
    case Unary::kExp:
      return body(Activation<Unary::kExp>(a, b));
    case Unary::kLog:
      return body(Activation<Unary::kLog>(a, b));
    case Unary::kSqrt:
      return body(Activation<Unary::kSqrt>(a, b));
    case Unary::kSquare:
      return body(Activation<Unary::kSquare>(a, b));
    case Unary::kAbs:
      return body(Activation<Unary::kAbs>(a, b));
    case Unary::kNeg:
      return body(Activation<Unary::kNeg>(a, b));
    case Unary::kReciprocal:
      return body(Activation<Unary::kReciprocal>(a, b));
    case Unary::kSin:
      return body(Activation<Unary::kSin>(a, b));
    case Unary::kCos:
      return body(Activation<Unary::kCos>(a, b));
    case Unary::kClip:
      return body(Activation<Unary::kClip>(a, b));
  }
}

// out[i] = op(in[i]) [+ residual[i]]; `out` may be `in` or `residual`. The one place where every activation's loop is
// instantiated:
// gcc would make a second copy of them all for calls without residual, 20 KB of the library.
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((noclone))
#endif
HWY_NOINLINE void activate(Unary op, float a, float b, const float* in, const float* residual, float* out,
                           size_t count) noexcept {
  with_activation(op, a, b, [&](auto act) HWY_ATTR {
    if (residual == nullptr) {
      columns(count, [&](auto io, size_t c) HWY_ATTR { io.store(act(io.load(in + c)), out + c); });
    } else {
      columns(count, [&](auto io, size_t c)
                         HWY_ATTR { io.store(hn::Add(act(io.load(in + c)), io.load(residual + c)), out + c); });
    }
  });
}

// Calls body(f), f(x, p, q).
template <class Body>
HWY_INLINE void with_channelwise(Channelwise op, Body body) {
  switch (op) {
    case Channelwise::kAffine:
      return body([](V x, V p, V q) HWY_ATTR { return hn::MulAdd(x, p, q); });
    case Channelwise::kPrelu:
      return body([](V x, V p, V) HWY_ATTR { return hn::IfThenElse(hn::Gt(x, set(0.0f)), x, hn::Mul(x, p)); });
    case Channelwise::kSnake:
      return body([](V x, V p, V q) HWY_ATTR { return hn::MulAdd(sin_squared(hn::Mul(x, p)), q, x); });
  }
}

HWY_INLINE bool has_activation(const Epilogue& e) { return e.act != Unary::kNone || e.p != nullptr || e.gate; }

// A finished tile of sums on its way out; residual_before_act is already in.
struct TileOut {
  float* sums;  // [rows][cols] without gaps; overwritten
  float* out;
  size_t out_ld;
  const float* residual;  // to add after the activation, or null
  size_t residual_ld;
  size_t rows, cols;
  size_t col;  // of the output: where the channels' parameters start
};

// Columns outside, rows inside: a channel's parameters are loaded once, and the tile's rows overlap.
HWY_NOINLINE void finish_channels(const Epilogue& e, const TileOut& t) noexcept {
  with_channelwise(e.channelwise, [&](auto f) HWY_ATTR {
    columns(t.cols, [&](auto io, size_t c) HWY_ATTR {
      const V p = io.load(e.p + t.col + c), q = e.q == nullptr ? p : io.load(e.q + t.col + c);
      for (size_t r = 0; r < t.rows; ++r) {
        V y = f(io.load(t.sums + r * t.cols + c), p, q);
        if (t.residual != nullptr) y = hn::Add(y, io.load(t.residual + r * t.residual_ld + c));
        io.store(y, t.out + r * t.out_ld + c);
      }
    });
  });
}

// Separate from the accumulation loop: inlined there, one imperfectly unrolled epilogue spilled the accumulators (90 %
// -> 30 % of peak). The activation runs over the tile as one span, because rows of 2 to 4 vectors would be too short to
// overlap.
HWY_NOINLINE void finish_tile(const Epilogue& e, const TileOut& t) noexcept {
  if (e.p != nullptr) return finish_channels(e, t);
  const size_t count = t.rows * t.cols;
  const bool flat = t.rows == 1 || (t.out_ld == t.cols && (t.residual == nullptr || t.residual_ld == t.cols));
  if (flat) return activate(e.act, e.a, e.b, t.sums, t.residual, t.out, count);
  activate(e.act, e.a, e.b, t.sums, nullptr, t.sums, count);
  for (size_t r = 0; r < t.rows; ++r) {
    const float* sums = t.sums + r * t.cols;
    float* out = t.out + r * t.out_ld;
    if (t.residual == nullptr) {
      columns(t.cols, [&](auto io, size_t c) HWY_ATTR { io.store(io.load(sums + c), out + c); });
    } else {
      const float* residual = t.residual + r * t.residual_ld;
      columns(t.cols, [&](auto io, size_t c)
                          HWY_ATTR { io.store(hn::Add(io.load(sums + c), io.load(residual + c)), out + c); });
    }
  }
}

void unary(const UnaryArgs& args) noexcept RTV_NONBLOCKING {
  if (args.in_ld == args.cols && args.out_ld == args.cols)
    return activate(args.op, args.a, args.b, args.in, nullptr, args.out, args.rows * args.cols);
  for (size_t r = 0; r < args.rows; ++r)
    activate(args.op, args.a, args.b, args.in + r * args.in_ld, nullptr, args.out + r * args.out_ld, args.cols);
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
