// The comparison's C interface, for benchmarks/compare/native.py: contenders, clocks, and this core's limits.
#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "contender.h"
#include "rtvoice/rtvoice.h"
#include "simd/kernels.h"

#define PEERS_API extern "C" __attribute__((visibility("default")))

namespace {

using rtvoice::peers::Contender;

double seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
double cpu_us() { return seconds(CLOCK_THREAD_CPUTIME_ID) * 1e6; }

void tell(const std::string& what, char* error, size_t capacity) { std::snprintf(error, capacity, "%s", what.c_str()); }

// Other work between two hops, as a game does: every line of a buffer larger than the caches is read and written.
struct Sweep {
  std::vector<uint64_t> memory;
  void run(size_t bytes) {
    if (memory.size() < bytes / 8) memory.assign(bytes / 8, 1);
    for (size_t i = 0; i < bytes / 8; i += 8) memory[i] += i;
  }
};
Sweep& sweep() {
  static Sweep instance;
  return instance;
}

// Reads in order, either as it stands or with each next page's lines asked for ahead: a processor may like one or the other.
float read_all(const float* values, size_t floats, bool ahead) {
  const rtvoice::simd::Kernels& k = rtvoice::simd::kernels();
  if (!ahead) return k.read_loop(values, floats);
  constexpr size_t kPage = 1024, kLine = 16;  // floats
  float sum = 0.0f;
  for (size_t at = 0; at < floats; at += kPage) {
    const size_t now = std::min(kPage, floats - at);
    for (size_t line = 0; line < now; line += kLine) __builtin_prefetch(values + at + kPage + line);
    sum += k.read_loop(values + at, now);
  }
  return sum;
}

// What is read to learn what reading costs, in huge pages where there are some, as our weights are; never freed.
float* read_buffer(size_t floats) {
  static float* buffer = nullptr;
  static size_t capacity = 0;
  if (floats > capacity) {
    std::free(buffer);
    constexpr size_t kPage = size_t{2} << 20;
    const size_t bytes = (floats * sizeof(float) + kPage - 1) / kPage * kPage;
    buffer = static_cast<float*>(std::aligned_alloc(kPage, bytes));
    madvise(buffer, bytes, MADV_HUGEPAGE);
    std::fill(buffer, buffer + floats, 1e-3f);
    capacity = floats;
  }
  return buffer;
}

size_t whole(size_t bytes) {
  const size_t unit = 8 * rtvoice::simd::kernels().lanes;
  return std::max<size_t>(unit, bytes / sizeof(float) / unit * unit);
}

// Multiply-adds in registers, about half a millisecond: what the machine itself adds to a hop that needs nothing else.
class Registers : public Contender {
 public:
  bool run() override {
    volatile float sink = rtvoice::simd::kernels().peak_loop(150000);
    (void)sink;
    return true;
  }
  const std::vector<float>& output() override { return output_; }
};

}  // namespace

PEERS_API void* peers_open(const char* kind, const char* library, const char* path, char* error, size_t capacity) {
  std::string why;
  std::unique_ptr<Contender> made;
  if (std::strcmp(kind, "plan") == 0) made = rtvoice::peers::open_plan(path, &why);
  if (std::strcmp(kind, "engine") == 0) made = rtvoice::peers::open_engine(path, 0, &why);
  if (std::strcmp(kind, "host") == 0) made = rtvoice::peers::open_engine(path, 48000, &why);
  if (std::strcmp(kind, "onnxruntime") == 0) made = rtvoice::peers::open_onnxruntime(library, path, &why);
  if (std::strcmp(kind, "registers") == 0) made = std::make_unique<Registers>();
  if (made == nullptr) tell(why, error, capacity);
  return made.release();
}
PEERS_API void peers_close(void* contender) { delete static_cast<Contender*>(contender); }
PEERS_API size_t peers_input_floats(void* contender) { return static_cast<Contender*>(contender)->input_floats(); }
PEERS_API int64_t peers_macs(void* contender) { return static_cast<Contender*>(contender)->macs(); }

// One hop: returns how many floats came out (at most `capacity` are written), or -1.
PEERS_API int64_t peers_feed(void* contender, const float* in, float* out, size_t capacity) {
  auto* c = static_cast<Contender*>(contender);
  std::memcpy(c->input(), in, c->input_floats() * sizeof(float));
  if (!c->run()) return -1;
  const std::vector<float>& result = c->output();
  std::memcpy(out, result.data(), std::min(capacity, result.size()) * sizeof(float));
  return static_cast<int64_t>(result.size());
}

// Thread CPU microseconds of a hop, after three untimed hops that bring weights and state to where they stay: one leaves half of 14 MB elsewhere.
PEERS_API double peers_time(void* contender, size_t repeats) {
  auto* c = static_cast<Contender*>(contender);
  for (int i = 0; i < 3; ++i) {
    if (!c->run()) return -1.0;
  }
  const double start = cpu_us();
  for (size_t i = 0; i < repeats; ++i) c->run();
  return (cpu_us() - start) / static_cast<double>(repeats);
}

// The same of one hop whose caches other work has swept.
PEERS_API double peers_time_cold(void* contender, size_t sweep_bytes) {
  sweep().run(sweep_bytes);
  const double start = cpu_us();
  const bool done = static_cast<Contender*>(contender)->run();
  return done ? cpu_us() - start : -1.0;
}

// Wall microseconds of each of `hops` hops, one every `period_us`, or back to back with a period of 0.
PEERS_API void peers_paced(void* contender, size_t hops, double period_us, double* us) {
  auto* c = static_cast<Contender*>(contender);
  double next = seconds(CLOCK_MONOTONIC);
  for (size_t i = 0; i < hops; ++i) {
    if (period_us > 0.0) {
      next += period_us * 1e-6;
      timespec at;
      at.tv_sec = static_cast<time_t>(next);
      at.tv_nsec = static_cast<long>((next - static_cast<double>(at.tv_sec)) * 1e9);
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    }
    const double start = seconds(CLOCK_MONOTONIC);
    c->run();
    us[i] = (seconds(CLOCK_MONOTONIC) - start) * 1e6;
  }
}

// Heap calls (malloc, free and kin) of `hops` hops, where the counter is preloaded; else -1.
PEERS_API int64_t peers_heap_calls(void* contender, size_t hops) {
  using Count = uint64_t (*)();
  const auto count = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "rtvoice_alloc_count"));
  if (count == nullptr) return -1;
  auto* c = static_cast<Contender*>(contender);
  for (int i = 0; i < 20; ++i) c->run();
  const uint64_t before = count();
  for (size_t i = 0; i < hops; ++i) c->run();
  return static_cast<int64_t>(count() - before);
}

// This core's multiply-add peak in GFLOP/s, from a loop that touches registers only.
PEERS_API double peers_peak() {
  constexpr size_t kRounds = 60000;  // 200 us and more: reading the clock costs 0.3
  const rtvoice::simd::Kernels& k = rtvoice::simd::kernels();
  volatile float sink = k.peak_loop(kRounds / 4);
  const double start = cpu_us();
  sink = k.peak_loop(kRounds);
  (void)sink;
  return 2.0 * 12.0 * static_cast<double>(k.lanes * kRounds) / (cpu_us() - start) * 1e-3;
}

// Microseconds to read as many bytes in order, wherever in the caches so many bytes stay: the better of two loops.
PEERS_API double peers_read(size_t bytes, size_t repeats) {
  const size_t floats = whole(bytes);
  const float* values = read_buffer(floats);
  double best = 0.0;
  for (bool ahead : {false, true}) {
    volatile float sink = read_all(values, floats, ahead);
    const double start = cpu_us();
    for (size_t i = 0; i < repeats; ++i) sink = read_all(values, floats, ahead);
    (void)sink;
    const double us = (cpu_us() - start) / static_cast<double>(repeats);
    if (!ahead || us < best) best = us;
  }
  return best * static_cast<double>(bytes) / static_cast<double>(floats * sizeof(float));
}

PEERS_API double peers_read_cold(size_t bytes, size_t sweep_bytes) {
  const size_t floats = whole(bytes);
  const float* values = read_buffer(floats);
  double best = 0.0;
  for (bool ahead : {false, true}) {
    sweep().run(sweep_bytes);
    const double start = cpu_us();
    volatile float sink = read_all(values, floats, ahead);
    (void)sink;
    const double us = cpu_us() - start;
    if (!ahead || us < best) best = us;
  }
  return best * static_cast<double>(bytes) / static_cast<double>(floats * sizeof(float));
}

PEERS_API const char* peers_isa() { return rtvoice::simd::kernels().isa; }

// CPU milliseconds from a file (in the page cache) to an engine that can be called, as a host opens it.
PEERS_API double peers_load_ms(const char* path) {
  const double start = cpu_us();
  rtv_config config;
  rtv_config_init(&config);
  rtv_model* model = nullptr;
  rtv_engine* engine = nullptr;
  const bool made = rtv_model_open(path, &model) == RTV_OK && rtv_engine_create(model, &config, &engine) == RTV_OK;
  const double ms = (cpu_us() - start) * 1e-3;
  rtv_engine_destroy(engine);
  rtv_model_close(model);
  return made ? ms : -1.0;
}

PEERS_API double peers_onnxruntime_load_ms(const char* library, const char* path) {
  const double start = cpu_us();
  std::string error;
  const std::unique_ptr<Contender> made = rtvoice::peers::open_onnxruntime(library, path, &error);
  return made == nullptr ? -1.0 : (cpu_us() - start) * 1e-3;
}

PEERS_API int peers_onnxruntime_version(const char* library, char* out, size_t capacity) {
  std::string error;
  const std::string version = rtvoice::peers::onnxruntime_version(library, &error);
  tell(version.empty() ? error : version, out, capacity);
  return version.empty() ? -1 : 0;
}

PEERS_API int peers_mask_avx512(const char* library, const uint64_t* offsets, size_t count, char* error,
                                size_t capacity) {
  std::string why;
  if (rtvoice::peers::mask_avx512(library, offsets, count, &why)) return 0;
  tell(why, error, capacity);
  return -1;
}
PEERS_API uint64_t peers_masked_queries() { return rtvoice::peers::masked_queries(); }
