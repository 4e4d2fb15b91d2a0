// rtv_pool_process under every guard: frames of random sizes for all streams, one of which stands still or starts afresh now and then, while another
// thread sets and swaps.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "../c_api/host.h"
#include "guards.h"

namespace rtvoice::test {
namespace {

constexpr uint32_t kStreams = 5;

struct Scenario {
  const char* name;
  Bytes (*model)();
  uint32_t sample_rate, channels;
  bool swap;
  size_t frames;
};
void PrintTo(const Scenario& s, std::ostream* out) { *out << s.name; }

Bytes skin() {
  const std::string path = shipped_model("default");
  return path.empty() ? Bytes() : read_file(path);
}
Bytes gru() { return gru_model(); }

class RtPool : public testing::TestWithParam<Scenario> {};

TEST_P(RtPool, ProcessTripsNothing) {
  const Scenario& s = GetParam();
  const Bytes bytes = s.model();
  if (bytes.empty()) GTEST_SKIP() << "models/whisper/default.rtv is not there";
  const ModelHandle model = open_model(bytes);
  const rtv_config config = default_config(s.sample_rate, 1024, s.channels);
  rtv_pool* pool = nullptr;
  ASSERT_EQ(rtv_pool_create(model.get(), &config, kStreams, nullptr, &pool), RTV_OK) << rtv_last_error();
  const Samples signal = test_signal(config.max_frame * config.channels);
  std::vector<Samples> out(kStreams, Samples(signal.size()));

  std::atomic<bool> stop{false};
  uint64_t swaps = 0, failures = 0;
  Trips first, all;
  std::thread meddler([&] {
    std::mt19937 random(7);
    while (!stop.load()) {
      rtv_engine* engine = rtv_pool_engine(pool, static_cast<uint32_t>(random() % kStreams));
      const float value = static_cast<float>(random() % 100) * 0.01f;
      for (const char* name : {"mix", "gain", "hiss", "none"}) rtv_engine_set(engine, name, &value, 1);
      rtv_engine_bypass(engine, random() % 8 == 0);
      rtv_stats stats;
      rtv_stats_init(&stats);
      rtv_pool_stats(pool, &stats);
      if (s.swap && rtv_engine_swap(engine, model.get()) == RTV_OK) ++swaps;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  std::thread audio([&] {
    rtv_status (*volatile process)(rtv_pool*, const float* const*, float* const*, uint32_t) = &rtv_pool_process;
    void (*volatile reset)(rtv_engine*) = &rtv_engine_reset;
    std::mt19937 random(3);
    const float* in[kStreams];
    float* to[kStreams];
    Watch watch;
    for (size_t frame = 0; frame < s.frames; ++frame) {
      for (size_t i = 0; i < kStreams; ++i) {
        in[i] = random() % 50 == 0 ? nullptr : signal.data();
        to[i] = out[i].data();
      }
      const uint32_t size = random() % 8 == 0 ? 1024 : static_cast<uint32_t>(1 + random() % 500);
      rtv_engine* fresh =
          random() % 100 == 0 ? rtv_pool_engine(pool, static_cast<uint32_t>(random() % kStreams)) : nullptr;
      watch.enter();
      if (fresh != nullptr) reset(fresh);
      const rtv_status status = process(pool, in, to, size);
      watch.leave();
      failures += status != RTV_OK;
      if (frame == 0) first = watch.trips();
    }
    all = watch.trips();
  });
  audio.join();
  stop.store(true);
  meddler.join();
  EXPECT_EQ(failures, 0u);
  EXPECT_EQ(first.total(), 0u) << "in the very first frame: " << first.describe();
  // A page that the kernel moves is a fault that nobody here made: see process_test.cc, which tries again.
  EXPECT_EQ(all.total() - all.minor_faults, 0u) << all.describe();
  EXPECT_LE(all.minor_faults, 2u) << all.describe();
  EXPECT_EQ(swaps > 0, s.swap);
  for (const Samples& samples : out) EXPECT_TRUE(all_finite(samples));
  std::printf("rt-guard pool %s (%s): %zu frames of %u streams: %s\n", s.name, rtv_isa(), s.frames, kStreams,
              all.describe().c_str());
  rtv_pool_destroy(pool);
}

INSTANTIATE_TEST_SUITE_P(Pools, RtPool,
                         testing::Values(Scenario{"whisper_48k", skin, 48000, 1, false, 3000},
                                         Scenario{"whisper_44k1_swaps", skin, 44100, 1, true, 1000},
                                         Scenario{"controls_48k_stereo", control_model, 48000, 2, false, 2000},
                                         Scenario{"gru_48k", gru, 48000, 1, false, 1000}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace rtvoice::test
