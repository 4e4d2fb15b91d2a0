// The elementwise half of recurrent cells, after their products.
#pragma once

#include "simd/math-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

void gru_cell(const GruCellArgs& args) noexcept RTV_NONBLOCKING {
  const float *xr = args.gates_x, *xz = xr + args.gate_ld, *xn = xz + args.gate_ld;
  const float *hr = args.gates_h, *hz = hr + args.gate_ld, *hg = hz + args.gate_ld;
  if (args.phase == GruPhase::kReset) {
    columns(args.hidden, [&](auto io, size_t c) HWY_ATTR {
      io.store(hn::Mul(sigmoid(hn::Add(io.load(xr + c), io.load(hr + c))), io.load(args.h + c)), args.rh + c);
    });
    return;
  }
  const bool all = args.phase == GruPhase::kAll;
  columns(args.hidden, [&](auto io, size_t c) HWY_ATTR {
    V pre = io.load(hg + c);
    if (all) pre = hn::Mul(pre, sigmoid(hn::Add(io.load(xr + c), io.load(hr + c))));
    const V z = sigmoid(hn::Add(io.load(xz + c), io.load(hz + c)));
    const V n = tanh(hn::Add(io.load(xn + c), pre));
    const V h = io.load(args.h + c);
    io.store(hn::MulAdd(z, hn::Sub(h, n), n), args.h + c);
  });
}

void lstm_cell(const LstmCellArgs& args) noexcept RTV_NONBLOCKING {
  columns(args.hidden, [&](auto io, size_t c) HWY_ATTR {
    const auto gate = [&](size_t g) HWY_ATTR {
      const size_t at = g * args.gate_ld + c;
      return hn::Add(io.load(args.gates_x + at), io.load(args.gates_h + at));
    };
    const V kept = hn::Mul(sigmoid(gate(1)), io.load(args.c + c));
    const V cell = hn::MulAdd(sigmoid(gate(0)), tanh(gate(2)), kept);
    io.store(cell, args.c + c);
    io.store(hn::Mul(sigmoid(gate(3)), tanh(cell)), args.h + c);
  });
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
