// Collects one instruction set's kernels into its table.
#pragma once

#include "simd/depthwise-inl.h"
#include "simd/gemm-inl.h"
#include "simd/isa.h"
#include "simd/noise-inl.h"
#include "simd/norm-inl.h"
#include "simd/pointwise-inl.h"
#include "simd/recurrent-inl.h"

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {

constexpr Kernels make_table(const char* isa) {
  return {isa,  kLanes, gemm_panel_cols, gemm_packed_floats, gemm_pack, gemm, depthwise, dot,
          unary, channelwise, binary, film, norm, glu, gru_cell, lstm_cell, noise};
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
