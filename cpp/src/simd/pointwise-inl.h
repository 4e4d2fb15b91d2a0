// Elementwise kernels over rows: per-channel parameters, two inputs, FiLM.
#pragma once

#include "simd/activation-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

void channelwise(const ChannelwiseArgs& args) noexcept RTV_NONBLOCKING {
  with_channelwise(args.op, [&](auto f) HWY_ATTR {
    for (size_t r = 0; r < args.rows; ++r) {
      const float* in = args.in + r * args.in_ld;
      float* out = args.out + r * args.out_ld;
      columns(args.cols, [&](auto io, size_t c) HWY_ATTR {
        const V p = io.load(args.p + c), q = args.q == nullptr ? p : io.load(args.q + c);
        io.store(f(io.load(in + c), p, q), out + c);
      });
    }
  });
}

// A row of one input: its channels, or its first element for all of them.
struct WideRow {
  const float* p;
  template <class IO>
  HWY_INLINE V load(IO io, size_t c) const {
    return io.load(p + c);
  }
};
struct NarrowRow {
  V v;
  template <class IO>
  HWY_INLINE V load(IO, size_t) const {
    return v;
  }
};

struct AnyRow {
  const float* p;
  bool wide;
  template <class IO>
  HWY_INLINE V load(IO io, size_t c) const {
    return wide ? io.load(p + c) : set(*p);
  }
};

template <class F, class A, class B>
HWY_INLINE void binary_row(F f, A a, B b, float* out, size_t cols) {
  columns(cols, [&](auto io, size_t c) HWY_ATTR { io.store(f(a.load(io, c), b.load(io, c)), out + c); });
}

void binary(const BinaryArgs& args) noexcept RTV_NONBLOCKING {
  const auto run = [&](auto f) HWY_ATTR {
    for (size_t r = 0; r < args.rows; ++r) {
      const float* a = args.a + r * args.a_ld;
      const float* b = args.b + r * args.b_ld;
      float* out = args.out + r * args.out_ld;
      if (args.a_wide && args.b_wide) {
        binary_row(f, WideRow{a}, WideRow{b}, out, args.cols);
      } else if (args.a_wide) {
        binary_row(f, WideRow{a}, NarrowRow{set(b[0])}, out, args.cols);
      } else if (args.b_wide) {
        binary_row(f, NarrowRow{set(a[0])}, WideRow{b}, out, args.cols);
      } else {
        binary_row(f, NarrowRow{set(a[0])}, NarrowRow{set(b[0])}, out, args.cols);
      }
    }
  };
  switch (args.op) {
    case Binary::kAdd:
      return run([](V a, V b) HWY_ATTR { return hn::Add(a, b); });
    case Binary::kSub:
      return run([](V a, V b) HWY_ATTR { return hn::Sub(a, b); });
    case Binary::kMul:
      return run([](V a, V b) HWY_ATTR { return hn::Mul(a, b); });
    case Binary::kDiv:
      return run([](V a, V b) HWY_ATTR { return hn::Div(a, b); });
  }
}

template <class Gamma, class Beta>
HWY_INLINE void film_row(const float* x, Gamma gamma, Beta beta, V offset, float* out, size_t cols) {
  columns(cols, [&](auto io, size_t c) HWY_ATTR {
    io.store(hn::MulAdd(io.load(x + c), hn::Add(gamma.load(io, c), offset), beta.load(io, c)), out + c);
  });
}

void film(const FilmArgs& args) noexcept RTV_NONBLOCKING {
  const V offset = set(args.offset);
  for (size_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.x_ld;
    const float* gamma = args.gamma + r * args.gamma_ld;
    const float* beta = args.beta + r * args.beta_ld;
    float* out = args.out + r * args.out_ld;
    if (args.gamma_wide && args.beta_wide) {
      film_row(x, WideRow{gamma}, WideRow{beta}, offset, out, args.cols);
    } else {
      film_row(x, AnyRow{gamma, args.gamma_wide}, AnyRow{beta, args.beta_wide}, offset, out, args.cols);
    }
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
