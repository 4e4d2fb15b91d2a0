// Excitation and its filter: band-limited pulse trains, and FIR filters whose taps change from frame to frame.
#pragma once

#include "simd/noise-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

using VI = hn::Vec<DI>;

constexpr float kPi = 3.14159265f;

// sin(pi t) for |t| <= 1; relative accuracy near 0 is kept.
HWY_INLINE V sin_pi(V t) {
  V shifted;
  const V n = nearest(t, shifted);
  return flip_if_odd(sin_half_turn(hn::Mul(hn::Sub(t, n), set(kPi))), shifted);
}

// Angles are integers of 2^-24 turns, so that multiples of them are exact, whatever the harmonic; products wrap modulo
// 2^32, which holds whole turns. With D = sin((2K + 1) pi p) / sin(pi p) the sum of the first K cosines is (D - 1) / 2:
// 2e-7 of its peak, at the cost of one harmonic instead of K.
HWY_INLINE V harmonics_lanes(V phase, V frequency, V limit, V count) {
  constexpr float kTwo24 = 16777216.0f;
  const V zero = set(0.0f), one = set(1.0f);
  const auto sounds = hn::Gt(frequency, zero);
  const V room = hn::Sub(hn::Div(limit, hn::IfThenElse(sounds, frequency, one)), one);
  const V h = hn::Max(hn::Min(room, count), set(1e-12f));
  const VI whole = hn::ConvertTo(DI(), h);  // h > 0: truncation is the floor
  const V part = hn::Sub(h, hn::ConvertTo(D(), whole));

  V shifted;
  // NaN and what has no fraction left count as 0.
  phase = hn::IfThenElseZero(hn::Lt(hn::Abs(phase), set(4194304.0f)), phase);
  const V turn = hn::Sub(phase, nearest(phase, shifted));  // -1/2 to 1/2, exact
  const VI angle = hn::NearestInt(hn::Mul(turn, set(kTwo24)));

  // Half turns: 25 bits with the sign.
  const VI twice_plus_one = hn::Add(hn::ShiftLeft<1>(whole), hn::Set(DI(), 1));
  const VI product = hn::ShiftRight<7>(hn::ShiftLeft<7>(hn::Mul(angle, twice_plus_one)));
  const V top = sin_pi(hn::Mul(hn::ConvertTo(D(), product), set(kTwoToMinus24)));
  const V bottom = sin_pi(hn::Mul(hn::ConvertTo(D(), angle), set(kTwoToMinus24)));
  const auto peak = hn::Eq(bottom, zero);
  const V kernel =
      hn::IfThenElse(peak, hn::ConvertTo(D(), twice_plus_one), hn::Div(top, hn::IfThenElse(peak, one, bottom)));

  // Whole turns: 24 bits with the sign; cos 2a = 1 - 2 sin(a)^2.
  const VI last = hn::ShiftRight<8>(hn::ShiftLeft<8>(hn::Mul(angle, hn::Add(whole, hn::Set(DI(), 1)))));
  const V s = sin_pi(hn::Mul(hn::ConvertTo(D(), last), set(kTwoToMinus24)));
  const V cosine = hn::NegMulAdd(hn::Add(s, s), s, one);

  const V sum = hn::MulAdd(part, cosine, hn::Mul(hn::Sub(kernel, one), set(0.5f)));
  return hn::IfThenElseZero(sounds, hn::Mul(sum, hn::Sqrt(hn::Div(set(2.0f), h))));
}

void harmonics(const HarmonicsArgs& args) noexcept RTV_NONBLOCKING {
  const V limit = set(args.limit), count = set(args.count);
  columns(args.rows, [&](auto io, size_t r) HWY_ATTR {
    io.store(harmonics_lanes(io.load(args.phase + r), io.load(args.frequency + r), limit, count), args.out + r);
  });
}

// kVectors sums at once hide the latency of their multiply-adds; each has the one order of its taps.
template <size_t kVectors, class IO>
HWY_INLINE void fir_sums(IO io, const float* x, const float* taps, size_t num_taps, V* sums) {
  RTV_UNROLL for (size_t i = 0; i < kVectors; ++i) sums[i] = set(0.0f);
  for (size_t k = 0; k < num_taps; ++k, --x) {
    const V tap = set(taps[k]);
    RTV_UNROLL for (size_t i = 0; i < kVectors; ++i) sums[i] = hn::MulAdd(tap, io.load(x + i * kLanes), sums[i]);
  }
}

template <size_t kVectors, class IO>
HWY_INLINE void fir_rows(IO io, const FirArgs& args, size_t r) {
  V sums[kVectors], older[kVectors];
  fir_sums<kVectors>(io, args.x + r, args.taps, args.num_taps, sums);
  if (args.before != nullptr) {
    fir_sums<kVectors>(io, args.x + r, args.before, args.num_taps, older);
    const V period = set(static_cast<float>(args.period));
    RTV_UNROLL for (size_t i = 0; i < kVectors; ++i) {
      const float first = static_cast<float>(args.position + r + i * kLanes + 1);
      const V share = hn::Div(hn::Add(set(first), hn::Iota(D(), 0.0f)), period);
      sums[i] = hn::MulAdd(hn::Sub(sums[i], older[i]), share, older[i]);
    }
  }
  RTV_UNROLL for (size_t i = 0; i < kVectors; ++i) io.store(sums[i], args.out + r + i * kLanes);
}

void fir(const FirArgs& args) noexcept RTV_NONBLOCKING {
  size_t r = 0;
  for (; r + 8 * kLanes <= args.rows; r += 8 * kLanes) fir_rows<8>(Whole(), args, r);
  for (; r + 2 * kLanes <= args.rows; r += 2 * kLanes) fir_rows<2>(Whole(), args, r);
  for (; r + kLanes <= args.rows; r += kLanes) fir_rows<1>(Whole(), args, r);
  if (kLanes > 1 && r < args.rows) fir_rows<1>(Part{args.rows - r}, args, r);
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
