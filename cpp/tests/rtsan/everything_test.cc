// Every model x rate x resampler x block x schedule x overload policy, with parameter changes, bypass, resets, swaps, tiers, a log, wrong frames and input that is
// no number, inside a region of RealtimeSanitizer. RTVOICE_RT_LONG=1 takes every combination; without it, one that has each pair of values.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../c_api/host.h"
#include "engine/engine.h"
#include "region.h"

namespace rtvoice::test {
namespace {

bool long_form() { return std::getenv("RTVOICE_RT_LONG") != nullptr; }

// The combinations' axes.
constexpr std::array<uint32_t, 4> kRates{48000, 44100, 16000, 37123};
constexpr std::array<uint32_t, 4> kBlocks{0, 480, 64, 1};
constexpr uint32_t kResamplers = RTV_RESAMPLER_FIR_SHORT + 1, kSchedules = 2, kOverloads = 2;

std::vector<rtv_config> configs() {
  std::vector<rtv_config> all;
  uint32_t number = 0;
  for (size_t rate = 0; rate < kRates.size(); ++rate) {
    for (uint32_t resampler = 0; resampler < kResamplers; ++resampler) {
      for (uint32_t rest = 0; rest < kBlocks.size() * kSchedules * kOverloads; ++rest, ++number) {
        const uint32_t block = rest % kBlocks.size(), schedule = rest / kBlocks.size() % kSchedules,
                       overload = rest / (kBlocks.size() * kSchedules);
        // Latin squares: every pair of rate, resampler and block occurs, and each of those with both schedules and policies.
        if (!long_form() && (block != (rate + resampler) % kBlocks.size() ||
                             schedule != (rate + resampler / 2) % kSchedules || overload != resampler % kOverloads))
          continue;
        rtv_config config = default_config(kRates[rate], 1024, 1 + number % 2);
        config.resampler = resampler;
        config.block = kBlocks[block];
        config.schedule = schedule;
        config.overload = overload;
        config.fade_ms = number % 3 == 0 ? 0.0f : 5.0f;
        all.push_back(config);
      }
    }
  }
  return all;
}

struct Counts {
  uint64_t engines = 0, refused = 0, calls = 0, swaps = 0, resets = 0, sets = 0, logged = 0;
};

// A log of every third engine, its next file every 50 calls; its ring is the least that it may be, so that it overflows too.
class Logs {
 public:
  Logs(rtv_engine* engine, uint64_t number) : engine_(number % 3 == 0 ? engine : nullptr) {
    if (engine_ != nullptr) std::filesystem::create_directory(folder_);
  }
  ~Logs() {
    if (engine_ == nullptr) return;
    rtv_engine_log(engine_, nullptr);
    std::filesystem::remove_all(folder_);
  }
  void next(uint64_t call) {
    if (engine_ == nullptr || call % 50 != 0) return;
    rtv_engine_log(engine_, nullptr);
    rtv_log_config config;
    rtv_log_config_init(&config);
    config.ring_ms = 0;
    config.redact = call % 100 == 50;
    ASSERT_EQ(rtv_engine_log_with(engine_, (folder_ + "/session.rtlog").c_str(), &config), RTV_OK) << rtv_last_error();
  }
  // The calls of its last file and what it lost: all that came since.
  uint64_t frames() const {
    if (engine_ == nullptr) return 0;
    rtv_engine_log(engine_, nullptr);
    rtv_log_status status;
    rtv_log_status_init(&status);
    rtv_engine_log_status(engine_, &status);
    return status.frames + status.frames_lost;
  }

 private:
  const std::string folder_ = testing::TempDir() + "rtvoice-rtsan-" + std::to_string(getpid());
  rtv_engine* engine_;
};

// What a host does around and between its calls; process, reset and all that any thread may call, inside a region.
void play(rtv_engine* engine, rtv_model* other, const rtv_config& config, int calls, Counts* counts) {
  std::mt19937 random(config.sample_rate + config.resampler);
  const Samples in = test_signal(size_t{config.max_frame} * config.channels);
  Samples bad = in, out(in.size());
  for (size_t i = 0; i < bad.size(); i += 7)
    bad[i] = i % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  Logs logs(engine, counts->engines);
  for (int call = 0; call < calls; ++call) {
    logs.next(static_cast<uint64_t>(call));
    if (call % 40 == 20) counts->swaps += rtv_engine_swap(engine, other) == RTV_OK;
    const uint32_t frames = config.block != 0    ? config.block
                            : random() % 8 == 0  ? config.max_frame
                            : random() % 16 == 0 ? 0
                                                 : static_cast<uint32_t>(1 + random() % 192);
    const float value = static_cast<float>(random() % 100) / 50.0f - 0.5f;
    const int32_t tier = static_cast<int32_t>(random() % 4) - 1;
    const bool reset = call % 97 == 96, wrong = call % 31 == 30, broken = call % 13 == 12;
    rtv_stats stats;
    float energy[4];
    rtv_status status, wrong_status = RTV_ERROR_FRAME_SIZE;
    {
      const Region region;
      for (const char* name : {"mix", "gain", "hiss", "boost", "none"}) (void)rtv_engine_set(engine, name, &value, 1);
      rtv_engine_bypass(engine, call % 11 == 10);
      (void)rtv_engine_tier(engine, tier);
      if (reset) rtv_engine_reset(engine);
      if (wrong) wrong_status = rtv_engine_process(engine, in.data(), out.data(), config.max_frame + 1);
      status = rtv_engine_process(engine, broken ? bad.data() : in.data(), out.data(), frames);
      rtv_stats_init(&stats);
      rtv_engine_stats(engine, &stats);
      (void)rtv_engine_output(engine, "energy", energy, 4);
      (void)rtv_engine_latency(engine);
      (void)rtv_status_string(status);
    }
    ASSERT_EQ(status, RTV_OK);
    ASSERT_EQ(wrong_status, RTV_ERROR_FRAME_SIZE);
    counts->calls += 1 + wrong;
    counts->resets += reset;
    counts->sets += 5;
  }
  ASSERT_TRUE(all_finite(out));
  counts->logged += logs.frames();
  ++counts->engines;
}

void play_all(const std::vector<ModelHandle>& tiers, const ModelHandle& other, const std::string& name) {
  Counts counts;
  for (rtv_config config : configs()) {
    if (config.block != 0) config.max_frame = config.block;
    std::vector<const rtv_model*> models;
    for (const ModelHandle& tier : tiers) models.push_back(tier.get());
    rtv_engine* made = nullptr;
    // A pair of rates without a FIR, a wrong block: refused, by name, on the main thread.
    if (rtv_engine_create_tiers(models.data(), static_cast<uint32_t>(models.size()), &config, &made) != RTV_OK) {
      ASSERT_NE(std::string(rtv_last_error()), "");
      ++counts.refused;
      continue;
    }
    const EngineHandle engine(made);
    play(engine.get(), other.get(), config, long_form() ? 400 : 100, &counts);
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(counts.engines, 0u);
  EXPECT_GT(counts.swaps, 0u);
  EXPECT_GT(counts.logged, 0u);
  std::printf(
      "rt-rtsan %s: %llu engines (%llu refused), %llu calls, %llu sets, %llu swaps, %llu resets, %llu samples logged: "
      "no report\n",
      name.c_str(), static_cast<unsigned long long>(counts.engines), static_cast<unsigned long long>(counts.refused),
      static_cast<unsigned long long>(counts.calls), static_cast<unsigned long long>(counts.sets),
      static_cast<unsigned long long>(counts.swaps), static_cast<unsigned long long>(counts.resets),
      static_cast<unsigned long long>(counts.logged));
}

struct Made {
  const char* name;
  Bytes (*bytes)();
};

void PrintTo(const Made& made, std::ostream* out) { *out << made.name; }

class RtsanMade : public testing::TestWithParam<Made> {};

TEST_P(RtsanMade, NothingBlocks) {
  std::vector<ModelHandle> models;
  models.push_back(open_model(GetParam().bytes()));
  play_all(models, models.front(), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(Models, RtsanMade,
                         testing::Values(Made{"tcn", [] { return tcn_model(); }},
                                         Made{"gru", [] { return gru_model(); }},
                                         Made{"lstm", [] { return lstm_model(); }}, Made{"control", control_model},
                                         Made{"voice", voice_model}, Made{"synthesis", synthesis_model},
                                         Made{"overflow", overflow_model},
                                         Made{"recurrent_overflow", [] { return recurrent_overflow_model("gru"); }}),
                         [](const auto& test) { return std::string(test.param.name); });

class RtsanShipped : public testing::TestWithParam<ShippedSkin> {};

// All tiers in one engine, the best one held and left by turns.
TEST_P(RtsanShipped, NothingBlocks) {
  std::vector<ModelHandle> tiers;
  for (const std::string& path : GetParam().tiers) tiers.push_back(open_model(path));
  play_all(tiers, tiers.back(), GetParam().name);
}

// An overload from start to end: it stops, fades, primes, fades in; later it tries the better tier, beside the other, and climbs back.
TEST_P(RtsanShipped, NothingBlocksInAnOverload) {
  std::vector<std::shared_ptr<Model>> tiers;
  std::string error;
  for (const std::string& path : GetParam().tiers) {
    bool readable = true;
    tiers.push_back(std::make_shared<Model>(read_model_file(path.c_str(), &error, &readable)));
  }
  if (tiers.size() < 2) GTEST_SKIP() << GetParam().name << " has one tier";
  for (const uint32_t schedule : {RTV_SCHEDULE_INLINE, RTV_SCHEDULE_SLICED}) {
    rtv_config config = default_config();
    config.schedule = schedule;
    rtv_status status = RTV_OK;
    const std::unique_ptr<Engine> engine = Engine::make(tiers, config, &status, &error);
    ASSERT_NE(engine, nullptr) << error;
    const Samples in = test_signal(480);
    Samples out(480);
    const auto run = [&](int frames, double load) {
      engine->pretend_load(load);
      for (int i = 0; i < frames; ++i) {
        const Region region;
        (void)engine->process(in.data(), out.data(), 480);
      }
    };
    rtv_stats stats;
    run(50, 0.1);
    run(50, 1.5);
    engine->stats(&stats);
    EXPECT_EQ(stats.tier, 1u);
    run(700, 0.01);
    engine->stats(&stats);
    EXPECT_EQ(stats.tier, 0u) << "it did not climb back";
    EXPECT_EQ(stats.tier_changes, 2u);
  }
}

INSTANTIATE_TEST_SUITE_P(Skins, RtsanShipped, testing::ValuesIn(shipped_skins()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace rtvoice::test
