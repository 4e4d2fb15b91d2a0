// Pools: every stream's bits are those of an engine alone, whatever the others do; and what a pool refuses.
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <thread>

#include "host.h"

namespace rtvoice::test {
namespace {

struct DestroyPool {
  void operator()(rtv_pool* pool) const { rtv_pool_destroy(pool); }
};
using PoolHandle = std::unique_ptr<rtv_pool, DestroyPool>;

PoolHandle make_pool(const ModelHandle& model, uint32_t streams, const rtv_config& config = default_config(),
                     const uint64_t* seeds = nullptr) {
  rtv_pool* pool = nullptr;
  EXPECT_EQ(rtv_pool_create(model.get(), &config, streams, seeds, &pool), RTV_OK) << rtv_last_error();
  return PoolHandle(pool);
}

// Streams side by side: the pool's and engines alone, fed alike.
struct Pair {
  Pair(const ModelHandle& model, uint32_t streams, const rtv_config& config = default_config(),
       const std::vector<uint64_t>& seeds = {})
      : channels(config.channels), pool(make_pool(model, streams, config, seeds.empty() ? nullptr : seeds.data())) {
    for (uint32_t i = 0; i < streams; ++i) {
      rtv_config of_stream = config;
      if (!seeds.empty()) of_stream.seed = seeds[i];
      alone.push_back(make_engine(model, of_stream));
      signals.push_back(test_signal(48000 * channels, i + 1));
    }
  }
  rtv_engine* in_pool(size_t i) const { return rtv_pool_engine(pool.get(), static_cast<uint32_t>(i)); }

  // One frame of all streams but those that `still` names; returns whether all bits are equal.
  bool step(size_t frames, const std::vector<size_t>& still = {}) {
    const size_t streams = alone.size(), samples = frames * channels;
    std::vector<Samples> out(streams, Samples(samples, 7.0f)), wanted = out;
    std::vector<const float*> in(streams);
    std::vector<float*> to(streams);
    at = at + samples > signals[0].size() ? 0 : at;
    for (size_t i = 0; i < streams; ++i) {
      in[i] = signals[i].data() + at;
      to[i] = out[i].data();
    }
    for (const size_t i : still) in[i] = nullptr;
    EXPECT_EQ(rtv_pool_process(pool.get(), in.data(), to.data(), static_cast<uint32_t>(frames)), RTV_OK);
    bool same = true;
    for (size_t i = 0; i < streams; ++i) {
      if (in[i] != nullptr) rtv_engine_process(alone[i].get(), in[i], wanted[i].data(), static_cast<uint32_t>(frames));
      same = same && std::memcmp(out[i].data(), wanted[i].data(), samples * sizeof(float)) == 0;
    }
    at += samples;
    return same;
  }

  size_t channels, at = 0;
  PoolHandle pool;
  std::vector<EngineHandle> alone;
  std::vector<Samples> signals;
};

struct Case {
  const char* name;
  Bytes (*model)();
  uint32_t sample_rate, channels;
  uint32_t schedule = RTV_SCHEDULE_INLINE;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

Bytes tcn() { return tcn_model(); }
Bytes gru() { return gru_model(); }
Bytes lstm() { return lstm_model(); }
Bytes skin() {
  const std::string path = shipped_model("default");
  return path.empty() ? Bytes() : read_file(path);
}

class PoolBits : public testing::TestWithParam<Case> {};

TEST_P(PoolBits, AreThoseOfEachStreamAlone) {
  const Bytes bytes = GetParam().model();
  if (bytes.empty()) GTEST_SKIP() << "models/whisper/default.rtv is not there";
  const ModelHandle model = open_model(bytes);
  rtv_config config = default_config(GetParam().sample_rate, 1024, GetParam().channels);
  config.schedule = GetParam().schedule;
  for (const uint32_t streams : {1u, 2u, 7u}) {
    Pair pair(model, streams, config);
    EXPECT_EQ(rtv_pool_latency(pair.pool.get()), rtv_engine_latency(pair.alone[0].get()));
    std::mt19937 random(streams);
    for (int frame = 0; frame < 60; ++frame)
      ASSERT_TRUE(pair.step(frame % 9 == 0 ? 1024 : 1 + random() % 500)) << streams << " streams, frame " << frame;
  }
}

INSTANTIATE_TEST_SUITE_P(Everything, PoolBits,
                         testing::Values(Case{"skin_48k", skin, 48000, 1}, Case{"skin_44k1_stereo", skin, 44100, 2},
                                         Case{"skin_16k_sliced", skin, 16000, 1, RTV_SCHEDULE_SLICED},
                                         Case{"tcn", tcn, 48000, 1}, Case{"gru", gru, 48000, 2},
                                         Case{"lstm", lstm, 48000, 1}, Case{"controls", control_model, 48000, 1},
                                         Case{"voice", voice_model, 48000, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Pool, StreamsHaveParametersBypassAndResetsOfTheirOwn) {
  const ModelHandle model = open_model(control_model());
  Pair pair(model, 5);
  for (int frame = 0; frame < 120; ++frame) {
    if (frame % 10 == 3) {
      const size_t i = static_cast<size_t>(frame / 10) % 5;
      const float gain = 0.5f + 0.1f * static_cast<float>(frame % 7), hiss = 0.3f;
      for (rtv_engine* engine : {pair.in_pool(i), pair.alone[i].get()}) {
        EXPECT_EQ(rtv_engine_set(engine, "gain", &gain, 1), RTV_OK);
        EXPECT_EQ(rtv_engine_set(engine, "hiss", &hiss, 1), RTV_OK);
        if (frame % 20 == 3) rtv_engine_reset(engine);
        rtv_engine_bypass(engine, frame % 40 == 33);
      }
    }
    ASSERT_TRUE(pair.step(frame % 4 == 0 ? 97 : 480)) << frame;
  }
  float in_pool = 0.0f, alone = 0.0f;
  EXPECT_EQ(rtv_engine_output(pair.in_pool(3), "energy", &in_pool, 1), 1u);
  rtv_engine_output(pair.alone[3].get(), "energy", &alone, 1);
  EXPECT_EQ(in_pool, alone);
  rtv_pool_reset(pair.pool.get());
  for (const auto& engine : pair.alone) rtv_engine_reset(engine.get());
  EXPECT_TRUE(pair.step(480));
}

TEST(Pool, AStreamThatStandsStillOrSwapsDisturbsNoOther) {
  const ModelHandle model = open_model(control_model()), other = open_model(control_model());
  Pair pair(model, 4);
  for (int frame = 0; frame < 40; ++frame) {
    ASSERT_TRUE(pair.step(240, frame % 3 == 1 ? std::vector<size_t>{1} : std::vector<size_t>{})) << frame;
    if (frame == 10) {
      EXPECT_EQ(rtv_engine_swap(pair.in_pool(2), other.get()), RTV_OK);
      EXPECT_EQ(rtv_engine_swap(pair.alone[2].get(), other.get()), RTV_OK);
    }
  }
}

TEST(Pool, SeedsMayDiffer) {
  const ModelHandle model = open_model(control_model());
  Pair pair(model, 3, default_config(), {5, 6, 5});
  const float hiss = 1.0f, gain = 0.0f;
  for (size_t i = 0; i < 3; ++i) {
    for (rtv_engine* engine : {pair.in_pool(i), pair.alone[i].get()}) {
      rtv_engine_set(engine, "hiss", &hiss, 1);
      rtv_engine_set(engine, "gain", &gain, 1);
      rtv_engine_reset(engine);
    }
  }
  EXPECT_TRUE(pair.step(960));
  Samples a(480), b(480), silence(480);
  std::vector<Samples> out(3, Samples(480));
  const float* in[] = {silence.data(), silence.data(), silence.data()};
  float* to[] = {out[0].data(), out[1].data(), out[2].data()};
  rtv_pool_reset(pair.pool.get());
  for (int i = 0; i < 3; ++i) ASSERT_EQ(rtv_pool_process(pair.pool.get(), in, to, 480), RTV_OK);
  EXPECT_GT(peak(out[0]), 0.01f);
  EXPECT_EQ(out[0], out[2]);
  EXPECT_NE(out[0], out[1]);
}

TEST(Pool, AStreamThatIsNotFiniteStaysTheOnlyOne) {
  const ModelHandle model = open_model(recurrent_overflow_model("gru"));
  Pair pair(model, 3);
  for (int frame = 0; frame < 30; ++frame) {
    if (frame == 5 || frame == 9) {
      const float boost = frame == 5 ? 3e38f : 1.0f;
      for (rtv_engine* engine : {pair.in_pool(1), pair.alone[1].get()}) rtv_engine_set(engine, "boost", &boost, 1);
    }
    ASSERT_TRUE(pair.step(480)) << frame;
  }
}

TEST(Pool, OtherThreadsMaySetBypassReadAndSwapMeanwhile) {
  const ModelHandle model = open_model(control_model());
  const PoolHandle pool = make_pool(model, 3);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    std::mt19937 random(5);
    while (!stop.load()) {
      rtv_engine* engine = rtv_pool_engine(pool.get(), static_cast<uint32_t>(random() % 3));
      const float value = static_cast<float>(random() % 100) * 0.01f;
      for (const char* name : {"gain", "hiss", "mix"}) EXPECT_EQ(rtv_engine_set(engine, name, &value, 1), RTV_OK);
      rtv_engine_bypass(engine, random() % 4 == 0);
      float energy;
      EXPECT_EQ(rtv_engine_output(engine, "energy", &energy, 1), 1u);
      rtv_stats stats;
      rtv_stats_init(&stats);
      rtv_pool_stats(pool.get(), &stats);
      if (random() % 8 == 0) rtv_engine_swap(engine, model.get());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  const Samples in = test_signal(480);
  std::vector<Samples> out(3, Samples(480));
  const float* from[] = {in.data(), in.data(), in.data()};
  float* to[] = {out[0].data(), out[1].data(), out[2].data()};
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(rtv_pool_process(pool.get(), from, to, 480), RTV_OK);
    for (const Samples& samples : out) ASSERT_TRUE(all_finite(samples));
  }
  stop.store(true);
  other.join();
}

TEST(Pool, RefusesAndSilences) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const rtv_config config = default_config();
  rtv_pool* none = nullptr;
  EXPECT_EQ(rtv_pool_create(nullptr, &config, 1, nullptr, &none), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_pool_create(model.get(), nullptr, 1, nullptr, &none), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_pool_create(model.get(), &config, 0, nullptr, &none), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_pool_create(model.get(), &config, 1025, nullptr, &none), RTV_ERROR_ARGUMENT);
  EXPECT_NE(std::string(rtv_last_error()).find("1 to 1024"), std::string::npos);
  rtv_config raw = {};
  EXPECT_EQ(rtv_pool_create(model.get(), &raw, 1, nullptr, &none), RTV_ERROR_STRUCT_SIZE);
  EXPECT_EQ(none, nullptr);

  const PoolHandle pool = make_pool(model, 2);
  Samples in(2000, 0.5f), a(2000, 9.0f), b(2000, 9.0f);
  const float* from[] = {in.data(), in.data()};
  float* to[] = {a.data(), b.data()};
  EXPECT_EQ(rtv_pool_process(pool.get(), from, to, 1025), RTV_ERROR_FRAME_SIZE);
  EXPECT_EQ(a[0], 0.0f);
  EXPECT_EQ(b[1024], 0.0f);
  EXPECT_EQ(b[1025], 9.0f);
  EXPECT_EQ(rtv_pool_process(pool.get(), from, to, 0), RTV_OK);
  float* hole[] = {a.data(), nullptr};
  EXPECT_EQ(rtv_pool_process(pool.get(), from, hole, 10), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_pool_process(pool.get(), nullptr, to, 10), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_pool_process(nullptr, from, to, 10), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_pool_streams(pool.get()), 2u);
  EXPECT_EQ(rtv_pool_engine(pool.get(), 2), nullptr);
  rtv_engine_destroy(rtv_pool_engine(pool.get(), 0));  // does nothing: the pool's
  from[0] = to[0] = a.data();                          // in place
  a.assign(2000, 0.25f);
  EXPECT_EQ(rtv_pool_process(pool.get(), from, to, 100), RTV_OK);
  EXPECT_EQ(a[99], 0.25f);
  EXPECT_EQ(b[99], 0.5f);
  rtv_stats stats;
  rtv_stats_init(&stats);
  rtv_pool_stats(pool.get(), &stats);
  EXPECT_EQ(stats.calls, 1u);
  EXPECT_EQ(stats.frames, 100u);
  rtv_pool_destroy(nullptr);
}

TEST(ChooseTier, TakesTheFirstThatFitsElseTheLast) {
  const ModelHandle light = open_model(scale_model(1.0f)), heavy = open_model(tcn_model(128, 8));
  const rtv_config config = default_config();
  float light_share = 0.0f, heavy_share = 0.0f, again = 0.0f;
  ASSERT_EQ(rtv_model_cost(light.get(), &config, &light_share), RTV_OK);
  ASSERT_EQ(rtv_model_cost(heavy.get(), &config, &heavy_share), RTV_OK);
  EXPECT_GT(light_share, 0.0f);
  EXPECT_GT(heavy_share, 50.0f * light_share);  // 400,000 times the arithmetic
  ASSERT_EQ(rtv_model_cost(heavy.get(), &config, &again), RTV_OK);
  EXPECT_EQ(again, heavy_share) << "kept, not measured again";
  const rtv_model* const down[] = {heavy.get(), light.get()};
  uint32_t chosen = 9;
  const float between = std::sqrt(light_share * std::min(heavy_share, 1.0f));
  EXPECT_EQ(rtv_choose_tier(down, 2, &config, between, &chosen), RTV_OK);
  EXPECT_EQ(chosen, 1u);
  const rtv_model* const up[] = {light.get(), heavy.get()};
  EXPECT_EQ(rtv_choose_tier(up, 2, &config, between, &chosen), RTV_OK);
  EXPECT_EQ(chosen, 0u);
  const rtv_model* const both[] = {heavy.get(), heavy.get()};
  EXPECT_EQ(rtv_choose_tier(both, 2, &config, between, &chosen), RTV_OK);
  EXPECT_EQ(chosen, 1u) << "none fits: the cheapest";
}

TEST(ChooseTier, Refuses) {
  const ModelHandle model = open_model(scale_model(1.0f));
  const rtv_model* const tiers[] = {model.get(), nullptr};
  const rtv_config config = default_config();
  uint32_t chosen = 0;
  float share = 0.0f;
  EXPECT_EQ(rtv_choose_tier(tiers, 0, &config, 0.1f, &chosen), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_choose_tier(tiers, 9, &config, 0.1f, &chosen), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_choose_tier(tiers, 2, &config, 0.1f, &chosen), RTV_ERROR_ARGUMENT);
  for (const float most : {0.0f, -1.0f, 1.5f, std::numeric_limits<float>::quiet_NaN()})
    EXPECT_EQ(rtv_choose_tier(tiers, 1, &config, most, &chosen), RTV_ERROR_ARGUMENT) << most;
  rtv_config raw = {};
  EXPECT_EQ(rtv_choose_tier(tiers, 1, &raw, 0.1f, &chosen), RTV_ERROR_STRUCT_SIZE);
  EXPECT_EQ(rtv_model_cost(model.get(), &raw, &share), RTV_ERROR_STRUCT_SIZE);
  EXPECT_EQ(rtv_model_cost(nullptr, &config, &share), RTV_ERROR_ARGUMENT);
  rtv_config bad = config;
  bad.sample_rate = 1;
  EXPECT_EQ(rtv_model_cost(model.get(), &bad, &share), RTV_ERROR_ARGUMENT);
}

}  // namespace
}  // namespace rtvoice::test
