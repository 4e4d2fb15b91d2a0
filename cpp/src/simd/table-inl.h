// Collects one instruction set's kernels into its table.
#pragma once

#include "simd/attention-inl.h"
#include "simd/depthwise-inl.h"
#include "simd/gemm-inl.h"
#include "simd/isa.h"
#include "simd/noise-inl.h"
#include "simd/norm-inl.h"
#include "simd/pointwise-inl.h"
#include "simd/recurrent-inl.h"
#include "simd/rows-inl.h"
#include "simd/source-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

// 12 chains hide the latency of two 4-cycle units and leave registers for the operands on AVX2.
float peak_loop(size_t rounds) noexcept {
  V acc[12];
  RTV_UNROLL for (size_t i = 0; i < 12; ++i) acc[i] = set(1.0f + static_cast<float>(i));
  const V a = set(rounds > 1 ? 0.999f : 0.5f), b = set(rounds > 1 ? 0.001f : 0.5f);
  for (size_t r = 0; r < rounds; ++r) {
    RTV_UNROLL for (size_t i = 0; i < 12; ++i) acc[i] = hn::MulAdd(acc[i], a, b);
  }
  V sum = acc[0];
  RTV_UNROLL for (size_t i = 1; i < 12; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(sum);
}

float read_loop(const float* values, size_t count) noexcept {
  const D d;
  V acc[8];
  RTV_UNROLL for (size_t i = 0; i < 8; ++i) acc[i] = hn::Zero(d);
  for (size_t n = 0; n + 8 * kLanes <= count; n += 8 * kLanes) {
    RTV_UNROLL for (size_t i = 0; i < 8; ++i) acc[i] = hn::Add(acc[i], hn::LoadU(d, values + n + i * kLanes));
  }
  V sum = acc[0];
  RTV_UNROLL for (size_t i = 1; i < 8; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(sum);
}

constexpr Kernels make_table(const char* isa) {
  return {isa,
          kLanes,
          gemm_packed_floats,
          gemm_pack,
          kHalfWeights ? gemm_pack_half : nullptr,
          gate_cols,
          gemm,
          gemm_rows,
          depthwise,
          dot,
          unary,
          channelwise,
          binary,
          film,
          norm,
          glu,
          gru_cell,
          lstm_cell,
          noise,
          softmax,
          harmonics,
          fir,
          attend,
          peak_loop,
          read_loop};
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
