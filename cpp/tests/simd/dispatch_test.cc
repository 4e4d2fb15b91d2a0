// Which tables exist, by name and in order; and that the test program covers what this processor has.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

TEST(Dispatch, TablesAreOrderedAndFoundByName) {
  const auto tables = all_kernels();
  ASSERT_GE(tables.size(), 1u);
  EXPECT_STREQ(tables.back()->isa, "SCALAR");
  for (size_t i = 0; i < tables.size(); ++i) {
    EXPECT_EQ(find_kernels(tables[i]->isa), tables[i]);
    if (i > 0) {
      EXPECT_LE(tables[i]->lanes, tables[i - 1]->lanes);
    }
  }
  EXPECT_EQ(find_kernels("AVX9000"), nullptr);
  EXPECT_EQ(find_kernels(nullptr), nullptr);
  const Kernels* first = nullptr;
  EXPECT_EQ(available_kernels(&first, 1), tables.size());
  EXPECT_EQ(first, tables[0]);
}

#if defined(__x86_64__) && defined(__GNUC__) && defined(RTVOICE_ALL_ISAS)
// The compiler's own view of the processor is the oracle of our cpuid.
TEST(Dispatch, AgreesWithTheCompilersCpuid) {
  EXPECT_EQ(find_kernels("SSE4") != nullptr, __builtin_cpu_supports("sse4.2") != 0);
  EXPECT_EQ(find_kernels("AVX2") != nullptr,
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"));
  EXPECT_EQ(find_kernels("AVX3") != nullptr, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                                 __builtin_cpu_supports("avx512dq") &&
                                                 __builtin_cpu_supports("avx512vl"));
}
#endif

TEST(Dispatch, EnvironmentLowersTheChoice) {
  const char* wanted = std::getenv("RTVOICE_ISA");
  if (wanted != nullptr && find_kernels(wanted) != nullptr) {
    EXPECT_STREQ(kernels().isa, wanted);
  } else {
    EXPECT_EQ(&kernels(), all_kernels()[0]);
  }
}

}  // namespace
}  // namespace rtvoice::simd
