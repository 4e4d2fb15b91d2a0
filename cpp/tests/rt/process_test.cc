// rtv_engine_process under every guard: frames of random sizes while another thread sets, reads, bypasses and swaps. The library is the shared
// one that is installed; this program binds lazily, so that only the library's own flags can have bound its symbols.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "../c_api/host.h"
#include "guards.h"

namespace rtvoice::test {
namespace {

struct Scenario {
  const char* name;
  Bytes (*model)();  // null: the shipped `tier`
  const char* tier;
  uint32_t sample_rate, channels, resampler, block;
  bool swap;  // another thread swaps models all the time
  size_t frames;
  uint32_t schedule = RTV_SCHEDULE_INLINE;
  bool tiers = false;  // the shipped default tier as a fallback; another thread holds one and the other
  bool log = false;    // everything is logged, and another thread ends the log and begins another now and then
};

void PrintTo(const Scenario& s, std::ostream* out) { *out << s.name; }

Bytes model_bytes(const Scenario& s) {
  if (s.model != nullptr) return s.model();
  const std::string path = shipped_model(s.tier);
  return path.empty() ? Bytes() : read_file(path);
}

// What hosts do from other threads. Ends when told to.
void meddle(rtv_engine* engine, rtv_model* model, bool swap, const std::string& log, const std::atomic<bool>* stop,
            uint64_t* turns, uint64_t* swaps) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> any(-0.5f, 1.5f);
  while (!stop->load()) {
    const float value = any(random);
    for (const char* name : {"mix", "gain", "hiss", "boost", "none"}) rtv_engine_set(engine, name, &value, 1);
    rtv_engine_bypass(engine, random() % 8 == 0);
    rtv_engine_tier(engine, static_cast<int32_t>(random() % 3) - 1);  // an error where there is one tier
    rtv_stats stats;
    rtv_stats_init(&stats);
    rtv_engine_stats(engine, &stats);
    float energy;
    rtv_engine_output(engine, "energy", &energy, 1);
    if (swap && rtv_engine_swap(engine, model) == RTV_OK) ++*swaps;
    if (!log.empty() && *turns % 500 == 499) {
      EXPECT_EQ(rtv_engine_log(engine, nullptr), RTV_OK);
      EXPECT_EQ(rtv_engine_log(engine, log.c_str()), RTV_OK) << rtv_last_error();
    }
    ++*turns;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

size_t next_size(std::mt19937* random, const rtv_config& config) {
  if (config.block != 0) return config.block;
  // Mostly what hosts use; sometimes nothing, one sample, or all there may be.
  switch ((*random)() % 16) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return config.max_frame;
    case 3:
      return 1 + (*random)() % config.max_frame;
    default:
      return 1 + (*random)() % 192;
  }
}

// RTVOICE_RT_LONG=10 runs ten times as many frames.
size_t frames_of(const Scenario& s) {
  const char* factor = std::getenv("RTVOICE_RT_LONG");
  return s.frames * static_cast<size_t>(std::max(1, factor == nullptr ? 1 : std::atoi(factor)));
}

// Pages that the kernel has moved since the machine started: using one at that moment is a page fault that nobody in this process made.
uint64_t moved_pages() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  uint64_t value, sum = 0;
  while (file >> name >> value) {
    if (name == "pgmigrate_success" || name == "thp_collapse_alloc" || name == "thp_split_pmd") sum += value;
  }
  return sum;
}

// Runs the current test in a new process, where every first touch is one again; true when it passed there. Twice at most.
bool passes_again() {
  const char* attempt = std::getenv("RTVOICE_RT_ATTEMPT");
  const int number = attempt == nullptr ? 1 : std::atoi(attempt);
  char program[4096] = {};
  if (number > 2 || readlink("/proc/self/exe", program, sizeof program - 1) <= 0) return false;
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string filter = std::string(test->test_suite_name()) + "." + test->name();
  return std::system(
             ("RTVOICE_RT_ATTEMPT=" + std::to_string(number + 1) + " '" + program + "' --gtest_filter='" + filter + "'")
                 .c_str()) == 0;
}

class RtGuard : public testing::TestWithParam<Scenario> {};

TEST_P(RtGuard, ProcessTripsNothing) {
  const Scenario& s = GetParam();
  const Bytes bytes = model_bytes(s);
  if (bytes.empty()) GTEST_SKIP() << "models/whisper/" << s.tier << ".rtv is not there";
  const ModelHandle model = open_model(bytes);
  rtv_config config = default_config(s.sample_rate, 1024, s.channels);
  config.resampler = s.resampler;
  config.block = s.block;
  config.schedule = s.schedule;
  if (s.block != 0) config.max_frame = s.block;
  EngineHandle engine;
  if (s.tiers) {
    const ModelHandle cheap = open_model(read_file(shipped_model("default")));
    const rtv_model* const tiers[] = {model.get(), cheap.get()};
    rtv_engine* made = nullptr;
    EXPECT_EQ(rtv_engine_create_tiers(tiers, 2, &config, &made), RTV_OK) << rtv_last_error();
    engine.reset(made);
  } else {
    engine = make_engine(model, config);
  }
  ASSERT_NE(engine, nullptr);
  const Samples in = test_signal(config.max_frame * config.channels);
  Samples out(in.size());

  std::atomic<bool> stop{false};
  uint64_t turns = 0, swaps = 0, samples = 0, failures = 0;
  const size_t frames = frames_of(s);
  Trips first, all;
  const uint64_t moved_before = moved_pages();
  std::string log;
  if (s.log) {
    log = testing::TempDir() + "rt_guard_" + s.name + std::to_string(getpid()) + ".rtlog";
    ASSERT_EQ(rtv_engine_log(engine.get(), log.c_str()), RTV_OK) << rtv_last_error();
  }
  std::thread meddler(meddle, engine.get(), model.get(), s.swap, log, &stop, &turns, &swaps);
  std::thread audio([&] {
    // Bound here, not in a region; volatile, or the compiler calls by name all the same.
    rtv_status (*volatile process)(rtv_engine*, const float*, float*, uint32_t) = &rtv_engine_process;
    void (*volatile reset)(rtv_engine*) = &rtv_engine_reset;
    std::mt19937 random(3);
    std::vector<uint32_t> sizes(frames);
    for (uint32_t& size : sizes) size = static_cast<uint32_t>(next_size(&random, config));
    Watch watch;
    for (size_t frame = 0; frame < frames; ++frame) {
      watch.enter();
      if (frame % 20011 == 20010) reset(engine.get());
      const rtv_status status = process(engine.get(), in.data(), out.data(), sizes[frame]);
      watch.leave();
      failures += status != RTV_OK;
      samples += sizes[frame];
      if (frame == 0) first = watch.trips();
    }
    watch.region([&] { failures += process(engine.get(), in.data(), out.data(), config.max_frame + 1) == RTV_OK; });
    all = watch.trips();
  });
  audio.join();
  stop.store(true);
  meddler.join();
  if (s.log) {
    rtv_log_status status;
    rtv_log_status_init(&status);
    EXPECT_EQ(rtv_engine_log_status(engine.get(), &status), RTV_OK);
    EXPECT_EQ(status.active, 1u);
    EXPECT_EQ(rtv_engine_log(engine.get(), nullptr), RTV_OK);
    std::remove(log.c_str());
  }

  const uint64_t moved = moved_pages() - moved_before;
  if (all.minor_faults != 0 && all.total() == all.minor_faults && moved != 0) {
    std::printf("rt-guard %s: %s, while the kernel moved %llu pages: trying again\n", s.name, all.describe().c_str(),
                static_cast<unsigned long long>(moved));
    EXPECT_TRUE(passes_again());
    return;
  }
  EXPECT_EQ(failures, 0u);
  EXPECT_EQ(first.total(), 0u) << "in the very first frame: " << first.describe();
  EXPECT_EQ(all.total(), 0u) << all.describe();
  EXPECT_EQ(swaps > 0, s.swap);
  EXPECT_TRUE(all_finite(out));
  std::printf("rt-guard %s (%s): %zu frames, %llu samples at %u Hz, %llu turns of the other thread, %llu swaps: %s%s\n",
              s.name, rtv_isa(), frames, static_cast<unsigned long long>(samples), s.sample_rate,
              static_cast<unsigned long long>(turns), static_cast<unsigned long long>(swaps), all.describe().c_str(),
              can_watch_system_calls() ? "" : "; system calls NOT watched: the kernel has no Syscall User Dispatch");
}

Bytes tcn() { return tcn_model(); }
Bytes gru() { return gru_model(); }
Bytes lstm() { return lstm_model(); }

// 10^5 frames in all for the skin that ships, as hosts call it; the others go through each path often.
INSTANTIATE_TEST_SUITE_P(
    Everything, RtGuard,
    testing::Values(
        Scenario{"whisper_48k_fir", nullptr, "default", 48000, 1, RTV_RESAMPLER_AUTO, 0, false, 100000},
        Scenario{"whisper_48k_swaps", nullptr, "default", 48000, 1, RTV_RESAMPLER_AUTO, 0, true, 6000},
        Scenario{"whisper_44k1_libsamplerate", nullptr, "default", 44100, 1, RTV_RESAMPLER_FASTEST, 0, false, 6000},
        Scenario{"whisper_44k1_fir", nullptr, "default", 44100, 1, RTV_RESAMPLER_AUTO, 0, false, 6000},
        Scenario{"whisper_44k1_best_stereo", nullptr, "default", 44100, 2, RTV_RESAMPLER_BEST, 0, true, 1000},
        Scenario{"whisper_16k_direct", nullptr, "default", 16000, 1, RTV_RESAMPLER_AUTO, 0, false, 6000},
        Scenario{"whisper_48k_block_480", nullptr, "default", 48000, 1, RTV_RESAMPLER_FIR_SHORT, 480, true, 3000},
        Scenario{"whisper_hq_48k", nullptr, "hq", 48000, 1, RTV_RESAMPLER_AUTO, 0, false, 6000},
        Scenario{"whisper_48k_sliced", nullptr, "default", 48000, 2, RTV_RESAMPLER_AUTO, 0, true, 6000,
                 RTV_SCHEDULE_SLICED},
        Scenario{"whisper_hq_48k_tiers", nullptr, "hq", 48000, 2, RTV_RESAMPLER_AUTO, 0, false, 6000,
                 RTV_SCHEDULE_INLINE, true},
        Scenario{"whisper_48k_logged", nullptr, "default", 48000, 1, RTV_RESAMPLER_AUTO, 0, true, 6000,
                 RTV_SCHEDULE_INLINE, false, true},
        Scenario{"whisper_hq_48k_tiers_logged", nullptr, "hq", 48000, 2, RTV_RESAMPLER_AUTO, 0, false, 3000,
                 RTV_SCHEDULE_INLINE, true, true},
        Scenario{"controls_8k_logged", control_model, "", 8000, 1, RTV_RESAMPLER_AUTO, 0, true, 6000,
                 RTV_SCHEDULE_SLICED, false, true},
        Scenario{"gru_44k1_sliced", gru, "", 44100, 1, RTV_RESAMPLER_AUTO, 64, false, 6000, RTV_SCHEDULE_SLICED},
        Scenario{"tcn_48k", tcn, "", 48000, 1, RTV_RESAMPLER_AUTO, 0, false, 6000},
        Scenario{"tcn_22k05_medium", tcn, "", 22050, 2, RTV_RESAMPLER_MEDIUM, 0, false, 2000},
        Scenario{"gru_48k_swaps", gru, "", 48000, 1, RTV_RESAMPLER_AUTO, 0, true, 6000},
        Scenario{"lstm_96k_stereo", lstm, "", 96000, 2, RTV_RESAMPLER_AUTO, 0, false, 4000},
        Scenario{"controls_48k_swaps", control_model, "", 48000, 2, RTV_RESAMPLER_AUTO, 0, true, 6000},
        Scenario{"voice_48k", voice_model, "", 48000, 2, RTV_RESAMPLER_AUTO, 0, true, 6000},
        Scenario{"voice_16k_block80", voice_model, "", 16000, 1, RTV_RESAMPLER_AUTO, 80, false, 6000},
        Scenario{"synthesis_48k_swaps", synthesis_model, "", 48000, 1, RTV_RESAMPLER_AUTO, 0, true, 2000},
        Scenario{"synthesis_16k_sliced", synthesis_model, "", 16000, 1, RTV_RESAMPLER_AUTO, 64, false, 2000,
                 RTV_SCHEDULE_SLICED},
        Scenario{"controls_8k", control_model, "", 8000, 1, RTV_RESAMPLER_AUTO, 0, false, 6000},
        Scenario{"overflow_48k", overflow_model, "", 48000, 1, RTV_RESAMPLER_AUTO, 0, false, 6000}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace rtvoice::test
