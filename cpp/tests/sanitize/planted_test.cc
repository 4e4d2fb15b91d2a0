// A sanitizer must end the program at each fault that it is for, wherever the library's own code is what commits it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <thread>

#include "../c_api/host.h"

namespace rtvoice::test {
namespace {

// Keeps the compiler from seeing what a pointer points to, or that a value is never read.
template <typename T>
T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

class SanitizerPlanted : public testing::Test {
 protected:
  // A child starts anew: one that is forked while other threads run is no fair witness.
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
#ifdef RTVOICE_PLANT_RACES
    setenv("TSAN_OPTIONS", "halt_on_error=1", 1);  // two threads in one engine may never come to an end
#endif
  }

  ModelHandle model_ = open_model(tcn_model());
  EngineHandle engine_ = make_engine(model_);
};

#ifdef RTVOICE_PLANT_RACES

constexpr int kThreadSanitizer = 66;  // its exit status

void race(const EngineHandle& engine) {
  std::thread other([&] { stream(engine, test_signal(48000), 480); });
  stream(engine, test_signal(48000, 2), 480);
  other.join();
  std::exit(0);
}

TEST_F(SanitizerPlanted, TwoThreadsInOneEngineAreARace) {
  EXPECT_EXIT(race(engine_), testing::ExitedWithCode(kThreadSanitizer), "data race");
}

#else

TEST_F(SanitizerPlanted, AnOutputThatIsTooShort) {
  const Samples in = test_signal(480);
  Samples out(479);
  EXPECT_DEATH((void)rtv_engine_process(engine_.get(), in.data(), opaque(out.data()), 480),
               "AddressSanitizer: heap-buffer-overflow");
}

TEST_F(SanitizerPlanted, AnInputThatIsTooShort) {
  const Samples in = test_signal(479);
  Samples out(480);
  EXPECT_DEATH((void)rtv_engine_process(engine_.get(), opaque(in.data()), out.data(), 480),
               "AddressSanitizer: heap-buffer-overflow");
}

TEST_F(SanitizerPlanted, AnEngineThatIsGone) {
  Samples sound = test_signal(480);
  const auto use = [&] {
    rtv_engine* gone = engine_.release();
    rtv_engine_destroy(gone);
    (void)rtv_engine_process(opaque(gone), sound.data(), sound.data(), 480);
  };
  EXPECT_DEATH(use(), "AddressSanitizer: heap-use-after-free");
}

TEST_F(SanitizerPlanted, AModelClosedTwice) {
  const auto close = [&] {
    rtv_model* model = model_.release();
    rtv_model_close(model);
    engine_.reset();  // the last that held it
    rtv_model_close(opaque(model));
  };
  EXPECT_DEATH(close(), "AddressSanitizer: heap-use-after-free");
}

TEST_F(SanitizerPlanted, AnUnalignedFrame) {
  Samples in = test_signal(481), out(480);
  const float* crooked = reinterpret_cast<const float*>(reinterpret_cast<const char*>(in.data()) + 1);
  EXPECT_DEATH((void)rtv_engine_process(engine_.get(), opaque(crooked), out.data(), 480), "misaligned address");
}

TEST_F(SanitizerPlanted, AnOverflow) {
  const int largest = opaque(std::numeric_limits<int>::max());
  EXPECT_DEATH(opaque(largest + opaque(1)), "signed integer overflow");
}

#endif

}  // namespace
}  // namespace rtvoice::test
