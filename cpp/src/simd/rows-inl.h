// Products of one row that follow each other: what a network that runs sample by sample is made of.
#pragma once

#include "simd/gemm-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// A row of 64 columns of 16-bit weights, here and now; false where it is none, or this table has no such tile.
template <class W>
HWY_INLINE bool inline_row(const GemmArgs& args) noexcept {
  if constexpr (sizeof(W) == 2 && kHalfWeights && widest(1) * min_size(kLanes, 8) == kPanelCols) {
    if (args.half == nullptr || args.cols != kPanelCols || args.ranges != nullptr || args.seg_len % 4 != 0)
      return false;
    const size_t stream = args.num_segments * args.seg_len * kStreamCols;
    const TileAt<W> at{0, 0, reinterpret_cast<const W*>(args.half), kStreamCols, stream, 0, args.seg_len};
    tile<1, widest(1), hn::CappedTag<float, 8>, W, 4>(args, at);
    return true;
  }
  return false;
}

// Products of one row, each reading what the ones before it made. Those of most networks that run sample by sample are inlined: between two calls of
// 30 multiply-adds an accumulator the processor does not look far enough ahead to overlap them.
void gemm_rows(const GemmArgs* const* products, size_t count) noexcept RTV_NONBLOCKING {
  for (size_t i = 0; i < count; ++i) {
    if (!inline_row<hwy::float16_t>(*products[i])) gemm(*products[i]);
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
