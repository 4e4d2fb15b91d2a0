// Counts this program's heap allocations, in shared libraries too. Zero for ever where it cannot (no glibc, or a
// sanitizer owns malloc).
#pragma once

#include <cstddef>

namespace rtvoice::test {
bool can_count_allocations();
size_t allocation_count();
}  // namespace rtvoice::test
