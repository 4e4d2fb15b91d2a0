// Parameters, mix, bypass, value outputs.
#include <limits>

#include "host.h"

namespace rtvoice::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

// Largest step between neighbouring samples.
float largest_step(const Samples& samples) {
  float most = 0.0f;
  for (size_t i = 1; i < samples.size(); ++i) most = std::max(most, std::fabs(samples[i] - samples[i - 1]));
  return most;
}

TEST(CApiControl, SetRefusesBadCalls) {
  const EngineHandle engine = make_engine(open_model(control_model()));
  const float values[2] = {1.0f, 1.0f};
  EXPECT_EQ(rtv_engine_set(nullptr, "gain", values, 1), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_set(engine.get(), nullptr, values, 1), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_set(engine.get(), "gain", nullptr, 1), RTV_ERROR_ARGUMENT);
  for (const char* name : {"", "Gain", "gain ", "energy", "audio", "none"})
    EXPECT_EQ(rtv_engine_set(engine.get(), name, values, 1), RTV_ERROR_ARGUMENT) << name;
  for (const char* name : {"gain", "mix"}) {
    for (const uint32_t count : {0u, 2u, 0xffffffffu})
      EXPECT_EQ(rtv_engine_set(engine.get(), name, values, count), RTV_ERROR_ARGUMENT) << name;
    for (const float bad : {kNan, kInfinity, -kInfinity}) EXPECT_EQ(set(engine, name, bad), RTV_ERROR_ARGUMENT) << name;
    for (const float good : {0.0f, 1.0f, -3e38f, 3e38f}) EXPECT_EQ(set(engine, name, good), RTV_OK) << name;
  }
}

TEST(CApiControl, RefusedValuesChangeNothing) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle plain = make_engine(model), bothered = make_engine(model);
  const Samples in = test_signal(9600);
  set(bothered, "gain", kNan);
  set(bothered, "mix", kNan);
  set(bothered, "none", 0.0f);
  EXPECT_EQ(stream(bothered, in), stream(plain, in));
}

TEST(CApiControl, ValuesAreClampedToTheirRange) {
  const ModelHandle model = open_model(control_model());
  const Samples in = test_signal(9600);
  const auto with = [&](const char* name, float value) {
    const EngineHandle engine = make_engine(model);
    set(engine, name, value);
    rtv_engine_reset(engine.get());  // jumps to the values
    return stream(engine, in);
  };
  EXPECT_EQ(with("gain", 100.0f), with("gain", 4.0f));
  EXPECT_EQ(with("gain", -1.0f), with("gain", 0.0f));
  EXPECT_NE(with("gain", 4.0f), with("gain", 1.0f));
  EXPECT_EQ(with("mix", 7.0f), with("mix", 1.0f));
  EXPECT_EQ(with("mix", -7.0f), with("mix", 0.0f));
}

// As after a reset: there is nothing to fade from.
TEST(CApiControl, WhatIsSetBeforeTheFirstFrameHoldsFromItsFirstSample) {
  const ModelHandle model = open_model(control_model());
  const Samples in = test_signal(4800);
  for (const char* name : {"gain", "hiss", "mix", "bypass"}) {
    const EngineHandle fresh = make_engine(model), reset = make_engine(model);
    for (const EngineHandle* engine : {&fresh, &reset}) {
      if (std::string(name) == "bypass")
        rtv_engine_bypass(engine->get(), 1);
      else
        ASSERT_EQ(set(*engine, name, 0.25f), RTV_OK);
    }
    rtv_engine_reset(reset.get());
    EXPECT_EQ(stream(fresh, in), stream(reset, in)) << name;
  }
}

TEST(CApiControl, MixAndBypassFadeToTheDelayedInput) {
  for (const uint32_t rate : {48000u, 44100u}) {
    const EngineHandle engine = make_engine(open_model(control_model()), default_config(rate));
    const size_t latency = rtv_engine_latency(engine.get()), fade = rate / 50;
    const Samples in = test_signal(rate);
    const size_t half = rate / 2;
    Samples first(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(half));
    stream(engine, first);
    rtv_engine_bypass(engine.get(), 1);
    const Samples out = stream(engine, tail(in, half));
    for (size_t i = fade; i < out.size(); ++i) ASSERT_EQ(out[i], in[half + i - latency]) << rate << " " << i;
    rtv_engine_bypass(engine.get(), 0);
    set(engine, "mix", 0.0f);
    rtv_engine_reset(engine.get());
    const Samples dry = stream(engine, in);
    for (size_t i = 0; i < dry.size(); ++i) ASSERT_EQ(dry[i], i < latency ? 0.0f : in[i - latency]) << i;
  }
}

// A slow sine through y = 0.9 x: whatever is changed, neighbouring samples stay close.
TEST(CApiControl, ChangesMakeNoClick) {
  const EngineHandle engine = make_engine(open_model(scale_model(-0.9f)), default_config(48000, 480));
  Samples in(48000), out;
  for (size_t i = 0; i < in.size(); ++i) in[i] = 0.5f * std::sin(static_cast<float>(i) * 0.005f);
  for (size_t done = 0, turn = 0; done < in.size(); done += 480, ++turn) {
    if (turn % 10 == 0) rtv_engine_bypass(engine.get(), turn % 20 == 0);
    if (turn % 7 == 0) set(engine, "mix", turn % 14 == 0 ? 0.3f : 1.0f);
    Samples frame(in.begin() + static_cast<std::ptrdiff_t>(done), in.begin() + static_cast<std::ptrdiff_t>(done + 480));
    rtv_engine_process(engine.get(), frame.data(), frame.data(), 480);
    out.insert(out.end(), frame.begin(), frame.end());
  }
  // The signal's own largest step is 0.0025; fading between +0.5 and -0.45 over 960 samples adds 0.001.
  EXPECT_LT(largest_step(out), 0.005f);
}

TEST(CApiControl, OutputsGiveTheNewestFrame) {
  const EngineHandle engine = make_engine(open_model(control_model()), default_config(16000));
  float value = -1.0f;
  EXPECT_EQ(rtv_engine_output(nullptr, "energy", &value, 1), 0u);
  EXPECT_EQ(rtv_engine_output(engine.get(), nullptr, &value, 1), 0u);
  EXPECT_EQ(rtv_engine_output(engine.get(), "energy", nullptr, 1), 0u);
  for (const char* name : {"", "audio", "gain", "none"})
    EXPECT_EQ(rtv_engine_output(engine.get(), name, &value, 1), 0u) << name;
  EXPECT_EQ(value, -1.0f);
  EXPECT_EQ(rtv_engine_output(engine.get(), "energy", nullptr, 0), 1u) << "how many there are";
  EXPECT_EQ(rtv_engine_output(engine.get(), "energy", &value, 1), 1u);
  EXPECT_EQ(value, 0.0f) << "nothing came yet";
  stream(engine, Samples(1600, 0.5f));
  float room[3] = {-1.0f, -1.0f, -1.0f};
  EXPECT_EQ(rtv_engine_output(engine.get(), "energy", room, 3), 1u);
  EXPECT_NEAR(room[0], 0.25f, 1e-6f);
  EXPECT_EQ(room[1], -1.0f);
}

TEST(CApiControl, ResetMakesAnEngineFresh) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle engine = make_engine(model);
  const Samples in = test_signal(9600);
  const Samples expected = stream(engine, in);
  stream(engine, test_signal(1234, 5), 100);
  rtv_engine_reset(engine.get());
  EXPECT_EQ(stream(engine, in), expected);
}

}  // namespace
}  // namespace rtvoice::test
