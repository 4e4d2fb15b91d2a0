// Chooses the kernel table: what the processor has, what the operating system saves, and what RTVOICE_ISA allows.
#include <cstdlib>
#include <cstring>

#include "simd/isa.h"

#if defined(__x86_64__) || defined(_M_X64)
#define RTV_X86 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#define RTV_ARM64 1
#endif

namespace rtvoice::simd {
namespace {

constexpr size_t kMaxTables = 4;

#ifdef RTV_X86
struct CpuidRegisters {
  uint32_t eax, ebx, ecx, edx;
};

CpuidRegisters cpuid(uint32_t leaf) {
  CpuidRegisters r{};
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, static_cast<int>(leaf), 0);
  r = {static_cast<uint32_t>(out[0]), static_cast<uint32_t>(out[1]), static_cast<uint32_t>(out[2]),
       static_cast<uint32_t>(out[3])};
#else
  __cpuid_count(leaf, 0, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

// Which register files the operating system saves on a context switch (XCR0).
uint64_t saved_state() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
#endif
}

constexpr bool all_of(uint32_t reg, uint32_t mask) { return (reg & mask) == mask; }
constexpr uint32_t bit(unsigned n) { return uint32_t{1} << n; }

struct Processor {
  bool sse4 = false, avx2 = false, avx3 = false;
};

Processor detect() {
  Processor p;
  const uint32_t leaves = cpuid(0).eax;
  if (leaves < 1) return p;
  const CpuidRegisters one = cpuid(1);
  p.sse4 = all_of(one.ecx, bit(9) | bit(19) | bit(20) | bit(23));              // SSSE3, SSE4.1, SSE4.2, POPCNT
  if (!p.sse4 || leaves < 7 || !all_of(one.ecx, bit(27) | bit(28))) return p;  // OSXSAVE, AVX
  const uint64_t saved = saved_state();
  const CpuidRegisters seven = cpuid(7);
  // FMA, F16C | BMI1, AVX2, BMI2 | XMM, YMM
  p.avx2 = all_of(one.ecx, bit(12) | bit(29)) && all_of(seven.ebx, bit(3) | bit(5) | bit(8)) && (saved & 0x6) == 0x6;
  // AVX512 F, DQ, CD, BW, VL | XMM, YMM, mask registers, both halves of ZMM
  p.avx3 = p.avx2 && all_of(seven.ebx, bit(16) | bit(17) | bit(28) | bit(30) | bit(31)) && (saved & 0xE6) == 0xE6;
  return p;
}
#endif

struct Available {
  const Kernels* tables[kMaxTables] = {};
  size_t count = 0;
  const Kernels* chosen = nullptr;

  Available() {
#ifdef RTV_X86
    const Processor p = detect();
#ifndef RTVOICE_WITHOUT_AVX3
    if (p.avx3) tables[count++] = &kernels_avx3();
#endif
#ifndef RTVOICE_WITHOUT_AVX2
    if (p.avx2) tables[count++] = &kernels_avx2();
#endif
#ifndef RTVOICE_WITHOUT_SSE4
    if (p.sse4) tables[count++] = &kernels_sse4();
#endif
#elif defined(RTV_ARM64) && !defined(RTVOICE_WITHOUT_NEON)
    tables[count++] = &kernels_neon();
#endif
    tables[count++] = &kernels_scalar();
    chosen = tables[0];
    if (const char* wanted = std::getenv("RTVOICE_ISA")) {
      if (const Kernels* table = find(wanted)) chosen = table;
    }
  }

  const Kernels* find(const char* isa) const {
    for (size_t i = 0; i < count; ++i) {
      if (std::strcmp(tables[i]->isa, isa) == 0) return tables[i];
    }
    return nullptr;
  }
};

const Available& available() {
  static const Available instance;
  return instance;
}

}  // namespace

const Kernels& kernels() { return *available().chosen; }

size_t available_kernels(const Kernels** tables, size_t capacity) {
  const Available& all = available();
  for (size_t i = 0; i < all.count && i < capacity; ++i) tables[i] = all.tables[i];
  return all.count;
}

const Kernels* find_kernels(const char* isa) { return isa == nullptr ? nullptr : available().find(isa); }

}  // namespace rtvoice::simd
