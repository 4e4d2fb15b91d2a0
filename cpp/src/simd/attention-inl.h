// Attention of each frame over a bounded past: one sum for every head, in the order of time.
#pragma once

#include "simd/norm-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// How well a query meets a key: two accumulators and one tree, as everywhere.
HWY_INLINE float meet(const float* q, const float* k, size_t depth) {
  return hn::GetLane(
      sum_row(depth, [&](auto io, size_t c) HWY_ATTR { return hn::Mul(io.load(q + c), io.load(k + c)); }));
}

// out[c] = sum over j of share[j] * v[j][c], j ascending; four vectors at a time hide an addition's latency.
HWY_INLINE void gather(const float* share, const float* v, size_t ld, size_t count, size_t depth, float* out) {
  const D d;
  size_t c = 0;
  for (; c + 4 * kLanes <= depth; c += 4 * kLanes) {
    V s0 = set(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (size_t j = 0; j < count; ++j) {
      const V p = set(share[j]);
      const float* row = v + j * ld + c;
      s0 = hn::MulAdd(p, hn::LoadU(d, row), s0);
      s1 = hn::MulAdd(p, hn::LoadU(d, row + kLanes), s1);
      s2 = hn::MulAdd(p, hn::LoadU(d, row + 2 * kLanes), s2);
      s3 = hn::MulAdd(p, hn::LoadU(d, row + 3 * kLanes), s3);
    }
    hn::StoreU(s0, d, out + c);
    hn::StoreU(s1, d, out + c + kLanes);
    hn::StoreU(s2, d, out + c + 2 * kLanes);
    hn::StoreU(s3, d, out + c + 3 * kLanes);
  }
  columns(depth - c, [&](auto io, size_t i) HWY_ATTR {
    V s = set(0.0f);
    for (size_t j = 0; j < count; ++j) s = hn::MulAdd(set(share[j]), io.load(v + j * ld + c + i), s);
    io.store(s, out + c + i);
  });
}

void attend(const AttendArgs& args) noexcept RTV_NONBLOCKING {
  const size_t depth = args.key_channels / args.heads, width = args.value_channels / args.heads;
  const V scale = set(args.scale);
  for (size_t r = 0; r < args.rows; ++r) {
    const size_t skip = args.missing > r ? args.missing - r : 0, count = args.window - skip;
    for (size_t h = 0; h < args.heads; ++h) {
      const float* q = args.q + r * args.q_ld + h * depth;
      const float* k = args.k + (r + skip) * args.k_ld + h * depth;
      for (size_t j = 0; j < count; ++j) args.shares[j] = meet(q, k + j * args.k_ld, depth);
      const V most = max_row(args.shares, count);
      columns(count, [&](auto io, size_t j) HWY_ATTR {
        io.store(exp(hn::Mul(hn::Sub(io.load(args.shares + j), most), scale)), args.shares + j);
      });
      const V share =
          hn::Div(set(1.0f), sum_row(count, [&](auto io, size_t j) HWY_ATTR { return io.load(args.shares + j); }));
      float* out = args.out + r * args.out_ld + h * width;
      gather(args.shares, args.v + (r + skip) * args.v_ld + h * width, args.v_ld, count, width, out);
      columns(width, [&](auto io, size_t c) HWY_ATTR { io.store(hn::Mul(io.load(out + c), share), out + c); });
    }
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
