// What every kernel file starts from: vector types, partial loads and stores, loops over columns.
//
// Everything here and in the other -inl.h files is compiled once per instruction set and has internal linkage: a weak
// symbol could be merged by the linker with another instruction set's copy and then crash on a lesser processor.
#pragma once

// Highway ties SSE4 and AVX2 to AES in the same breath; we use none, and some virtual machines hide it.
#ifndef HWY_DISABLE_PCLMUL_AES
#define HWY_DISABLE_PCLMUL_AES 1
#endif
// Debug checks would need libhwy's Abort.
#define HWY_IS_DEBUG_BUILD 0
#include <hwy/highway.h>

#include "simd/kernels.h"

#define RTV_UNROLL HWY_UNROLL(32)

namespace rtvoice::simd::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;
constexpr size_t kLanes = hn::MaxLanes(D());

constexpr size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

// Exact-width access to n < Lanes floats. AVX2 and later have masked moves that do not touch the other lanes' memory;
// elsewhere a copy on the stack.
template <class DT>
HWY_INLINE hn::Vec<DT> load_part(DT d, const float* p, size_t n) {
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, n), d, p);
#else
  alignas(64) float lanes[hn::MaxLanes(d)] = {};
  for (size_t i = 0; i < min_size(n, hn::MaxLanes(d)); ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
#endif
}

template <class DT>
HWY_INLINE void store_part(DT d, hn::Vec<DT> v, float* p, size_t n) {
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, n), d, p);
#else
  alignas(64) float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < min_size(n, hn::MaxLanes(d)); ++i) p[i] = lanes[i];
#endif
}

// How one step of columns() reaches memory: a whole vector or its first n lanes.
struct Whole {
  HWY_INLINE V load(const float* p) const { return hn::LoadU(D(), p); }
  HWY_INLINE void store(V v, float* p) const { hn::StoreU(v, D(), p); }
};
struct Part {
  size_t n;
  HWY_INLINE V load(const float* p) const { return load_part(D(), p, n); }
  HWY_INLINE void store(V v, float* p) const { store_part(D(), v, p, n); }
};

template <class Body>
HWY_INLINE void columns(size_t cols, Body body) {
  size_t c = 0;
  for (; c + kLanes <= cols; c += kLanes) body(Whole(), c);
  if (kLanes > 1 && c < cols) body(Part{cols - c}, c);
}

}  // namespace
}  // namespace rtvoice::simd::HWY_NAMESPACE
