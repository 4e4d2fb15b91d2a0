// A product whose tile does not fit into the registers: 24 accumulators where AVX2 and NEON have 16 and 32. The spill check must find it.
#include <cstddef>

namespace {
#if defined(__aarch64__)
constexpr int kAccumulators = 44;
typedef float Vector __attribute__((vector_size(16)));
#else
constexpr int kAccumulators = 24;
typedef float Vector __attribute__((vector_size(32)));
#endif
}  // namespace

void planted_spill(const Vector* weights, const float* input, Vector* out, size_t depth) {
  Vector acc[kAccumulators] = {};
  for (size_t k = 0; k < depth; ++k) {
#pragma GCC unroll 64
    for (int i = 0; i < kAccumulators; ++i) acc[i] += weights[k] * input[i * 64 + static_cast<int>(k)];
  }
  for (int i = 0; i < kAccumulators; ++i) out[i] = acc[i];
}
