// Deterministic damage to model files: on bytes, on lengths and offsets, on JSON tokens and trees, between files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtvoice::fuzz {

using Bytes = std::vector<uint8_t>;

// splitmix64: the whole state is one number, so that a case is named by its index.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  size_t below(size_t bound) { return bound == 0 ? 0 : static_cast<size_t>(next() % bound); }

 private:
  uint64_t state_;
};

// A mutation of seeds[i] for case number `index`; seeds are valid files.
Bytes mutate(const std::vector<Bytes>& seeds, uint64_t index);

}  // namespace rtvoice::fuzz
