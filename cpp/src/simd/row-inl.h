// The end of a product of one row: what it becomes without leaving the registers.
#pragma once

#include "simd/gate-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// The end of a single row that needs no loop: two layers' sums with what is added to them, and the usual gates. A small layer's sums would
// otherwise go through memory, two calls and a loop, of which nothing overlaps. False where it is none of these.
template <size_t kVectors, class DT>
HWY_INLINE bool finish_row(const GemmArgs& args, size_t row, size_t col, const hn::Vec<DT>* HWY_RESTRICT acc) noexcept {
  const DT d;
  constexpr size_t kN = hn::MaxLanes(DT());
  const Epilogue& e = args.epilogue;
  if (args.part != nullptr) {
    const GemmPart& part = *args.part;
    if (has_activation(e) || has_activation(part.epilogue)) return false;
    RTV_UNROLL for (size_t j = 0; j < kVectors; ++j) {
      const bool first = col + j * kN < part.col;
      const size_t c = first ? col + j * kN : col + j * kN - part.col;
      const Epilogue& end = first ? e : part.epilogue;
      hn::Vec<DT> y = acc[j];
      if (end.residual != nullptr) y = hn::Add(y, hn::LoadU(d, end.residual + row * end.residual_ld + c));
      hn::StoreU(y, d, first ? args.out + row * args.out_ld + c : part.out + row * part.out_ld + c);
    }
    return true;
  }
// With 16 registers the sums would go to the stack for the functions' sake.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
  constexpr size_t kPerHalf = kLanes / kN;  // accumulators in a gate's half
  if constexpr (kPerHalf <= 2 && kVectors % (2 * kPerHalf) == 0) {
    if (!e.gate || e.film_gamma != nullptr) return false;
    float* out = args.out + row * args.out_ld + col / 2;
    return with_gate(e.act, e.gate_act, [&](auto a, auto b) HWY_ATTR {
      RTV_UNROLL for (size_t i = 0; i < kVectors; i += 2 * kPerHalf) {
        V x, y;
        if constexpr (kPerHalf == 1) {
          x = acc[i], y = acc[i + 1];
        } else {
          x = hn::Combine(D(), acc[i + 1], acc[i]), y = hn::Combine(D(), acc[i + 3], acc[i + 2]);
        }
        hn::StoreU(hn::Mul(a(x), b(y)), D(), out + i / 2 * kN);
      }
    });
  }
#endif
  return false;
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
