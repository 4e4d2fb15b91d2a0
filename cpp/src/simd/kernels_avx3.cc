// The kernel table for AVX3.
#define HWY_COMPILE_ONLY_STATIC  // the file's flags choose the target; no libhwy, no dispatch of Highway's
#include "simd/table-inl.h"

// A missing flag would silently give a lesser target.
static_assert(HWY_TARGET == HWY_AVX3, "compile with the flags of cpp/src/simd/CMakeLists.txt");

namespace rtvoice::simd {

const Kernels& kernels_avx3() noexcept {
  static constexpr Kernels kTable = HWY_NAMESPACE::make_table("AVX3");
  return kTable;
}

}  // namespace rtvoice::simd
