// Two clocks: latency stays where it was, without a click, for hours; and a device that goes away and comes back leaves both as they were.
#include "live/bridge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../short_form.h"
#include "simulated_devices.h"

namespace rtvoice::test {
namespace {

live::BridgeConfig bridge_of(const DevicesConfig& c) {
  live::BridgeConfig b;
  b.in_rate = c.in_rate;
  b.out_rate = c.out_rate;
  b.in_block = c.in_block;
  b.out_block = c.out_block;
  return b;
}

void report(const char* name, const DevicesConfig& c, const live::Bridge& bridge, const DevicesResult& r) {
  const live::BridgeState s = bridge.state();
  std::printf(
      "%s: %.2f h, target %.3f ms, true delay %.3f to %.3f ms (mean %.3f), drift %.1f ppm, worst click %.1f dB, %llu "
      "underruns, "
      "%llu jumps\n",
      name, c.seconds / 3600, s.target_ms, r.least_ms, r.most_ms, r.mean_ms, s.drift_ppm,
      20 * std::log10(r.worst_click + 1e-12), static_cast<unsigned long long>(s.underruns),
      static_cast<unsigned long long>(s.jumps));
}

// Emulated processors and sanitizers take a part of it.
double seconds_of(size_t full) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  full = std::max<size_t>(60, full / 20);
#endif
  return static_cast<double>(std::max<size_t>(60, shortened(full, 20)));
}

void holds(const char* name, const DevicesConfig& c, bool told = true) {
  live::BridgeConfig config = bridge_of(c);
  if (!told) config.in_block = config.out_block = 0;
  live::Bridge bridge(config);
  const DevicesResult r = Devices(c, &bridge).run();
  report(name, c, bridge, r);
  const live::BridgeState s = bridge.state();
  EXPECT_EQ(s.underruns, 0u);
  EXPECT_EQ(s.jumps, 0u);
  EXPECT_EQ(s.dropped, 0u);
  EXPECT_TRUE(s.locked);
  EXPECT_GT(r.measured, 10u);
  EXPECT_GT(r.least_ms, s.target_ms - 1.0);
  EXPECT_LT(r.most_ms, s.target_ms + 1.0);
  EXPECT_LT(r.worst_click, 1e-4);  // -80 dB
  EXPECT_NEAR(s.drift_ppm, c.in_ppm - c.out_ppm, 40.0);
}

// RTVOICE_LIVE_HOURS=10 is the whole of it (make soak); the drift is the same in every hour.
TEST(Bridge, KeepsItsLatencyForHoursWhereClocksAre300PpmApart) {
  const char* hours = std::getenv("RTVOICE_LIVE_HOURS");
  DevicesConfig c;
  c.seconds = hours == nullptr ? seconds_of(3600) : 3600.0 * std::atof(hours);
  holds("300 ppm", c);
}

TEST(Bridge, KeepsItsLatencyTheOtherWayRound) {
  DevicesConfig c;
  c.in_ppm = -150.0, c.out_ppm = 150.0;
  c.in_block = 480, c.out_block = 128;
  c.seconds = seconds_of(600);
  holds("-300 ppm, blocks of 480 and 128", c);
}

TEST(Bridge, KeepsItsLatencyBetweenDifferentRates) {
  DevicesConfig c;
  c.in_rate = 44100.0;
  c.in_block = 441, c.out_block = 480;
  c.seconds = seconds_of(600);
  holds("44.1 to 48 kHz", c);
}

TEST(Bridge, KeepsItsLatencyWhereCallbacksComeLate) {
  DevicesConfig c;
  c.mean_lateness = 6e-4, c.most_lateness = 1.9e-3;
  c.seconds = seconds_of(600);
  holds("late callbacks", c);
}

TEST(Bridge, LearnsTheBlocksThatDevicesBring) {
  DevicesConfig c;
  c.in_block = 1024, c.out_block = 480;
  c.seconds = 120.0;
  holds("blocks of 1024 and 480, untold", c, false);
}

TEST(Bridge, ComesBackToItsLatencyWhenADeviceStoodStill) {
  for (const bool input : {true, false}) {
    for (const double seconds : {0.02, 0.3, 5.0}) {
      DevicesConfig c;
      c.seconds = 90.0, c.settle = 50.0;
      live::Bridge bridge(bridge_of(c));
      Devices devices(c, &bridge);
      if (input) {
        devices.stop_input(20.0, seconds);
      } else {
        devices.stop_output(20.0, seconds);
      }
      const DevicesResult r = devices.run();
      report(input ? "input away" : "output away", c, bridge, r);
      const live::BridgeState s = bridge.state();
      EXPECT_GT(r.least_ms, s.target_ms - 1.0) << input << seconds;
      EXPECT_LT(r.most_ms, s.target_ms + 1.0) << input << seconds;
      EXPECT_LT(s.target_ms, 13.0) << "latency is bounded";
      EXPECT_LT(r.worst_click, 1e-4) << input << seconds;
      EXPECT_LE(s.underruns + s.jumps, 6u) << input << seconds;
    }
  }
}

// What the click measure is for: it must see a sample that is lost, and the delay one that is far off.
TEST(Bridge, TheMeasureSeesALostSample) {
  DevicesConfig c;
  c.seconds = 30.0;
  live::Bridge bridge(bridge_of(c));
  Devices devices(c, &bridge);
  devices.stop_input(20.0, 1e-9 + 0.9 * 128 / 48000.0);  // one callback of the input
  EXPECT_GT(devices.run().worst_click, 1e-3);
}

}  // namespace
}  // namespace rtvoice::test
