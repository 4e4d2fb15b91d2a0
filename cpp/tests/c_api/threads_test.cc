// Engines do not know of each other, and [any-thread] functions may come from anywhere.
#include <atomic>
#include <thread>

#include "host.h"

namespace rtvoice::test {
namespace {

TEST(CApiThreads, TwoEnginesOnOneModelDoNotDisturbEachOther) {
  std::vector<Bytes> models = {tcn_model(), lstm_model(), control_model()};
  if (const std::string path = shipped_model("default"); !path.empty()) models.push_back(read_file(path));
  for (const Bytes& bytes : models) {
    ModelHandle model = open_model(bytes);
    const Samples in[2] = {test_signal(48000, 1), test_signal(48000, 2)};
    Samples expected[2], out[2];
    for (int i = 0; i < 2; ++i) expected[i] = stream(make_engine(model), in[i]);
    const EngineHandle engines[2] = {make_engine(model), make_engine(model)};
    std::thread threads[2];
    for (int i = 0; i < 2; ++i)
      threads[i] = std::thread([&, i] { out[i] = stream(engines[i], in[i], i == 0 ? 480 : 37); });
    model.reset();  // closed while both run
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < 2; ++i) EXPECT_EQ(out[i], expected[i]);
  }
}

TEST(CApiThreads, EnginesAreMadeAndDestroyedWhileOthersRun) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle engine = make_engine(model);
  const Samples in = test_signal(96000);
  const Samples expected = stream(make_engine(model), in);
  std::atomic<bool> stop{false};
  std::thread maker([&] {
    for (uint32_t n = 0; !stop.load(); ++n)
      stream(make_engine(model, default_config(n % 2 == 0 ? 44100 : 48000, 256 + n % 512)), test_signal(480), 240);
  });
  const Samples out = stream(engine, in, 101);
  stop.store(true);
  maker.join();
  EXPECT_EQ(out, expected);
}

// What arrives is one of the values that were set, never a mixture out of range, and the last one stays.
TEST(CApiThreads, ParametersMayBeSetFromManyThreads) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle engine = make_engine(model);
  std::atomic<bool> stop{false};
  std::vector<std::thread> setters;
  for (int t = 0; t < 3; ++t) {
    setters.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      while (!stop.load()) {
        EXPECT_EQ(set(engine, "gain", static_cast<float>(random() % 5)), RTV_OK);
        rtv_engine_bypass(engine.get(), random() % 2);
        float energy = -1.0f;
        EXPECT_EQ(rtv_engine_output(engine.get(), "energy", &energy, 1), 1u);
        EXPECT_GE(energy, 0.0f);
        EXPECT_LE(stats_of(engine).us_p50, stats_of(engine).us_max * 1.5f + 1e6f);
      }
    });
  }
  EXPECT_TRUE(all_finite(stream(engine, test_signal(96000), 64)));
  stop.store(true);
  for (std::thread& setter : setters) setter.join();
  rtv_engine_bypass(engine.get(), 0);
  set(engine, "gain", 2.0f);
  const EngineHandle fresh = make_engine(model);
  set(fresh, "gain", 2.0f);
  rtv_engine_reset(engine.get());
  rtv_engine_reset(fresh.get());
  const Samples in = test_signal(4800);
  EXPECT_EQ(stream(engine, in), stream(fresh, in));
}

}  // namespace
}  // namespace rtvoice::test
