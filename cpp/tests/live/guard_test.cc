// The callbacks of `rtvoice live` under every real-time guard: one device and two, gate, limiter, level match, chirps, engines that change, devices that stall.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "../c_api/host.h"
#include "../rt/guards.h"
#include "live/live_stream.h"

namespace rtvoice::test {
namespace {

struct Setting {
  const char* name;
  bool two_clocks;
  double in_rate;
  uint32_t block;
};
void PrintTo(const Setting& s, std::ostream* out) { *out << s.name; }

class LiveGuard : public testing::TestWithParam<Setting> {};

// Turns every knob, and lets two engines take turns.
void meddle(live::LiveStream* stream, rtv_engine* idle, const std::atomic<bool>* stop, uint64_t* exchanges) {
  std::mt19937 random(9);
  const Samples chirp = test_signal(4800);
  while (!stop->load()) {
    live::ChainControls& knobs = stream->chain().controls();
    knobs.gate.store(random() % 2 == 0);
    knobs.threshold.store(0.1f);
    knobs.match.store(random() % 2 == 0);
    knobs.limit.store(random() % 2 == 0);
    knobs.mute.store(random() % 4 == 0);
    (void)stream->counters();
    (void)stream->times();
    (void)stream->chain().in_meter().take_peak();
    if (random() % 8 == 0) stream->chain().probe().start(chirp);
    if (rtv_engine* free = stream->chain().retired()) idle = free;
    if (idle != nullptr && stream->chain().exchange(idle)) {
      idle = nullptr;
      ++*exchanges;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

TEST_P(LiveGuard, TheCallbackTripsNothing) {
  const Setting& s = GetParam();
  const std::string path = shipped_model("default");
  if (path.empty()) GTEST_SKIP() << "models/whisper/default.rtv is not there";
  const ModelHandle model = open_model(path);
  rtv_config config = default_config(48000, s.block);
  const EngineHandle one = make_engine(model, config), other = make_engine(model, config);
  live::ChainConfig chain;
  chain.max_frame = s.block;
  chain.limiter = true;
  live::LiveStream stream(chain, one.get());
  live::StreamConfig devices;
  devices.input.rate = s.in_rate;
  devices.output.channels = 2;
  devices.block = s.block;
  devices.two_clocks = s.two_clocks;
  stream.prepare(devices);

  const Samples in = test_signal(s.block);
  Samples out(2 * s.block);
  std::atomic<bool> stop{false};
  uint64_t exchanges = 0;
  Trips trips;
  constexpr size_t kCallbacks = 20000;
  std::thread meddler(meddle, &stream, other.get(), &stop, &exchanges);
  std::thread audio([&] {
    std::mt19937 random(4);
    Watch watch;
    double now = 5.0, in_now = 5.0;
    const double in_period = s.block / s.in_rate / 1.0003, out_period = s.block / 48000.0;
    for (size_t i = 0; i < kCallbacks; ++i) {
      if (i % 3000 == 2999) now += 0.5;  // a device that stood still
      const unsigned long flags = i % 100 == 0 ? live::kOutputUnderflow : 0;
      now += out_period;
      watch.enter();
      if (s.two_clocks) {
        for (; in_now < now; in_now += in_period) stream.input(in.data(), s.block, flags, in_now);
        stream.output(out.data(), s.block, flags, now);
      } else {
        stream.duplex(in.data(), out.data(), s.block, flags, now);
      }
      watch.leave();
    }
    trips = watch.trips();
  });
  audio.join();
  stop.store(true);
  meddler.join();
  EXPECT_EQ(trips.total(), 0u) << trips.describe();
  EXPECT_GT(exchanges, 1u);
  EXPECT_TRUE(all_finite(out));
  std::printf("live guard %s: %zu callbacks, %llu exchanges: %s%s\n", s.name, kCallbacks,
              static_cast<unsigned long long>(exchanges), trips.describe().c_str(),
              can_watch_system_calls() ? "" : "; system calls NOT watched: the kernel has no Syscall User Dispatch");
}

INSTANTIATE_TEST_SUITE_P(Everything, LiveGuard,
                         testing::Values(Setting{"one_clock_128", false, 48000.0, 128},
                                         Setting{"one_clock_480", false, 48000.0, 480},
                                         Setting{"two_clocks_128", true, 48000.0, 128},
                                         Setting{"two_clocks_44k1", true, 44100.0, 256}),
                         [](const auto& test) { return std::string(test.param.name); });

// The nets are there: an allocation in the callback's place is seen.
TEST(LiveGuardItself, SeesAPlantedAllocation) {
  Watch watch;
  watch.region([] {
    void* volatile planted = std::malloc(64);
    std::free(planted);
  });
  EXPECT_GT(watch.trips().allocations, 0u);
}

}  // namespace
}  // namespace rtvoice::test
