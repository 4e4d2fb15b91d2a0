// The kernel table for portable C++ that any processor runs.
#define HWY_COMPILE_ONLY_SCALAR
#include "simd/table-inl.h"

namespace rtvoice::simd {

const Kernels& kernels_scalar() noexcept {
  static constexpr Kernels kTable = HWY_NAMESPACE::make_table("SCALAR");
  return kTable;
}

}  // namespace rtvoice::simd
