// What a product's tiles share whatever their shape: reading rows and weights, and the end of the sums.
#pragma once

#include "simd/gate-inl.h"
#include "simd/pointwise-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// Weights lie in streams of kStreamCols columns, each sequential in k. Tiles are as large as the registers hold:
// accumulators, one row of weights and a broadcast input. With 16 registers a tile is 2 vectors wide, and one stream
// has to be no wider: read as slices of 64-column rows, weights beyond L2 came at 8 GB/s.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr size_t kStreamCols = 64;
constexpr size_t kMaxVectors = 4;
constexpr size_t max_rows(size_t vectors) {
  return vectors == 1 ? 16 : vectors == 2 ? 12 : vectors == 3 ? 8 : vectors == 4 ? 6 : 1;
}
#else
constexpr size_t kStreamCols = 16;
constexpr size_t kMaxVectors = 2;
// Nobody waits for the scalar table: low tiles keep it small.
constexpr bool kLowTiles = HWY_TARGET == HWY_SCALAR;
constexpr size_t max_rows(size_t vectors) {
  return vectors == 1 ? (kLowTiles ? 4 : 12) : vectors == 2 ? (kLowTiles ? 2 : 6) : vectors == 4 ? 2 : 1;
}
#endif

// Where the processor widens float16 itself; elsewhere the plan keeps float32.
constexpr bool kHalfWeights = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON;

// 16-bit weights are widened as they are read: exact, and half the bytes of what a slow network waits for.
template <class DT>
HWY_INLINE hn::Vec<DT> load_weights(DT d, const float* p) {
  return hn::LoadU(d, p);
}
template <class DT>
HWY_INLINE hn::Vec<DT> load_weights(DT d, const hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, DT> half;
  return hn::PromoteTo(d, hn::LoadU(half, p));
}

// Columns [col, col + cols) of one row, all of one output.
HWY_NOINLINE void finish_part(const Epilogue& e, float* sums, float* out, size_t row, size_t col,
                              size_t cols) noexcept {
  const float* residual = e.residual == nullptr ? nullptr : e.residual + row * e.residual_ld + col;
  if (residual != nullptr && e.residual_before_act) {
    columns(cols,
            [&](auto io, size_t c) HWY_ATTR { io.store(hn::Add(io.load(sums + c), io.load(residual + c)), sums + c); });
    residual = nullptr;
  }
  finish_tile(e, {sums, out + col, cols, residual, cols, 1, cols, col});
}

// A tile of sums that is not stored as it is. Apart from the tiles, of which there are a hundred.
HWY_NOINLINE void finish_product(const GemmArgs& args, size_t row, size_t col, size_t rows, size_t cols,
                                 float* sums) noexcept {
  const Epilogue& e = args.epilogue;
  if (args.part != nullptr) {
    const GemmPart& part = *args.part;
    const size_t first = col >= part.col ? 0 : min_size(cols, part.col - col);  // columns of the first output
    for (size_t r = 0; r < rows; ++r) {
      float* s = sums + r * cols;
      if (first > 0) finish_part(e, s, args.out + (row + r) * args.out_ld, row + r, col, first);
      if (first == cols) continue;
      finish_part(part.epilogue, s + first, part.out + (row + r) * part.out_ld, row + r, col + first - part.col,
                  cols - first);
    }
    return;
  }
  for (size_t r = 0; e.film_gamma != nullptr && r < rows; ++r) {
    const float* gamma = e.film_gamma + (row + r) * e.film_ld + col;
    const float* beta = e.film_beta + (row + r) * e.film_ld + col;
    film_row(sums + r * cols, WideRow{gamma}, WideRow{beta}, set(e.film_offset), sums + r * cols, cols);
  }
  if (e.gate && e.film_gamma == nullptr)
    return finish_gate(e, sums, rows, cols, args.out + row * args.out_ld + col / 2, args.out_ld);
  const float* after = e.residual_before_act || !e.residual ? nullptr : e.residual + row * e.residual_ld + col;
  finish_tile(e, {sums, args.out + row * args.out_ld + col, args.out_ld, after, e.residual_ld, rows, cols, col});
}

// A tile's rows of input. One pointer for every 4 rows, and 1 to 3 row steps beside it, is what an address can express: 16 rows take 6
// registers. The compiler must not see through it, or it keeps a distance for each row, on the stack: a quarter of a tile of 16 columns.
template <size_t kRows>
class TileRows {
 public:
  HWY_INLINE TileRows(const float* first, size_t step) : step_(step), step3_(3 * step) {
    RTV_UNROLL for (size_t g = 0; g < kGroups; ++g) x_[g] = first + 4 * g * step;
    hide(step3_);
  }
  HWY_INLINE const float* row(size_t i) const {
    const float* x = x_[i / 4];
    return i % 4 == 0 ? x : i % 4 == 1 ? x + step_ : i % 4 == 2 ? x + 2 * step_ : x + step3_;
  }
  HWY_INLINE void advance(size_t k) {
    RTV_UNROLL for (size_t g = 0; g < kGroups; ++g) {
      x_[g] += k;
      hide(x_[g]);
    }
  }

 private:
  static constexpr size_t kGroups = (kRows + 3) / 4;
  template <class T>
  static HWY_INLINE void hide(T& value) {
#if defined(__GNUC__)
    if constexpr (kRows >= 4) __asm__("" : "+r"(value));
#else
    (void)value;
#endif
  }
  const float* x_[kGroups];
  size_t step_, step3_;
};

// Weights that this many bytes further on are fetched into L2 by products of 2 to 5 rows, which would otherwise wait for L3 and compute in
// turn (4 rows: 69 -> 86 % of the longer of both). Nearer, or into L1, it costs more than it gains, and so it does for a single row.
constexpr size_t kFetchAhead = 24576;

template <size_t kBytes, class W>
HWY_INLINE void prefetch_ahead(const W* w) {
#if defined(__GNUC__)
  const char* next = reinterpret_cast<const char*>(w) + kFetchAhead;
  RTV_UNROLL for (size_t b = 0; b < kBytes; b += 64) __builtin_prefetch(next + b, 0, 2);
#else
  (void)w;
#endif
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
