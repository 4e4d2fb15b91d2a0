// What lies between the callbacks and the engine: nothing where every knob is off; engines that take each other's place without a click; the probe.
#include "live/chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include "../c_api/host.h"
#include "live/live_stream.h"

namespace rtvoice::test {
namespace {

live::ChainConfig chain_of(const rtv_config& config, bool limiter = false) {
  live::ChainConfig c;
  c.sample_rate = config.sample_rate;
  c.max_frame = config.max_frame;
  c.limiter = limiter;
  return c;
}

Samples through(live::Chain* chain, const Samples& in, size_t frames) {
  Samples out(in.size());
  for (size_t at = 0; at < in.size(); at += frames)
    chain->process(in.data() + at, out.data() + at, static_cast<uint32_t>(std::min(frames, in.size() - at)));
  return out;
}

TEST(Chain, IsTheEngineAndNothingElseWhereEveryKnobIsOff) {
  const ModelHandle model = open_model(tcn_model());
  const EngineHandle one = make_engine(model), other = make_engine(model);
  live::Chain chain(chain_of(default_config()), one.get());
  const Samples in = test_signal(48000);
  // 3000 is more than an engine's max_frame: a device may bring what it likes.
  for (const size_t frames : {size_t{128}, size_t{3000}}) {
    rtv_engine_reset(one.get());
    rtv_engine_reset(other.get());
    EXPECT_EQ(through(&chain, in, frames), stream(other, in, [] { return size_t{480}; }));
  }
  EXPECT_EQ(chain.latency(), rtv_engine_latency(other.get()));
}

TEST(Chain, TheLimitersMillisecondIsPartOfTheLatencyItTells) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const EngineHandle engine = make_engine(model);
  live::Chain chain(chain_of(default_config(), true), engine.get());
  const Samples in = test_signal(9600), out = through(&chain, in, 128);
  ASSERT_EQ(chain.latency(), rtv_engine_latency(engine.get()) + 48);
  EXPECT_TRUE(std::equal(out.begin() + chain.latency(), out.end(), in.begin()));
}

TEST(Chain, FindsTheFirstSoundOfAMicrophone) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const EngineHandle engine = make_engine(model);
  live::Chain chain(chain_of(default_config()), engine.get());
  Samples in(4800, 0.0f);
  through(&chain, in, 128);
  EXPECT_EQ(chain.first_sound(), live::Chain::kNever);
  in[1234] = 1e-6f;
  through(&chain, in, 128);
  EXPECT_EQ(chain.first_sound(), 4800u + 1234u);
  EXPECT_EQ(chain.frames(), 9600u);
}

TEST(Chain, AnotherEngineFadesInWithoutAClickAndTheOldOneIsGivenBack) {
  const ModelHandle soft = open_model(scale_model(0.5f)), loud = open_model(scale_model(1.0f));
  const EngineHandle first = make_engine(soft), second = make_engine(loud);
  live::Chain chain(chain_of(default_config()), first.get());
  Samples in(48000);
  for (size_t i = 0; i < in.size(); ++i) in[i] = std::sin(static_cast<float>(i % 240) * 6.2831853f / 240.0f);
  Samples out = through(&chain, in, 128);
  ASSERT_EQ(chain.retired(), nullptr);
  ASSERT_TRUE(chain.exchange(second.get()));
  EXPECT_FALSE(chain.exchange(first.get())) << "one at a time";
  const Samples after = through(&chain, in, 128);
  EXPECT_EQ(chain.retired(), first.get());
  EXPECT_EQ(chain.retired(), nullptr) << "given back once";
  const size_t before = out.size();
  out.resize(before + after.size());
  std::copy(after.begin(), after.end(), out.begin() + static_cast<std::ptrdiff_t>(before));
  float steepest = 0.0f;
  for (size_t i = 2; i < out.size(); ++i) steepest = std::max(steepest, std::abs(out[i] - 2 * out[i - 1] + out[i - 2]));
  EXPECT_LT(steepest, 1.5f * 6.86e-4f) << "the tone's own second difference is 6.86e-4";
  EXPECT_NEAR(*std::max_element(out.end() - 4800, out.end()), 1.0f, 1e-3f);
  EXPECT_TRUE(chain.exchange(first.get()));
}

TEST(Chain, TheProbeReplacesTheVoiceAndRecordsWhatComesBack) {
  const ModelHandle model = open_model(lookahead_model(100));
  const EngineHandle engine = make_engine(model);
  live::Chain chain(chain_of(default_config()), engine.get());
  rtv_engine_bypass(engine.get(), 1);
  through(&chain, Samples(4800, 0.0f), 100);
  const Samples chirp = test_signal(4800, 2);
  ASSERT_TRUE(chain.probe().start(chirp));
  EXPECT_FALSE(chain.probe().start(chirp));
  // A loop of 300 samples from the output to the input: three blocks that take turns.
  constexpr size_t kLoop = 300, kBlock = 100;
  Samples loop(kLoop, 0.0f);
  for (size_t turn = 0; !chain.probe().done(); ++turn) {
    ASSERT_LT(turn, 2000u);
    float* block = loop.data() + turn % 3 * kBlock;
    chain.process(block, block, kBlock);
  }
  const std::vector<float>&heard = chain.probe().heard(), &made = chain.probe().made();
  const size_t late = rtv_engine_latency(engine.get());
  EXPECT_TRUE(std::equal(chirp.begin(), chirp.end(), heard.begin() + kLoop));
  EXPECT_TRUE(std::equal(chirp.begin(), chirp.end(), made.begin() + static_cast<std::ptrdiff_t>(kLoop + late)));
}

// Counters, by callbacks at times of our own.
TEST(LiveStream, TellsStallsFromXrunsAndWhoseTheyAre) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const EngineHandle engine = make_engine(model);
  live::LiveStream stream(chain_of(default_config()), engine.get());
  live::StreamConfig config;
  config.output.channels = 2;
  config.block = 128;
  stream.prepare(config);
  Samples in(128, 0.25f), out(256);
  double now = 1.0;
  for (int i = 0; i < 100; ++i) stream.duplex(in.data(), out.data(), 128, 0, now += 128.0 / 48000.0);
  EXPECT_EQ(out[0], out[1]) << "every channel of the speaker gets the voice";
  EXPECT_EQ(stream.counters().stalls, 0u);
  EXPECT_EQ(stream.counters().xruns, 0u);
  stream.duplex(in.data(), out.data(), 128, live::kInputOverflow | live::kOutputUnderflow, now += 0.2);
  const live::StreamCounters c = stream.counters();
  EXPECT_EQ(c.callbacks, 101u);
  EXPECT_EQ(c.stalls, 1u);
  EXPECT_EQ(c.xruns, 1u);
  EXPECT_EQ(c.xruns_ours, 0u) << "every callback was in time: the system was not";
  EXPECT_EQ(c.input_overflows, 1u);
  EXPECT_EQ(c.output_underflows, 1u);
  EXPECT_NEAR(c.longest_gap_ms, 200.0, 0.01);
  stream.duplex(nullptr, out.data(), 128, 0, now += 128.0 / 48000.0);  // PortAudio may bring no input
}

// Whose an xrun is, where CPU time is measured: of the callbacks that missed their deadline, one is told of with what it took.
TEST(LiveStream, TellsWhatEachLateCallbackTook) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const EngineHandle engine = make_engine(model);
  live::LiveStream stream(chain_of(default_config()), engine.get());
  live::StreamConfig config;
  config.block = 128;
  config.measure_cpu = true;
  stream.prepare(config);
  Samples in(128, 0.25f), out(128);
  const auto call = [&](double wall, double cpu, unsigned long flags) {
    stream.duplex(in.data(), out.data(), 128, flags, 1.0);
    stream.used({1.0, wall, cpu, 1, false});
  };
  call(0.0001, 0.0001, 0);
  call(0.0190, 0.0001, 0);                       // taken off its core: the system's
  call(0.0190, 0.0190, live::kOutputUnderflow);  // that one's xrun, and then a late one of our own
  call(0.0001, 0.0001, live::kOutputUnderflow);  // whose xrun is told here
  call(0.0050, 0.0040, 0);                       // late, but nothing was heard of it
  call(0.0001, 0.0001, 0);
  EXPECT_EQ(stream.counters().xruns, 2u);
  EXPECT_EQ(stream.counters().xruns_ours, 1u);
  const std::vector<live::LateCall> late = stream.late_calls();
  ASSERT_EQ(late.size(), 2u);
  EXPECT_DOUBLE_EQ(late[0].cpu, 0.0190);
  EXPECT_EQ(late[0].core, 1);
  EXPECT_TRUE(late[0].xrun);
  EXPECT_FALSE(late[1].xrun);
  for (int i = 0; i < 300; ++i) call(0.0050, 0.0040, 0);
  EXPECT_EQ(stream.late_calls().size(), 256u) << "the first are kept";
  EXPECT_EQ(stream.counters().cpu_overruns, 302u);
}

// For ThreadSanitizer: two devices' threads and one that turns knobs and looks.
TEST(LiveStream, ThreadsOfTwoDevicesAndAThirdOneShareNothingUnguarded) {
  const ModelHandle model = open_model(scale_model(0.5f));
  const EngineHandle one = make_engine(model), other = make_engine(model);
  live::LiveStream stream(chain_of(default_config(), true), one.get());
  live::StreamConfig config;
  config.two_clocks = true;
  stream.prepare(config);
  std::atomic<int> running{2};
  const auto device = [&](bool input) {
    Samples samples(128, 0.1f);
    for (int i = 0; i < 3000; ++i) {
      const double now = i * 128 / 48000.0;
      if (input) {
        stream.input(samples.data(), 128, live::kInputOverflow, now);
      } else {
        stream.output(samples.data(), 128, 0, now);
      }
      if (i % 16 == 0) std::this_thread::yield();
    }
    --running;
  };
  std::thread in(device, true), out(device, false);
  rtv_engine* idle = other.get();
  const Samples chirp(480, 0.1f);
  while (running.load() != 0) {
    if (idle != nullptr && stream.chain().exchange(idle)) idle = nullptr;
    if (rtv_engine* free = stream.chain().retired()) idle = free;
    stream.chain().controls().gate.store(true);
    stream.chain().probe().start(chirp);
    (void)stream.counters();
    (void)stream.bridge();
    (void)stream.times();
  }
  in.join();
  out.join();
  EXPECT_EQ(stream.counters().callbacks, 3000u);
  EXPECT_EQ(stream.counters().input_overflows, 3000u);
}

TEST(LiveStream, SaysWhatIsWrongWithALibraryThatIsNone) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const EngineHandle engine = make_engine(model);
  live::LiveStream stream(chain_of(default_config()), engine.get());
  std::string error;
  EXPECT_FALSE(stream.open("libnothing-of-this-name.so.9", {}, &error));
  EXPECT_NE(error.find("libnothing"), std::string::npos) << error;
  EXPECT_FALSE(stream.open("libm.so.6", {}, &error));
  EXPECT_NE(error.find("PortAudio"), std::string::npos) << error;
}

}  // namespace
}  // namespace rtvoice::test
