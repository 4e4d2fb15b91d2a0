// Tiers in one engine: equal latency, and the sequence of an overload - stop, fade, prime, fade in, climb back - sample by sample.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace rtvoice {
namespace {

constexpr uint32_t kRate = 16000, kFrame = 160;

// y[n] = gain * x[n], late by `lookahead` samples; `macs` more multiply-adds that change nothing.
std::shared_ptr<Model> scaled(float gain, int64_t lookahead, int64_t taps, const char* tier) {
  auto graph = std::make_unique<Graph>();
  graph->name = "scaled";
  graph->tier = tier;
  graph->sample_rate = kRate;
  graph->hop = kFrame;
  Node node;
  node.op = Op::kConv1d;
  node.name = "scale";
  node.inputs = {0};
  node.w0.shape = {1, 1, taps};
  node.w0.data.assign(static_cast<size_t>(taps), 0.0f);
  node.w0.data[static_cast<size_t>(taps - 1 - lookahead)] = gain;
  node.attrs.pad_left = taps - 1 - lookahead;
  graph->nodes.push_back(node);
  Output output;
  output.name = "audio";
  output.value = 1;
  graph->outputs.push_back(output);
  return std::make_shared<Model>(std::move(graph));
}

rtv_config config_of(uint32_t overload = RTV_OVERLOAD_SILENCE) {
  rtv_config config;
  rtv_config_init(&config);
  config.sample_rate = kRate;
  config.max_frame = 1024;
  config.overload = overload;
  return config;
}

struct Host {
  explicit Host(uint32_t overload = RTV_OVERLOAD_SILENCE, int64_t costly_taps = 400) {
    rtv_status status;
    std::string error;
    engine = Engine::make({scaled(1.0f, 8, costly_taps, "hq"), scaled(0.5f, 40, 100, "default")}, config_of(overload),
                          &status, &error);
    EXPECT_NE(engine, nullptr) << error;
  }
  // Seconds of a constant 1; everything that came out is appended.
  void run(double seconds, double load) {
    engine->pretend_load(load);
    const std::vector<float> in(kFrame, 1.0f);
    for (double t = 0.0; t < seconds - 1e-9; t += static_cast<double>(kFrame) / kRate) {
      const size_t at = out.size();
      out.resize(at + kFrame);
      ASSERT_EQ(engine->process(in.data(), out.data() + at, kFrame), RTV_OK);
    }
  }
  rtv_stats stats() const {
    rtv_stats s;
    rtv_stats_init(&s);
    engine->stats(&s);
    return s;
  }
  float largest_step() const {
    float most = 0.0f;
    for (size_t i = 1; i < out.size(); ++i) most = std::max(most, std::fabs(out[i] - out[i - 1]));
    return most;
  }
  std::unique_ptr<Engine> engine;
  std::vector<float> out;
};

TEST(Tiers, AllAreAsLateAsTheSlowest) {
  rtv_status status;
  std::string error;
  const auto slow = Engine::make({scaled(0.5f, 40, 100, "default")}, config_of(), &status, &error);
  Host host;
  EXPECT_EQ(host.engine->latency(), slow->latency());
  EXPECT_EQ(host.stats().tier, 0u);
  host.run(0.1, 0.1);
  // The better tier runs, at the slower one's latency.
  for (size_t i = 0; i < host.out.size(); ++i) EXPECT_EQ(host.out[i], i < slow->latency() ? 0.0f : 1.0f) << i;
}

TEST(Tiers, OverloadStopsFadesPrimesAndFadesIn) {
  Host host;
  host.run(1.0, 0.2);
  const size_t before = host.out.size();
  host.run(0.5, 1.5);
  EXPECT_EQ(host.stats().tier, 1u);
  EXPECT_EQ(host.stats().tier_changes, 1u);
  // Three late calls, then: 20 ms from 1 to 0, silence until latency + 20 ms are over, 20 ms from 0 to 0.5.
  const size_t stop = before + 3 * kFrame, fade = kRate / 50, prime = host.engine->latency() + kRate / 50;
  for (size_t i = 0; i < host.out.size(); ++i) {
    const float y = host.out[i];
    ASSERT_TRUE(std::isfinite(y));
    if (i >= host.engine->latency() && i < stop) {
      EXPECT_EQ(y, 1.0f) << i;
    } else if (i >= stop && i < stop + fade) {
      EXPECT_LE(y, host.out[i - 1]) << i;
    } else if (i >= stop + fade && i < stop + prime) {
      EXPECT_EQ(y, 0.0f) << i;
    } else if (i >= stop + prime && i < stop + prime + fade) {
      EXPECT_GE(y, host.out[i - 1]) << i;
    } else if (i >= stop + prime + fade) {
      EXPECT_EQ(y, 0.5f) << i;
    }
  }
  host.out.erase(host.out.begin(), host.out.begin() + static_cast<ptrdiff_t>(before));
  EXPECT_LT(host.largest_step(), 2.0f / static_cast<float>(fade));
}

TEST(Tiers, TheDryInputIsHeardOnlyWhereSomeoneChoseIt) {
  Host host(RTV_OVERLOAD_DRY);
  host.run(1.0, 0.2);
  host.run(0.05, 1.5);
  const size_t gap = host.out.size();
  host.run(0.0, 1.5);
  EXPECT_NEAR(host.out[gap - 1], 1.0f, 1e-6f);  // the input, not silence
  host.run(0.5, 0.2);
  EXPECT_EQ(host.out.back(), 0.5f);
  host.out.erase(host.out.begin(), host.out.begin() + kRate / 2);
  EXPECT_LT(host.largest_step(), 2.0f / static_cast<float>(kRate / 50));
}

TEST(Tiers, ClimbsBackWithoutAClick) {
  Host host(RTV_OVERLOAD_SILENCE, 200);  // twice the cost of the other
  host.run(0.5, 0.2);
  host.run(0.5, 1.5);
  ASSERT_EQ(host.stats().tier, 1u);
  const size_t before = host.out.size();
  host.run(4.0, 0.2);
  EXPECT_EQ(host.stats().tier, 1u);
  host.run(2.0, 0.2);
  EXPECT_EQ(host.stats().tier, 0u);
  EXPECT_EQ(host.stats().tier_changes, 2u);
  EXPECT_EQ(host.out.back(), 1.0f);
  host.out.erase(host.out.begin(), host.out.begin() + static_cast<ptrdiff_t>(before));
  EXPECT_LT(host.largest_step(), 1.0f / static_cast<float>(kRate / 50));
  EXPECT_GE(*std::min_element(host.out.begin(), host.out.end()), 0.5f);  // never a gap
}

TEST(Tiers, ATrialThatMissesIsGivenUpUnheard) {
  Host host(RTV_OVERLOAD_SILENCE, 200);
  host.run(0.5, 0.2);
  host.run(0.5, 1.5);
  host.run(4.55, 0.2);
  const size_t before = host.out.size();
  while (host.stats().tier == 1u && host.out.size() < before + 2 * kRate) host.run(0.01, 0.2);
  ASSERT_EQ(host.stats().tier, 0u);  // the trial has begun
  host.run(0.06, 1.5);
  EXPECT_EQ(host.stats().tier, 1u);
  EXPECT_EQ(host.stats().tier_changes, 1u);
  for (size_t i = before; i < host.out.size(); ++i) ASSERT_EQ(host.out[i], 0.5f) << i;
}

TEST(Tiers, AHeldTierIsCrossFadedToAndStays) {
  Host host;
  host.run(0.5, 0.2);
  EXPECT_EQ(host.engine->hold_tier(2), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(host.engine->hold_tier(-2), RTV_ERROR_ARGUMENT);
  ASSERT_EQ(host.engine->hold_tier(1), RTV_OK);
  host.run(20.0, 0.01);
  EXPECT_EQ(host.out.back(), 0.5f);
  ASSERT_EQ(host.engine->hold_tier(0), RTV_OK);
  host.run(0.5, 0.01);
  EXPECT_EQ(host.out.back(), 1.0f);
  host.run(0.5, 9.0);
  EXPECT_EQ(host.out.back(), 1.0f);  // held: late, but as asked
  host.out.erase(host.out.begin(), host.out.begin() + kRate / 4);
  EXPECT_LT(host.largest_step(), 1.0f / static_cast<float>(kRate / 50));
}

// A fade ends inside a frame, wherever the frames end.
TEST(Tiers, EveryCuttingOfAHeldTierGivesTheSameBits) {
  std::vector<float> in(kRate / 4), expected;
  for (size_t i = 0; i < in.size(); ++i) in[i] = std::sin(0.37f * static_cast<float>(i));
  for (const size_t frame : {size_t{1024}, size_t{1}, size_t{7}, size_t{160}, size_t{1021}}) {
    rtv_status status;
    std::string error;
    const auto engine =
        Engine::make({scaled(1.0f, 8, 40, "hq"), scaled(0.3f, 40, 41, "default")}, config_of(), &status, &error);
    ASSERT_NE(engine, nullptr) << error;
    engine->pretend_load(0.01);
    ASSERT_EQ(engine->hold_tier(1), RTV_OK);
    std::vector<float> out(in.size());
    for (size_t done = 0; done < in.size(); done += frame) {
      const size_t now = std::min(frame, in.size() - done);
      ASSERT_EQ(engine->process(&in[done], &out[done], static_cast<uint32_t>(now)), RTV_OK);
    }
    if (expected.empty()) expected = out;
    EXPECT_EQ(out, expected) << "in frames of " << frame;
  }
}

TEST(Tiers, ResetStartsWithTheBestAgain) {
  Host host;
  host.run(0.2, 0.2);
  host.run(0.5, 1.5);
  ASSERT_EQ(host.stats().tier, 1u);
  host.engine->reset();
  EXPECT_EQ(host.stats().tier, 0u);
  EXPECT_EQ(host.stats().tier_changes, 0u);
  host.out.clear();
  host.run(0.1, 0.2);
  EXPECT_EQ(host.out.back(), 1.0f);
}

TEST(Tiers, ASwapReplacesThemAll) {
  Host host;
  host.run(0.2, 0.2);
  std::string error;
  ASSERT_EQ(host.engine->swap(scaled(0.25f, 0, 10, "default"), &error), RTV_OK) << error;
  host.run(0.5, 0.2);
  EXPECT_EQ(host.out.back(), 0.25f);
  host.run(1.0, 3.0);
  EXPECT_EQ(host.out.back(), 0.25f);
  EXPECT_EQ(host.engine->hold_tier(1), RTV_ERROR_ARGUMENT);
}

TEST(Tiers, TiersMustHaveTheSameParameters) {
  auto graph = std::make_unique<Graph>(scaled(1.0f, 0, 10, "hq")->graph());
  Parameter parameter;
  parameter.name = "gain";
  parameter.defaults = {1.0f};
  parameter.max = 1.0f;
  graph->parameters.push_back(parameter);
  graph->outputs[0].value = 2;
  rtv_status status;
  std::string error;
  const auto engine = Engine::make({std::make_shared<Model>(std::move(graph)), scaled(0.5f, 0, 10, "default")},
                                   config_of(), &status, &error);
  EXPECT_EQ(engine, nullptr);
  EXPECT_EQ(status, RTV_ERROR_MODEL);
  EXPECT_NE(error.find("must have the same"), std::string::npos) << error;
}

}  // namespace
}  // namespace rtvoice
