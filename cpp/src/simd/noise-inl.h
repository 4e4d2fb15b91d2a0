// The counter-based noise of docs/model-format.md. Its integers are the same on every instruction set.
#pragma once

#include "simd/math-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

using VU = hn::Vec<DU>;

uint32_t mix_one(uint32_t x) {
  x ^= x >> 16;
  x *= 0x21f0aaadu;
  x ^= x >> 15;
  x *= 0xd35a2d97u;
  return x ^ (x >> 15);
}

HWY_INLINE VU mix(VU x) {
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  x = hn::Mul(x, hn::Set(DU(), 0x21f0aaadu));
  x = hn::Xor(x, hn::ShiftRight<15>(x));
  x = hn::Mul(x, hn::Set(DU(), 0xd35a2d97u));
  return hn::Xor(x, hn::ShiftRight<15>(x));
}

uint32_t noise_key(uint64_t seed, uint32_t stream) {
  return mix_one(static_cast<uint32_t>(seed) + 0x9e3779b9u * stream) ^
         mix_one(static_cast<uint32_t>(seed >> 32) + 0x85ebca6bu);
}

// u32(first + lane*stride) >> 8 as floats: integers below 2^24, exact.
HWY_INLINE V noise_lanes(uint64_t first, uint32_t stride, uint32_t key) {
  const DU du;
  alignas(64) uint32_t low[kLanes], high[kLanes];
  VU lo, hi;
  const uint32_t first_low = static_cast<uint32_t>(first), first_high = static_cast<uint32_t>(first >> 32);
  if (first_low <= UINT32_MAX - stride * kLanes) {
    lo = hn::Add(hn::Set(du, first_low), hn::Mul(hn::Iota(du, 0), hn::Set(du, stride)));
    hi = hn::Set(du, first_high);
  } else {  // the low word wraps within this vector: once in 2^32 counts
    for (size_t i = 0; i < kLanes; ++i) {
      const uint64_t at = first + i * stride;
      low[i] = static_cast<uint32_t>(at);
      high[i] = static_cast<uint32_t>(at >> 32);
    }
    lo = hn::Load(du, low);
    hi = hn::Load(du, high);
  }
  const VU k = hn::Set(du, key);
  const VU word = mix(hn::Add(hn::Add(mix(hn::Xor(lo, k)), hn::Mul(hi, hn::Set(du, 0x9e3779b9u))), k));
  return hn::ConvertTo(D(), hn::BitCast(DI(), hn::ShiftRight<8>(word)));
}

constexpr float kTwoToMinus24 = 5.9604644775390625e-08f;

HWY_INLINE V uniform_lanes(uint64_t i, uint32_t key, V low, V scale) {
  return hn::MulAdd(noise_lanes(i, 1, key), scale, low);
}

HWY_INLINE V gaussian_lanes(uint64_t i, uint32_t key, V mean, V std) {
  const V u = hn::Mul(hn::Add(noise_lanes(2 * i, 2, key), set(1.0f)), set(kTwoToMinus24));
  const V radius = hn::Sqrt(hn::Mul(set(-2.0f), log(u)));
  // cos(pi t), t in [0, 2): with n = round(t - 1/2), t - 1/2 - n is exact, and the cosine is -(-1)^n sin of pi times
  // it.
  const V t = hn::Sub(hn::Mul(noise_lanes(2 * i + 1, 2, key), set(2.0f * kTwoToMinus24)), set(0.5f));
  V shifted;
  const V n = nearest(t, shifted);
  const V c = flip_if_odd(sin_half_turn(hn::Mul(hn::Sub(t, n), set(-3.14159265f))), shifted);
  return hn::MulAdd(hn::Mul(std, radius), c, mean);
}

void noise(const NoiseArgs& args) noexcept RTV_NONBLOCKING {
  const uint32_t key = noise_key(args.seed, args.stream);
  const V p0 = set(args.p0), p1 = set(args.p1), scale = set((args.p1 - args.p0) * kTwoToMinus24);
  for (size_t r = 0; r < args.rows; ++r) {
    const uint64_t i = (args.frame + r) * args.channels;
    float* out = args.out + r * args.out_ld;
    columns(args.channels, [&](auto io, size_t c) HWY_ATTR {
      io.store(args.gaussian ? gaussian_lanes(i + c, key, p0, p1) : uniform_lanes(i + c, key, p0, scale), out + c);
    });
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
