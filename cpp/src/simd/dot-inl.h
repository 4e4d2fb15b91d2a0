// One output channel: lanes run along k, four accumulators, one fixed tree, the same for every number of rows.
#pragma once

#include "simd/activation-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

struct DotInput {
  const float* const* seg;
  size_t num_segments, seg_len, begin, length, row_step;
  const float* weights;
};

// kRows rows share the loads of the weights; each keeps its own four accumulators.
template <size_t kRows>
HWY_INLINE void dot_rows(const DotInput& in, size_t row, float* HWY_RESTRICT sums) noexcept {
  constexpr size_t kUnroll = 4;
  const D d;
  V acc[kRows][kUnroll];
  RTV_UNROLL for (size_t i = 0; i < kRows; ++i) {
    RTV_UNROLL for (size_t u = 0; u < kUnroll; ++u) acc[i][u] = hn::Zero(d);
  }
  const size_t step = in.row_step;
  for (size_t s = 0; s < in.num_segments; ++s) {
    const float* HWY_RESTRICT x = in.seg[s] + row * step + in.begin;
    const float* HWY_RESTRICT w = in.weights + s * in.length;
    size_t k = 0;
    for (; k + kUnroll * kLanes <= in.length; k += kUnroll * kLanes) {
      RTV_UNROLL for (size_t u = 0; u < kUnroll; ++u) {
        const V wu = hn::LoadU(d, w + k + u * kLanes);
        RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][u] =
            hn::MulAdd(hn::LoadU(d, x + i * step + k + u * kLanes), wu, acc[i][u]);
      }
    }
    RTV_UNROLL for (size_t u = 0; u < kUnroll; ++u) {
      if (k + kLanes > in.length) break;
      const V wu = hn::LoadU(d, w + k);
      RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][u] =
          hn::MulAdd(hn::LoadU(d, x + i * step + k), wu, acc[i][u]);
      k += kLanes;
    }
    if (kLanes > 1 && k < in.length) {
      const size_t n = in.length - k;
      const V wu = load_part(d, w + k, n);
      RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][3] =
          hn::MulAdd(load_part(d, x + i * step + k, n), wu, acc[i][3]);
    }
  }
  RTV_UNROLL for (size_t i = 0; i < kRows; ++i) {
    sums[i] = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(acc[i][0], acc[i][1]), hn::Add(acc[i][2], acc[i][3]))));
  }
}

HWY_INLINE void dot_all(const DotInput& in, size_t row, size_t rows, float* sums) noexcept {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) dot_rows<4>(in, row + r, sums + r);
  for (; r < rows; ++r) dot_rows<1>(in, row + r, sums + r);
}

constexpr size_t kDotChunk = 64;  // rows between buffer and output

void dot(const DotArgs& args) noexcept RTV_NONBLOCKING {
  const DotInput in{args.seg, args.num_segments, args.seg_len, 0, args.seg_len, args.row_step, args.weights};
  float sums[kDotChunk];
  for (size_t r = 0; r < args.rows; r += kDotChunk) {
    const size_t n = min_size(kDotChunk, args.rows - r);
    dot_all(in, r, n, sums);
    for (size_t i = 0; i < n; ++i) args.out[(r + i) * args.out_step] = sums[i] + args.bias;
  }
}

// gemm for one column.
HWY_NOINLINE void gemm_single(const GemmArgs& args) noexcept {
  DotInput in{args.seg, args.num_segments, args.seg_len, 0, args.seg_len, args.row_step, args.weights};
  if (args.ranges != nullptr) {
    in.begin = args.ranges[0].begin;
    in.length = args.ranges[0].length;
  }
  const Epilogue& e = args.epilogue;
  const float bias = args.bias ? args.bias[0] : 0.0f;
  float sums[kDotChunk];
  for (size_t r = 0; r < args.rows; r += kDotChunk) {
    const size_t n = min_size(kDotChunk, args.rows - r);
    dot_all(in, r, n, sums);
    const float* residual = e.residual ? e.residual + r * e.residual_ld : nullptr;
    for (size_t i = 0; i < n; ++i) sums[i] += bias;
    if (residual && e.residual_before_act) {
      for (size_t i = 0; i < n; ++i) sums[i] += residual[i * e.residual_ld];
    }
    if (e.p == nullptr) {
      activate(e.act, e.a, e.b, sums, nullptr, sums, n);
    } else {
      with_channelwise(e.channelwise, [&](auto f) HWY_ATTR {
        const V p = set(e.p[0]), q = set(e.q == nullptr ? 0.0f : e.q[0]);
        columns(n, [&](auto io, size_t i) HWY_ATTR { io.store(f(io.load(sums + i), p, q), sums + i); });
      });
    }
    if (residual && !e.residual_before_act) {
      for (size_t i = 0; i < n; ++i) sums[i] += residual[i * e.residual_ld];
    }
    for (size_t i = 0; i < n; ++i) args.out[(r + i) * args.out_ld] = sums[i];
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
