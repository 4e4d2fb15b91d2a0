// The getters of the instruction sets' tables: each is the only global symbol of its object file (ctest simd.symbols).
#pragma once

#include "simd/kernels.h"

namespace rtvoice::simd {

const Kernels& kernels_scalar() noexcept;
const Kernels& kernels_sse4() noexcept;
const Kernels& kernels_avx2() noexcept;
const Kernels& kernels_avx3() noexcept;
const Kernels& kernels_neon() noexcept;

}  // namespace rtvoice::simd
