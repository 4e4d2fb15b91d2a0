// rtv_engine_process: bad calls, in place, every cutting, reset, statistics.
#include "../short_form.h"
#include "host.h"

namespace rtvoice::test {
namespace {

TEST(CApiProcess, RefusesNull) {
  const EngineHandle engine = make_engine(open_model(tcn_model()));
  Samples room(16);
  EXPECT_EQ(rtv_engine_process(nullptr, room.data(), room.data(), 16), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_process(engine.get(), nullptr, room.data(), 16), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_process(engine.get(), room.data(), nullptr, 16), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_latency(nullptr), 0u);
  rtv_engine_reset(nullptr);
  rtv_engine_bypass(nullptr, 1);
}

TEST(CApiProcess, NoFramesDoNothing) {
  const ModelHandle model = open_model(tcn_model());
  const EngineHandle plain = make_engine(model), interrupted = make_engine(model);
  const Samples in = test_signal(480);
  Samples expected(480), out(480);
  rtv_engine_process(plain.get(), in.data(), expected.data(), 480);
  EXPECT_EQ(rtv_engine_process(interrupted.get(), nullptr, nullptr, 0), RTV_OK);
  rtv_engine_process(interrupted.get(), in.data(), out.data(), 200);
  float untouched = 7.0f;
  EXPECT_EQ(rtv_engine_process(interrupted.get(), &untouched, &untouched, 0), RTV_OK);
  EXPECT_EQ(untouched, 7.0f);
  rtv_engine_process(interrupted.get(), in.data() + 200, out.data() + 200, 280);
  EXPECT_EQ(out, expected);
}

// Silence and an error, and the stream goes on as if the call had not been.
TEST(CApiProcess, FramesThatWereNotAgreedAreSilence) {
  const ModelHandle model = open_model(tcn_model());
  const Samples in = test_signal(960);
  for (const uint32_t block : {0u, 480u}) {
    rtv_config config = default_config(48000, 480, 2);
    config.block = block;
    const EngineHandle plain = make_engine(model, config), bothered = make_engine(model, config);
    Samples expected(960), out(960);
    rtv_engine_process(plain.get(), in.data(), expected.data(), 480);
    for (const uint32_t bad : {481u, 960u, 4096u, block == 0 ? 5000u : 479u}) {
      Samples loud(bad * 2, 0.5f), result(bad * 2, 0.5f);
      EXPECT_EQ(rtv_engine_process(bothered.get(), loud.data(), result.data(), bad), RTV_ERROR_FRAME_SIZE) << bad;
      EXPECT_EQ(peak(result), 0.0f) << bad;
    }
    rtv_engine_process(bothered.get(), in.data(), out.data(), 480);
    EXPECT_EQ(out, expected);
  }
}

class CApiCutting : public testing::TestWithParam<const char*> {
 protected:
  Bytes bytes() const {
    const std::string name = GetParam();
    if (name == "tcn") return tcn_model();
    if (name == "gru") return gru_model();
    if (name == "lstm") return lstm_model();
    return name == "control" ? control_model() : read_file(shipped_model(name));
  }
};

// Same input, same bits: in frames of 1, of primes, at random, in place or not, after a reset.
TEST_P(CApiCutting, EveryCuttingGivesTheSameBits) {
  const Bytes model_bytes = bytes();
  if (model_bytes.empty()) GTEST_SKIP() << "models/whisper/" << GetParam() << ".rtv is not there";
  const ModelHandle model = open_model(model_bytes);
  for (const uint32_t rate : {48000u, 44100u, 16000u, 96000u}) {
    const rtv_config config = default_config(rate, 1024, 2);
    const Samples in = test_signal(2 * shortened(rate / 4, 8));
    const EngineHandle engine = make_engine(model, config);
    const Samples expected = stream(engine, in, 1024, 2);
    EXPECT_TRUE(all_finite(expected));
    for (const size_t frame : {size_t{1}, size_t{7}, size_t{480}, size_t{1021}}) {
      rtv_engine_reset(engine.get());
      EXPECT_EQ(stream(engine, in, frame, 2), expected) << rate << " Hz in frames of " << frame;
    }
    std::mt19937 random(rate);
    const EngineHandle fresh = make_engine(model, config);
    EXPECT_EQ(stream(fresh, in, [&random] { return 1 + random() % 1024; }, 2), expected) << rate;
    rtv_engine_reset(fresh.get());
    Samples in_place = in;
    for (size_t done = 0; done < in.size(); done += 2 * 333) {
      const size_t now = std::min<size_t>(333, (in.size() - done) / 2);
      rtv_engine_process(fresh.get(), in_place.data() + done, in_place.data() + done, static_cast<uint32_t>(now));
    }
    EXPECT_EQ(in_place, expected) << rate << " Hz in place";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CApiCutting, testing::Values("tcn", "gru", "lstm", "control", "default", "hq"),
                         [](const auto& test) { return std::string(test.param); });

// Channels are streams of their own: the first one is what a mono engine gives.
TEST(CApiProcess, ChannelsAreStreamsOfTheirOwn) {
  const ModelHandle model = open_model(tcn_model());
  const Samples mono = test_signal(4800), other = test_signal(4800, 2);
  Samples both(2 * mono.size());
  for (size_t i = 0; i < mono.size(); ++i) both[2 * i] = mono[i], both[2 * i + 1] = other[i];
  const Samples out = stream(make_engine(model, default_config(48000, 1024, 2)), both, 480, 2);
  const Samples left = stream(make_engine(model), mono), right = stream(make_engine(model), other);
  for (size_t i = 0; i < mono.size(); ++i) {
    ASSERT_EQ(out[2 * i], left[i]) << i;
    ASSERT_EQ(out[2 * i + 1], right[i]) << i;
  }
}

// An impulse through y = x comes out `latency` later, whatever the rate: the number is exact.
TEST(CApiProcess, LatencyIsWhereAnImpulseComesOut) {
  for (const uint32_t rate : {48000u, 16000u, 24000u, 96000u, 8000u, 44100u, 22050u, 37123u}) {
    const EngineHandle engine = make_engine(open_model(scale_model(1.0f, 16000, 160)), default_config(rate));
    const uint32_t latency = rtv_engine_latency(engine.get());
    Samples in(rate / 2);
    in[100] = 1.0f;
    const Samples out = stream(engine, in, 113);
    const size_t at = static_cast<size_t>(std::max_element(out.begin(), out.end()) - out.begin());
    EXPECT_EQ(at, 100u + latency) << rate;
  }
}

TEST(CApiProcess, PromisedBlocksHaveLessLatency) {
  const ModelHandle model = open_model(scale_model(1.0f, 48000, 480));
  rtv_config config = default_config(48000, 480);
  EXPECT_EQ(rtv_engine_latency(make_engine(model, config).get()), 479u);
  config.block = 480;
  const EngineHandle engine = make_engine(model, config);
  EXPECT_EQ(rtv_engine_latency(engine.get()), 0u);
  const Samples in = test_signal(4800);
  EXPECT_EQ(stream(engine, in), in);
}

TEST(CApiProcess, StatisticsCountWhatWasProcessed) {
  const EngineHandle engine = make_engine(open_model(tcn_model()), default_config(48000, 1024, 2));
  rtv_stats_init(nullptr);
  rtv_engine_stats(nullptr, nullptr);
  rtv_engine_stats(engine.get(), nullptr);
  rtv_stats fresh = stats_of(engine);
  EXPECT_EQ(fresh.frames, 0u);
  EXPECT_EQ(fresh.calls, 0u);
  EXPECT_EQ(fresh.us_max, 0.0f);
  stream(engine, test_signal(2 * 48000), 480, 2);
  const rtv_stats s = stats_of(engine);
  EXPECT_EQ(s.frames, 48000u);
  EXPECT_EQ(s.calls, 100u);
  EXPECT_EQ(s.nonfinite, 0u);
  EXPECT_GT(s.us_p50, 0.0f);
  EXPECT_LE(s.us_p50, s.us_p90);
  EXPECT_LE(s.us_p90, s.us_p99);
  EXPECT_LE(s.us_p99, s.us_p999);
  EXPECT_LE(s.us_p999, s.us_max);
  EXPECT_GT(s.load, 0.0f);
  EXPECT_GT(s.memory_weights, 0u);
  EXPECT_GT(s.memory_state, 0u);
  EXPECT_FLOAT_EQ(s.latency_model_ms + s.latency_resampler_ms + s.latency_buffering_ms,
                  static_cast<float>(rtv_engine_latency(engine.get())) / 48.0f);
  rtv_engine_reset(engine.get());
  EXPECT_EQ(stats_of(engine).calls, 0u);
}

TEST(CApiProcess, StatisticsStayInsideAShorterStruct) {
  const EngineHandle engine = make_engine(open_model(tcn_model()));
  stream(engine, test_signal(4800));
  rtv_stats stats;
  std::fill_n(reinterpret_cast<unsigned char*>(&stats), sizeof stats, static_cast<unsigned char>(0xab));
  stats.struct_size = offsetof(rtv_stats, overruns);
  rtv_engine_stats(engine.get(), &stats);
  EXPECT_EQ(stats.struct_size, offsetof(rtv_stats, overruns));
  EXPECT_EQ(stats.calls, 10u);
  EXPECT_EQ(stats.overruns, 0xababababababababull);
  stats.struct_size = 0;
  stats.calls = 99;
  rtv_engine_stats(engine.get(), &stats);
  EXPECT_EQ(stats.calls, 99u) << "not initialised: nothing is written";
}

}  // namespace
}  // namespace rtvoice::test
