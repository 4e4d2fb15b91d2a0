// Depthwise convolution: each channel its own taps. Bias, then taps in ascending order, one accumulator per output.
#pragma once

#include "simd/activation-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// Sums of a tile, to `sums`: the output itself or a buffer.
template <size_t kRows, size_t kVectors>
HWY_INLINE void depthwise_tile(const DepthwiseArgs& args, size_t row, size_t col, float* HWY_RESTRICT sums,
                               size_t sums_ld) noexcept {
  const D d;
  V acc[kRows][kVectors];
  RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) {
    const V bias = args.bias ? hn::LoadU(d, args.bias + col + j * kLanes) : hn::Zero(d);
    RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][j] = bias;
  }
  const size_t step = args.row_step;
  for (size_t k = 0; k < args.num_taps; ++k) {
    const float* HWY_RESTRICT x = args.tap[k] + row * step + col;
    const float* HWY_RESTRICT w = args.weights + k * args.weights_ld + col;
    RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) {
      const V wj = hn::LoadU(d, w + j * kLanes);
      RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][j] =
          hn::MulAdd(hn::LoadU(d, x + i * step + j * kLanes), wj, acc[i][j]);
    }
  }
  RTV_UNROLL for (size_t i = 0; i < kRows; ++i) {
    RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) hn::StoreU(acc[i][j], d, sums + i * sums_ld + j * kLanes);
  }
}

HWY_INLINE void depthwise_part(const DepthwiseArgs& args, size_t row, size_t col, size_t n,
                               float* HWY_RESTRICT sums) noexcept {
  const D d;
  V acc = args.bias ? load_part(d, args.bias + col, n) : hn::Zero(d);
  for (size_t k = 0; k < args.num_taps; ++k) {
    acc = hn::MulAdd(load_part(d, args.tap[k] + row * args.row_step + col, n),
                     load_part(d, args.weights + k * args.weights_ld + col, n), acc);
  }
  hn::Store(acc, d, sums);
}

// A tile of sums becomes output.
HWY_INLINE void depthwise_finish(const DepthwiseArgs& args, size_t row, size_t col, size_t rows, size_t cols,
                                 float* sums) noexcept {
  const Epilogue& e = args.epilogue;
  const float* residual = e.residual ? e.residual + row * e.residual_ld + col : nullptr;
  if (residual && e.residual_before_act) {
    for (size_t i = 0; i < rows; ++i) {
      columns(cols, [&](auto io, size_t c) HWY_ATTR {
        float* s = sums + i * cols + c;
        io.store(hn::Add(io.load(s), io.load(residual + i * e.residual_ld + c)), s);
      });
    }
    residual = nullptr;
  }
  finish_tile(e, {sums, args.out + row * args.out_ld + col, args.out_ld, residual, e.residual_ld, rows, cols, col});
}

template <size_t kRows, size_t kVectors>
HWY_INLINE void depthwise_step(const DepthwiseArgs& args, size_t row, size_t col) noexcept {
  if (!has_activation(args.epilogue) && args.epilogue.residual == nullptr) {
    return depthwise_tile<kRows, kVectors>(args, row, col, args.out + row * args.out_ld + col, args.out_ld);
  }
  alignas(64) float sums[kRows * kVectors * kLanes];
  depthwise_tile<kRows, kVectors>(args, row, col, sums, kVectors * kLanes);
  depthwise_finish(args, row, col, kRows, kVectors * kLanes, sums);
}

// Rows outside, columns inside: memory is walked in its own order. Eight accumulators in every shape.
template <size_t kRows>
HWY_INLINE void depthwise_rows(const DepthwiseArgs& args, size_t row) noexcept {
  constexpr size_t kVectors = 8 / kRows;
  size_t col = 0;
  for (; col + kVectors * kLanes <= args.cols; col += kVectors * kLanes)
    depthwise_step<kRows, kVectors>(args, row, col);
  for (; col + kLanes <= args.cols; col += kLanes) depthwise_step<kRows, 1>(args, row, col);
  if (kLanes > 1 && col < args.cols) {
    alignas(64) float sums[kLanes];
    for (size_t i = 0; i < kRows; ++i) {
      depthwise_part(args, row + i, col, args.cols - col, sums);
      depthwise_finish(args, row + i, col, 1, args.cols - col, sums);
    }
  }
}

void depthwise(const DepthwiseArgs& args) noexcept RTV_NONBLOCKING {
  size_t row = 0;
  for (; row + 4 <= args.rows; row += 4) depthwise_rows<4>(args, row);
  for (; row + 2 <= args.rows; row += 2) depthwise_rows<2>(args, row);
  if (row < args.rows) depthwise_rows<1>(args, row);
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
