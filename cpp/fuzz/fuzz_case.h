// One case of the fuzzer: a file goes through everything that an untrusted file goes through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace rtvoice::fuzz {

// How far a case came.
enum class Reach : uint8_t { kRefused, kRead, kPlanned, kRan };

struct CaseResult {
  Reach reach = Reach::kRefused;
  std::string message;  // what the reader or the plan said
  std::string fault;    // a broken promise; empty when all is well
};

CaseResult run_case(const uint8_t* data, size_t size);

// Bytes allocated now and at most since the last call of allocation_mark; 0 where they are not counted.
struct Allocations {
  size_t now = 0, peak = 0;
};
void allocation_mark();
Allocations allocations();

}  // namespace rtvoice::fuzz
