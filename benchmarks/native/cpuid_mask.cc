// Holds a library to AVX2: its `cpuid` instructions are replaced by traps, which answer without AVX-512.
//
// A processor says what it can through `cpuid`, which Linux cannot intercept here (no CPUID faulting in a guest). Both `cpuid`
// and `ud2` are two bytes, so each is replaced in place, after loading and before the library has asked.
#include "contender.h"

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace rtvoice::peers {
namespace {

constexpr unsigned char kCpuid[2] = {0x0f, 0xa2}, kTrap[2] = {0x0f, 0x0b};
std::atomic<uint64_t> answered{0};
uintptr_t patched_begin = 0, patched_end = 0;

constexpr unsigned bit(unsigned n) { return 1u << n; }

void answer(int, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const uintptr_t at = static_cast<uintptr_t>(registers[REG_RIP]);
  if (at < patched_begin || at >= patched_end || std::memcmp(reinterpret_cast<void*>(at), kTrap, 2) != 0) {
    signal(SIGILL, SIG_DFL);  // not ours: let it happen again
    return;
  }
  const auto leaf = static_cast<unsigned>(registers[REG_RAX]), subleaf = static_cast<unsigned>(registers[REG_RCX]);
  unsigned a, b, c, d;
  __cpuid_count(leaf, subleaf, a, b, c, d);
  if (leaf == 7 && subleaf == 0) {
    b &= ~(bit(16) | bit(17) | bit(21) | bit(26) | bit(27) | bit(28) | bit(30) | bit(31));  // F DQ IFMA PF ER CD BW VL
    c &= ~(bit(1) | bit(6) | bit(11) | bit(12) | bit(14));                     // VBMI VBMI2 VNNI BITALG VPOPCNTDQ
    d &= ~(bit(2) | bit(3) | bit(8) | bit(22) | bit(23) | bit(24) | bit(25));  // 4VNNIW 4FMAPS VP2INTERSECT AMX FP16
  } else if (leaf == 7 && subleaf == 1) {
    a &= ~(1u << 5);  // AVX512_BF16
  }
  registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
  answered.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

bool mask_avx512(const char* library, const uint64_t* offsets, size_t count, std::string* error) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  link_map* map = nullptr;
  if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return *error = dlerror(), false;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGILL, &action, nullptr) != 0) return *error = "SIGILL cannot be caught", false;
  for (size_t i = 0; i < count; ++i) {
    const uintptr_t at = map->l_addr + offsets[i];
    if (std::memcmp(reinterpret_cast<void*>(at), kCpuid, 2) != 0) return *error = "an offset is no cpuid", false;
    if (patched_begin == 0 || at < patched_begin) patched_begin = at;
    if (at >= patched_end) patched_end = at + 2;
    const uintptr_t first = at / page * page;
    const size_t bytes = (at + 2 - first + page - 1) / page * page;
    void* where = reinterpret_cast<void*>(first);
    if (mprotect(where, bytes, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return *error = "text is read-only", false;
    std::memcpy(reinterpret_cast<void*>(at), kTrap, 2);
    mprotect(where, bytes, PROT_READ | PROT_EXEC);
  }
  return true;
}

uint64_t masked_queries() { return answered.load(std::memory_order_relaxed); }

}  // namespace rtvoice::peers
#else
namespace rtvoice::peers {
bool mask_avx512(const char*, const uint64_t*, size_t, std::string* error) {
  return *error = "only on Linux x86-64", false;
}
uint64_t masked_queries() { return 0; }
}  // namespace rtvoice::peers
#endif
