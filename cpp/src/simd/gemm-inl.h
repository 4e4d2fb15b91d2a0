// The product behind every convolution and linear layer: register tiles over packed panels of columns.
//
// Each output is bias, then its products in ascending k, in one accumulator, in every tile shape: the bits do not
// depend on how rows are cut. Independent accumulators come from the tile's rows and vectors; a single row spans a
// whole panel instead.
#pragma once

#include "simd/activation-inl.h"
#include "simd/dot-inl.h"
#include "simd/groups-inl.h"
#include "simd/row-inl.h"
#include "simd/tile-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// One or two rows need more columns for the 8 independent accumulators that hide an FMA's latency (2 reach 24 % of
// peak).
constexpr size_t widest(size_t rows) { return rows == 1 ? 8 : rows == 2 ? 4 : kMaxVectors; }

// A tile's place.
template <class W>
struct TileAt {
  size_t row, col;
  const W* weights;      // of the tile's first vector
  size_t stream_cols;    // weights between k and k + 1
  size_t stream_step;    // weights between streams
  size_t begin, length;  // of every segment
};

// kTurn: how many k a single row's loop takes in one turn.
template <size_t kRows, size_t kVectors, class DT, class W, size_t kTurn = 1>
HWY_INLINE void tile(const GemmArgs& args, const TileAt<W>& at) noexcept {
  const DT d;
  using VT = hn::Vec<DT>;
  constexpr size_t kN = hn::MaxLanes(DT());
  VT acc[kRows][kVectors];
  RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) {
    const VT bias = args.bias ? hn::LoadU(d, args.bias + at.col + j * kN) : hn::Zero(d);
    RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][j] = bias;
  }
  constexpr size_t kPerStream = min_size(kVectors, kStreamCols / kN);
  for (size_t s = 0; s < args.num_segments; ++s) {
    TileRows<kRows> x(args.seg[s] + at.row * args.row_step + at.begin, args.row_step);
    const W* HWY_RESTRICT w = at.weights + s * at.length * at.stream_cols;
    size_t k = 0;
    if constexpr (kMaxVectors == 4 && kVectors == 1 && kRows >= 8 && kN >= 8) {
      constexpr size_t kSteps = 4;
      for (; k + kSteps <= at.length; k += kSteps) {
        RTV_UNROLL for (size_t u = 0; u < kSteps; ++u) {
          const VT b = load_weights(d, w + u * at.stream_cols);
          RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][0] = hn::MulAdd(hn::Set(d, x.row(i)[u]), b, acc[i][0]);
        }
        x.advance(kSteps);
        w += kSteps * at.stream_cols;
      }
    }
    const auto weights_of = [&](size_t j) HWY_ATTR {
      return load_weights(d, w + j / kPerStream * at.stream_step + j % kPerStream * kN);
    };
    // One row needs each vector of weights once: 8 of them beside 8 accumulators and an input are one more than AVX2 has registers.
    for (; kRows == 1 && k < at.length; k += kTurn) {
      RTV_UNROLL for (size_t u = 0; u < kTurn; ++u) {
        const VT xi = hn::Set(d, *x.row(0));
        RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) acc[0][j] = hn::MulAdd(xi, weights_of(j), acc[0][j]);
        x.advance(1);
        w += at.stream_cols;
      }
    }
    for (; k < at.length; ++k) {
      VT b[kVectors];
      RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) b[j] = weights_of(j);
      RTV_UNROLL for (size_t i = 0; i < kRows; ++i) {
        const VT xi = hn::Set(d, *x.row(i));
        RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) acc[i][j] = hn::MulAdd(xi, b[j], acc[i][j]);
      }
      if constexpr (kRows >= 2 && kRows <= 5 && kVectors == kMaxVectors) prefetch_ahead<kVectors * kN * sizeof(W)>(w);
      x.advance(1);
      w += at.stream_cols;
    }
  }

  const Epilogue& e = args.epilogue;
  const bool apart = args.part != nullptr || has_activation(e);
  if (e.residual != nullptr && args.part == nullptr && (e.residual_before_act || !apart)) {
    const bool in_turns = e.gate && e.film_gamma == nullptr;
    const float* residual = e.residual + at.row * e.residual_ld;
    RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) {
      const size_t col = in_turns ? gate_column(e, at.col + j * kN) : at.col + j * kN;
      RTV_UNROLL for (size_t i = 0; i < kRows; ++i) acc[i][j] =
          hn::Add(acc[i][j], hn::LoadU(d, residual + i * e.residual_ld + col));
    }
  }
  if (!apart) {
    float* out = args.out + at.row * args.out_ld + at.col;
    RTV_UNROLL for (size_t i = 0; i < kRows; ++i) {
      RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) hn::StoreU(acc[i][j], d, out + i * args.out_ld + j * kN);
    }
    return;
  }
  if constexpr (kRows == 1 && kVectors >= 4) {
    if (finish_row<kVectors, DT>(args, at.row, at.col, acc[0])) return;
  }
  // Through a buffer that stays in L1, so that `out` may be the residual.
  alignas(64) float sums[kRows * kVectors * kN];
#if HWY_TARGET != HWY_SCALAR
  if constexpr (2 * kN == kLanes && kVectors % 2 == 0) {
    // They are read back as whole vectors: two halves stored apart would keep each read waiting until both are written.
    RTV_UNROLL for (size_t i = 0; i < kRows * kVectors; i += 2) {
      hn::Store(hn::Combine(D(), acc[i / kVectors][i % kVectors + 1], acc[i / kVectors][i % kVectors]), D(),
                sums + i * kN);
    }
  } else
#endif
  {
    RTV_UNROLL for (size_t i = 0; i < kRows; ++i) {
      RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) hn::Store(acc[i][j], d, sums + (i * kVectors + j) * kN);
    }
  }
  finish_product(args, at.row, at.col, kRows, kVectors * kN, sums);
}

template <size_t kRows, size_t kVectors, class DT, class W>
HWY_NOINLINE void gemm_tile(const GemmArgs& args, const TileAt<W>& at) noexcept {
  tile<kRows, kVectors, DT, W>(args, at);
}

// Rows in tiles of nearly equal height: 13 rows are 7 + 6, not 12 + 1.
// The plan keeps 16-bit weights where a hop has at most 4 rows, and takes 8 of 16 lanes for a single row only: more tiles
// would only make the library larger (0.3 MB).
template <class W, class DT>
constexpr size_t tallest(size_t vectors) {
  return sizeof(W) == 4 ? max_rows(vectors) : hn::MaxLanes(DT()) < kLanes ? 1 : min_size(max_rows(vectors), 4);
}
template <class W, class DT>
constexpr size_t lowest() {
  return sizeof(W) == 2 && kLanes > 8 && hn::MaxLanes(DT()) == kLanes ? 2 : 1;
}

template <size_t kVectors, class DT, class W, size_t kRows = tallest<W, DT>(kVectors)>
HWY_INLINE void gemm_tile_of(size_t rows, const GemmArgs& args, const TileAt<W>& at) noexcept {
  if constexpr (kRows > lowest<W, DT>()) {
    if (rows < kRows) return gemm_tile_of<kVectors, DT, W, kRows - 1>(rows, args, at);
  }
  gemm_tile<kRows, kVectors, DT, W>(args, at);
}

template <size_t kVectors, class DT, class W>
HWY_INLINE void gemm_column(const GemmArgs& args, TileAt<W> at) noexcept {
  constexpr size_t kHeight = tallest<W, DT>(kVectors);
  const size_t tiles = (args.rows + kHeight - 1) / kHeight;
  const size_t height = args.rows / tiles, taller = args.rows % tiles;
  at.row = 0;
  for (size_t t = 0; t < tiles; ++t) {
    const size_t rows = height + (t < taller ? 1 : 0);
    gemm_tile_of<kVectors, DT, W>(rows, args, at);
    at.row += rows;
  }
}

// kCols: the most columns that a panel of this tag has; 64: multiples of 16.
template <class DT, size_t kCols, class W>
HWY_INLINE void gemm_panel(const GemmArgs& args, TileAt<W> at, size_t cols) noexcept {
  constexpr size_t kN = hn::MaxLanes(DT()), kMost = kCols / kN, kFewest = kCols > 16 ? 16 / kN : 1;
  const W* weights = at.weights;
  const size_t first = at.col;
  for (size_t c = 0; c < cols;) {
    size_t n = min_size((cols - c) / kN, widest(args.rows));
    if (n > 4) n = n >= 8 ? 8 : 4;
    if (n == 3 && kMaxVectors < 3) n = 2;
    at.col = first + c;
    at.weights = weights + c / at.stream_cols * at.stream_step + c % at.stream_cols;
    if constexpr (kFewest <= 1) {
      if (n == 1) gemm_column<1, DT, W>(args, at);
    }
    if constexpr (kMost >= 2) {
      if (n == 2) gemm_column<2, DT, W>(args, at);
    }
    if constexpr (kMost >= 3 && kMaxVectors >= 3 && kFewest <= 1) {
      if (n == 3) gemm_column<3, DT, W>(args, at);
    }
    if constexpr (kMost >= 4) {
      if (n == 4) gemm_column<4, DT, W>(args, at);
    }
    if constexpr (kMost >= 8) {
      if (n == 8) gemm_column<8, DT, W>(args, at);
    }
    c += n * kN;
  }
}

size_t gemm_packed_floats(size_t depth, size_t cols) noexcept { return depth * cols; }

// Visits the weights in packed order.
template <class Visit>
HWY_INLINE void for_each_packed(size_t depth, size_t cols, Visit visit) {
  for (size_t p = 0; p < cols; p += kPanelCols) {
    const size_t width = min_size(kPanelCols, cols - p);
    for (size_t s = 0; s < width; s += kStreamCols) {
      for (size_t k = 0; k < depth; ++k) {
        for (size_t c = s; c < min_size(width, s + kStreamCols); ++c) visit(k * cols + p + c);
      }
    }
  }
}

void gemm_pack(const float* w, size_t depth, size_t cols, float* packed) noexcept {
  for_each_packed(depth, cols, [&](size_t i) { *packed++ = w[i]; });
}

void gemm_pack_half(const uint16_t* w, size_t depth, size_t cols, uint16_t* packed) noexcept {
  for_each_packed(depth, cols, [&](size_t i) { *packed++ = w[i]; });
}

// A single row's columns, as far as they fill whole panels; returns how many. Finding the tile for any shape, as below, takes as long as a small
// layer's products. 8 vectors of AVX-512 span two panels.
template <class W>
HWY_INLINE size_t gemm_row(const GemmArgs& args, const W* weights) noexcept {
  using DT = hn::CappedTag<float, sizeof(W) == 2 ? 8 : kLanes>;
  constexpr size_t kCols = widest(1) * hn::MaxLanes(DT());
  TileAt<W> at{0, 0, weights, kStreamCols, args.num_segments * args.seg_len * kStreamCols, 0, args.seg_len};
  if constexpr (kCols % kPanelCols == 0) {
    for (; at.col + kCols <= args.cols; at.col += kCols) {
      gemm_tile<1, widest(1), DT, W>(args, at);
      at.weights += kCols / kStreamCols * at.stream_step;
    }
    if constexpr (kCols / 2 == kPanelCols) {
      if (at.col + kPanelCols <= args.cols) {
        gemm_tile<1, widest(1) / 2, DT, W>(args, at);
        at.col += kPanelCols;
      }
    }
  }
  return at.col;
}

template <class W>
HWY_INLINE void gemm_all(const GemmArgs& args, const W* weights) noexcept RTV_NONBLOCKING {
  size_t begin = 0;
  if (args.rows == 1 && args.ranges == nullptr) begin = gemm_row(args, weights);
  weights += args.num_segments * args.seg_len * begin;
  for (size_t col = begin; col < args.cols;) {
    size_t width = min_size(kPanelCols, args.cols - col);
    TileAt<W> at{0, col, weights, 0, 0, 0, args.seg_len};
    if (args.ranges != nullptr) {
      at.begin = args.ranges[col / kRangeCols].begin;
      at.length = args.ranges[col / kRangeCols].length;
      if (args.rows == 1 && col % kPanelCols == 0 && gemm_row_of_groups(args, weights, col)) {
        weights += args.num_segments * at.length * kPanelCols;
        col += kPanelCols;
        continue;
      }
      width = same_range(args.ranges, args.cols, col);
    }
    const size_t depth = args.num_segments * at.length;
    at.stream_cols = min_size(kStreamCols, width);
    at.stream_step = depth * kStreamCols;
    if (width >= 16) {
      if constexpr (sizeof(W) == 2 && kLanes > 8) {
        // A single row waits for the widening, and 8 lanes of it take less than half the time of 16 (Zen 4: 0.7 and 1.8
        // cycles). Two rows would take half a stream at a time, which reads at a third of the speed.
        if (args.rows == 1) gemm_panel<hn::CappedTag<float, 8>, 64>(args, at, width);
        if (args.rows > 1) gemm_panel<D, 64>(args, at, width);
      } else {
        gemm_panel<D, 64>(args, at, width);
      }
    } else if constexpr (sizeof(W) == 4) {
      if (width == 8) gemm_panel<hn::CappedTag<float, 8>, 8>(args, at, width);
      if (width == 4) gemm_panel<hn::CappedTag<float, 4>, 4>(args, at, width);
    }
    weights += depth * width;
    col += width;
  }
}

void gemm(const GemmArgs& args) noexcept RTV_NONBLOCKING {
  if (args.rows == 0) return;
  if (args.cols == 1) return gemm_single(args);
  if constexpr (kHalfWeights) {
    if (args.half != nullptr) return gemm_all(args, reinterpret_cast<const hwy::float16_t*>(args.half));
  }
  gemm_all(args, args.weights);
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
