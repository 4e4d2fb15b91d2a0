// A single row of a product whose outputs come in groups, each with inputs of its own.
#pragma once

#include "simd/tile-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// A panel of a single row where groups of 16 or 32 outputs each have their own part of the input: side by side, as one group's few sums would wait
// for each other (3072 to 512 in 32 groups from L3: 3.7 us one by one, 2.5 here). False where the parts are not alike.
template <class W>
HWY_INLINE bool gemm_row_of_groups(const GemmArgs& args, const W* weights, size_t col) noexcept {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
  using DT = hn::CappedTag<float, sizeof(W) == 2 ? 8 : kLanes>;
  const DT d;
  constexpr size_t kN = hn::MaxLanes(DT()), kVectors = kRangeCols / kN, kUnits = kPanelCols / kRangeCols;
  if (col + kPanelCols > args.cols) return false;
  const PanelRange* ranges = args.ranges + col / kRangeCols;
  const size_t width = same_range(args.ranges, args.cols, col), length = ranges[0].length;
  if (width > kPanelCols / 2) return false;
  for (size_t c = width; c < kPanelCols; c += width) {
    if (same_range(args.ranges, args.cols, col + c) != width || ranges[c / kRangeCols].length != length) return false;
  }
  const size_t stream = min_size(width, kStreamCols), depth = args.num_segments * length;
  hn::Vec<DT> acc[kUnits][kVectors];
  const W* w[kUnits];
  RTV_UNROLL for (size_t u = 0; u < kUnits; ++u) {
    const size_t c = u * kRangeCols, within = c % width;
    w[u] = weights + (c - within) * depth + within / stream * stream * depth + within % stream;
    RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) acc[u][j] =
        args.bias ? hn::LoadU(d, args.bias + col + c + j * kN) : hn::Zero(d);
  }
  for (size_t s = 0; s < args.num_segments; ++s) {
    const float* x[kUnits];
    RTV_UNROLL for (size_t u = 0; u < kUnits; ++u) x[u] = args.seg[s] + ranges[u].begin;
    for (size_t k = 0; k < length; ++k) {
      RTV_UNROLL for (size_t u = 0; u < kUnits; ++u) {
        const hn::Vec<DT> xk = hn::Set(d, x[u][k]);
        RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) acc[u][j] =
            hn::MulAdd(xk, load_weights(d, w[u] + j * kN), acc[u][j]);
        w[u] += stream;
      }
    }
  }
  alignas(64) float sums[kPanelCols];
  RTV_UNROLL for (size_t u = 0; u < kUnits; ++u) {
    RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) hn::Store(acc[u][j], d, sums + u * kRangeCols + j * kN);
  }
  finish_part(args.epilogue, sums, args.out, 0, col, kPanelCols);
  return true;
#else
  (void)args, (void)weights, (void)col;
  return false;
#endif
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
