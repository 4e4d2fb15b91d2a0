// libFuzzer's entry: build with clang and -DRTVOICE_SANITIZE=fuzzer-no-link,address,undefined.
#include <cstdio>
#include <cstdlib>

#include "fuzz_case.h"

namespace rtvoice::fuzz {
void allocation_mark() {}
Allocations allocations() { return {}; }
}  // namespace rtvoice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rtvoice::fuzz::CaseResult result = rtvoice::fuzz::run_case(data, size);
  if (!result.fault.empty()) {
    std::fprintf(stderr, "%s\n", result.fault.c_str());
    std::abort();
  }
  return 0;
}
