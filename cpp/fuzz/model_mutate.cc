// Runs deterministic mutations of seed files through the reader and the plan, counting allocations.
//   model_mutate [--cases N] [--first I] [--dump FILE] [--plant] SEED.rtv...
// Exit 0: all promises kept; 1: one was broken, named with its case number; --first I --cases 1 --dump FILE writes that
// case. --plant counts memory that nobody allocated, which must be found.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <new>
#include <string>

#include "fuzz_case.h"
#include "mutate.h"

namespace {

std::atomic<size_t> g_now{0}, g_peak{0};
std::atomic<uint64_t> g_case{0};
size_t g_planted = 0;           // bytes that nobody allocated
constexpr size_t kPrefix = 64;  // before each block: its size; keeps the alignment that vectors ask for
constexpr size_t kMostAtOnce = size_t{3} << 30;
constexpr unsigned kSecondsPerCase = 60;  // a hang, not a slow case: the slowest take about a second under sanitizers

void* counted(size_t size, size_t alignment) {
  if (size > kMostAtOnce) throw std::bad_alloc();
  const size_t prefix = alignment > kPrefix ? alignment : kPrefix;
  void* block = nullptr;
  if (posix_memalign(&block, prefix, size + prefix) != 0) throw std::bad_alloc();
  char* user = static_cast<char*>(block) + prefix;
  std::memcpy(user - 16, &size, sizeof(size));
  std::memcpy(user - 8, &prefix, sizeof(prefix));
  const size_t now = g_now += size;
  if (now > g_peak) g_peak = now;
  return user;
}

void uncounted(void* user) noexcept {
  if (user == nullptr) return;
  size_t size = 0, prefix = 0;
  std::memcpy(&size, static_cast<char*>(user) - 16, sizeof(size));
  std::memcpy(&prefix, static_cast<char*>(user) - 8, sizeof(prefix));
  g_now -= size;
  std::free(static_cast<char*>(user) - prefix);
}

extern "C" void on_alarm(int) {
  char text[96];
  const int length =
      std::snprintf(text, sizeof(text), "case %llu: hangs\n", static_cast<unsigned long long>(g_case.load()));
  if (write(2, text, static_cast<size_t>(length)) < 0) _exit(3);
  _exit(1);
}

rtvoice::fuzz::Bytes read_file(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

int usage() {
  std::fputs("usage: model_mutate [--cases N] [--first I] [--dump FILE] [--plant] SEED.rtv...\n", stderr);
  return 2;
}

}  // namespace

void* operator new(size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new[](size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) { return counted(size, static_cast<size_t>(alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return counted(size, static_cast<size_t>(alignment)); }
void operator delete(void* user) noexcept { uncounted(user); }
void operator delete[](void* user) noexcept { uncounted(user); }
void operator delete(void* user, size_t) noexcept { uncounted(user); }
void operator delete[](void* user, size_t) noexcept { uncounted(user); }
void operator delete(void* user, std::align_val_t) noexcept { uncounted(user); }
void operator delete[](void* user, std::align_val_t) noexcept { uncounted(user); }
void operator delete(void* user, size_t, std::align_val_t) noexcept { uncounted(user); }
void operator delete[](void* user, size_t, std::align_val_t) noexcept { uncounted(user); }

namespace rtvoice::fuzz {
void allocation_mark() { g_peak = g_now.load() + g_planted; }
Allocations allocations() { return {g_now, g_peak}; }
}  // namespace rtvoice::fuzz

int main(int argc, char** argv) {
  using namespace rtvoice::fuzz;
  uint64_t cases = 100000, first = 0;
  const char* dump = nullptr;
  bool plant = false;
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (std::strcmp(argv[i], "--cases") == 0 && more) {
      cases = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--first") == 0 && more) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--dump") == 0 && more) {
      dump = argv[++i];
    } else if (std::strcmp(argv[i], "--plant") == 0) {
      plant = true;
    } else if (argv[i][0] == '-') {
      return usage();
    } else {
      seeds.push_back(read_file(argv[i]));
      const CaseResult result = run_case(seeds.back().data(), seeds.back().size());
      if (result.reach == Reach::kRefused || !result.fault.empty()) {
        std::fprintf(stderr, "%s: a seed must be a valid model: %s%s\n", argv[i], result.message.c_str(),
                     result.fault.c_str());
        return 1;
      }
    }
  }
  if (seeds.empty()) return usage();

  if (plant) g_planted = size_t{1} << 30;
  std::signal(SIGALRM, on_alarm);
  size_t reached[4] = {};
  double slowest = 0.0;
  uint64_t slowest_case = 0;
  std::map<std::string, size_t> kinds;  // messages by their first words
  for (uint64_t index = first; index < first + cases; ++index) {
    g_case = index;
    const Bytes file = mutate(seeds, index);
    if (dump != nullptr)
      std::ofstream(dump, std::ios::binary)
          .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    alarm(kSecondsPerCase);
    const auto begin = std::chrono::steady_clock::now();
    const CaseResult result = run_case(file.data(), file.size());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    alarm(0);
    if (!result.fault.empty()) {
      std::fprintf(stderr, "case %llu: %s\n", static_cast<unsigned long long>(index), result.fault.c_str());
      return 1;
    }
    ++reached[static_cast<size_t>(result.reach)];
    if (seconds > slowest) {
      slowest = seconds;
      slowest_case = index;
    }
    if (result.reach == Reach::kRefused) ++kinds[result.message.substr(result.message.rfind(": ") + 1, 24)];
    if (dump != nullptr) std::printf("case %llu: %s\n", static_cast<unsigned long long>(index), result.message.c_str());
  }
  std::printf(
      "%llu cases: %zu refused (%zu kinds of message), %zu read but not planned, %zu planned, %zu run; slowest %.2f s "
      "(case %llu)\n",
      static_cast<unsigned long long>(cases), reached[0], kinds.size(), reached[1], reached[2], reached[3], slowest,
      static_cast<unsigned long long>(slowest_case));
  return 0;
}
