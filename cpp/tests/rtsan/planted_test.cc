// RealtimeSanitizer must end the program at each fault that it is for: a run without a report proves nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <samplerate.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "region.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::test {
namespace {

// Keeps the compiler from pairing an allocation with its release and dropping both.
template <typename T>
T* opaque(T* p) {
  asm volatile("" : "+r"(p) : : "memory");
  return p;
}

struct Fault {
  const char* name;
  void (*make)();
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class RtsanPlanted : public testing::TestWithParam<Fault> {};

TEST_P(RtsanPlanted, EndsTheProgram) {
  const auto inside = [] {
    const Region region;
    GetParam().make();
  };
  EXPECT_DEATH(inside(), "RealtimeSanitizer: unsafe-library-call");
  GetParam().make();  // outside it is nobody's business
}

std::mutex mutex;
std::condition_variable changed;
FILE* sink = std::fopen("/dev/null", "w");

INSTANTIATE_TEST_SUITE_P(
    Faults, RtsanPlanted,
    testing::Values(
        Fault{"malloc", [] { std::free(opaque(std::malloc(100))); }},
        Fault{"calloc", [] { std::free(opaque(std::calloc(10, 10))); }},
        Fault{"aligned_new",
              [] { ::operator delete(opaque(::operator new(64, std::align_val_t{64})), std::align_val_t{64}); }},
        Fault{"vector", [] { opaque(std::vector<int>(100).data()); }},
        Fault{"exception",
              [] {
                try {
                  throw std::runtime_error("planted");
                } catch (const std::exception&) {
                }
              }},
        Fault{"mutex", [] { const std::lock_guard<std::mutex> lock(mutex); }},
        Fault{"notify", [] { changed.notify_one(); }},
        Fault{"sleep", [] { std::this_thread::sleep_for(std::chrono::microseconds(1)); }},
        Fault{"yield", [] { std::this_thread::yield(); }}, Fault{"open", [] { close(open("/dev/null", O_RDONLY)); }},
        Fault{"print", [] { std::fputs("planted", sink); }}, Fault{"thread", [] { std::thread([] {}).join(); }},
        Fault{"malloc_in_libsamplerate",
              [] {
                int error;
                src_delete(src_new(SRC_LINEAR, 1, &error));
              }},
        Fault{"open_in_the_library",
              [] {
                rtv_model* model = nullptr;
                (void)rtv_model_open("nowhere", &model);
              }}),
    [](const auto& test) { return std::string(test.param.name); });

#if defined(__has_feature)
#if __has_feature(realtime_sanitizer)
// What `inside` promises is watched without a region of ours.
void inside() noexcept RTV_NONBLOCKING { std::free(opaque(std::malloc(100))); }

TEST(RtsanPlanted, PromiseOfAFunctionIsWatched) { EXPECT_DEATH(inside(), "RealtimeSanitizer: unsafe-library-call"); }
#endif
#endif

}  // namespace
}  // namespace rtvoice::test
