// Normalisation and softmax over the channels of each frame. Padding lanes are neither read nor written.
#pragma once

#include "simd/common-inl.h"
#include "simd/math-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// Two accumulators and one tree, the same for every row. Partial vectors add `term` of their own lanes only.
template <class Term>
HWY_INLINE V sum_row(size_t channels, Term term) {
  const D d;
  V s0 = hn::Zero(d), s1 = hn::Zero(d);
  size_t c = 0;
  for (; c + 2 * kLanes <= channels; c += 2 * kLanes) {
    s0 = hn::Add(s0, term(Whole(), c));
    s1 = hn::Add(s1, term(Whole(), c + kLanes));
  }
  if (c + kLanes <= channels) {
    s0 = hn::Add(s0, term(Whole(), c));
    c += kLanes;
  }
  if (kLanes > 1 && c < channels) {
    const V t = term(Part{channels - c}, c);
    s1 = hn::Add(s1, hn::IfThenElseZero(hn::FirstN(d, channels - c), t));
  }
  return hn::SumOfLanes(d, hn::Add(s0, s1));
}

// The mean is kept in two pieces: with a mean far above the spread, one float's rounding alone would cost 1e-5 of the
// result.
void norm(const NormArgs& args) noexcept RTV_NONBLOCKING {
  const V count = set(static_cast<float>(args.channels)), eps = set(args.eps);
  for (size_t r = 0; r < args.rows; ++r) {
    const float* in = args.in + r * args.in_ld;
    float* out = args.out + r * args.out_ld;
    V mean = set(0.0f), rest = set(0.0f);
    if (!args.rms) {
      mean = hn::Div(sum_row(args.channels, [&](auto io, size_t c) HWY_ATTR { return io.load(in + c); }), count);
      rest = hn::Div(sum_row(args.channels, [&](auto io, size_t c) HWY_ATTR { return hn::Sub(io.load(in + c), mean); }),
                     count);
    }
    const auto centred = [&](auto io, size_t c) HWY_ATTR { return hn::Sub(hn::Sub(io.load(in + c), mean), rest); };
    const V squares = sum_row(args.channels, [&](auto io, size_t c) HWY_ATTR {
      const V x = centred(io, c);
      return hn::Mul(x, x);
    });
    const V scale = hn::Div(set(1.0f), hn::Sqrt(hn::Add(hn::Div(squares, count), eps)));
    columns(args.channels, [&](auto io, size_t c) HWY_ATTR {
      V y = hn::Mul(centred(io, c), scale);
      if (args.weight != nullptr) y = hn::Mul(y, io.load(args.weight + c));
      if (args.bias != nullptr) y = hn::Add(y, io.load(args.bias + c));
      io.store(y, out + c);
    });
  }
}

// The greatest of a row, whatever the order.
HWY_INLINE V max_row(const float* in, size_t channels) {
  const V lowest = set(-3.4028235e38f);
  V most = lowest;
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) most = hn::Max(most, hn::LoadU(D(), in + c));
  if (kLanes > 1 && c < channels) {
    const V rest = load_part(D(), in + c, channels - c);
    most = hn::Max(most, hn::IfThenElse(hn::FirstN(D(), channels - c), rest, lowest));
  }
  return hn::MaxOfLanes(D(), most);
}

void softmax(const SoftmaxArgs& args) noexcept RTV_NONBLOCKING {
  for (size_t r = 0; r < args.rows; ++r) {
    const float* in = args.in + r * args.in_ld;
    float* out = args.out + r * args.out_ld;
    const V most = max_row(in, args.channels);
    columns(args.channels, [&](auto io, size_t c) HWY_ATTR { io.store(exp(hn::Sub(io.load(in + c), most)), out + c); });
    const V scale =
        hn::Div(set(1.0f), sum_row(args.channels, [&](auto io, size_t c) HWY_ATTR { return io.load(out + c); }));
    columns(args.channels, [&](auto io, size_t c) HWY_ATTR { io.store(hn::Mul(io.load(out + c), scale), out + c); });
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
