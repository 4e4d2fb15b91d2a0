// Gated units: one half of the channels, switched by the other.
#pragma once

#include "simd/activation-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// Calls body(a, b) with the two functions where the pair has a fused loop; false for the others, so that 400 pairs do not become 400 loops.
template <class Body>
HWY_INLINE bool with_gate(Unary a, Unary b, Body body) {
  if (b != Unary::kSigmoid || (a != Unary::kNone && a != Unary::kTanh)) return false;
  const Activation<Unary::kSigmoid> gate(0.0f, 0.0f);
  if (a == Unary::kNone) {
    body(Activation<Unary::kNone>(0.0f, 0.0f), gate);
  } else {
    body(Activation<Unary::kTanh>(0.0f, 0.0f), gate);
  }
  return true;
}

void glu(const GluArgs& args) noexcept RTV_NONBLOCKING {
  const bool fused = with_gate(args.a, args.b, [&](auto a, auto b) HWY_ATTR {
    for (size_t r = 0; r < args.rows; ++r) {
      const float* in_a = args.in_a + r * args.in_ld;
      const float* in_b = args.in_b + r * args.in_ld;
      float* out = args.out + r * args.out_ld;
      columns(args.cols, [&](auto io, size_t c)
                             HWY_ATTR { io.store(hn::Mul(a(io.load(in_a + c)), b(io.load(in_b + c))), out + c); });
    }
  });
  if (fused) return;
  constexpr size_t kChunk = 256;
  alignas(64) float a[kChunk], b[kChunk];
  for (size_t r = 0; r < args.rows; ++r) {
    for (size_t c = 0; c < args.cols; c += kChunk) {
      const size_t n = min_size(kChunk, args.cols - c);
      activate(args.a, 0.0f, 0.0f, args.in_a + r * args.in_ld + c, nullptr, a, n);
      activate(args.b, 0.0f, 0.0f, args.in_b + r * args.in_ld + c, nullptr, b, n);
      float* out = args.out + r * args.out_ld + c;
      columns(n, [&](auto io, size_t i) HWY_ATTR { io.store(hn::Mul(io.load(a + i), io.load(b + i)), out + i); });
    }
  }
}

// Vectors of a and of b in turns: a tile of two vectors or more holds whole pairs, and makes half as many of the output.
constexpr size_t kGateCols = kLanes;
size_t gate_cols() noexcept { return kGateCols; }

// Where the residual of a gate's column is.
HWY_INLINE size_t gate_column(const Epilogue& e, size_t col) {
  const size_t turn = col / (2 * kGateCols), within = col % (2 * kGateCols);
  return turn * kGateCols + (within < kGateCols ? within : e.gate_half + within - kGateCols);
}

// A product's tile of sums, [rows][cols], becomes `out`, [rows][out_ld].
HWY_NOINLINE void finish_gate(const Epilogue& e, float* sums, size_t rows, size_t cols, float* out,
                              size_t out_ld) noexcept {
  const size_t pairs = cols / (2 * kGateCols);
  const D d;
  const bool fused = with_gate(e.act, e.gate_act, [&](auto a, auto b) HWY_ATTR {
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i < pairs; ++i) {
        const float* pair = sums + r * cols + 2 * i * kGateCols;
        const V y = hn::Mul(a(hn::LoadU(d, pair)), b(hn::LoadU(d, pair + kGateCols)));
        hn::StoreU(y, d, out + r * out_ld + i * kGateCols);
      }
    }
  });
  if (fused) return;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < pairs; ++i) {
      float* pair = sums + r * cols + 2 * i * kGateCols;
      activate(e.act, 0.0f, 0.0f, pair, nullptr, pair, kGateCols);
      activate(e.gate_act, 0.0f, 0.0f, pair + kGateCols, nullptr, pair + kGateCols, kGateCols);
      hn::StoreU(hn::Mul(hn::LoadU(d, pair), hn::LoadU(d, pair + kGateCols)), d, out + r * out_ld + i * kGateCols);
    }
  }
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
