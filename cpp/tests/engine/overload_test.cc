// The overload policy under a real load: threads that keep every core busy. The costly tier must be left and come back, and no sample that came out may be
// undefined on the way.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"

namespace rtvoice {
namespace {

constexpr uint32_t kRate = 16000, kFrame = 160;
constexpr int kPerCore = 9;      // busy threads on each core
constexpr double kCostly = 0.2;  // of one core, alone: with kPerCore others beside it, more than its audio lasts
// Times less arithmetic. A climb is expected to cost the cheap tier's load times as much, and under a sanitizer most of a small tier's load is
// checks of each call, not arithmetic: 8 % of a core for a twentieth of it, which times 20 never fits.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCheaper = 4;
#else
constexpr int kCheaper = 20;
#endif

Node convolution(int64_t out, int64_t in, float weight, int input) {
  Node node;
  node.op = Op::kConv1d;
  node.name = "layer" + std::to_string(input);
  node.inputs = {input};
  node.w0.shape = {out, in, 1};
  node.w0.data.assign(static_cast<size_t>(out * in), 0.0f);
  node.w0.data[0] = weight;  // the first channel passes, the others are work
  return node;
}

// y = gain * x, through so many layers of 64 channels.
std::shared_ptr<Model> scaled(float gain, int layers, const char* tier) {
  auto graph = std::make_unique<Graph>();
  graph->name = "scaled";
  graph->tier = tier;
  graph->sample_rate = kRate;
  graph->hop = kFrame;
  graph->nodes.push_back(convolution(64, 1, 1.0f, 0));
  for (int i = 0; i < layers; ++i) graph->nodes.push_back(convolution(64, 64, 1.0f, i + 1));
  graph->nodes.push_back(convolution(1, 64, gain, layers + 1));
  Output output;
  output.name = "audio";
  output.value = layers + 2;
  graph->outputs.push_back(output);
  return std::make_shared<Model>(std::move(graph));
}

rtv_config config_of() {
  rtv_config config;
  rtv_config_init(&config);
  config.sample_rate = kRate;
  config.max_frame = kFrame;
  return config;
}

std::unique_ptr<Engine> engine_of(const std::vector<std::shared_ptr<Model>>& tiers) {
  rtv_status status;
  std::string error;
  std::unique_ptr<Engine> engine = Engine::make(tiers, config_of(), &status, &error);
  EXPECT_NE(engine, nullptr) << error;
  return engine;
}

double own_seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// So many layers that a frame takes kCostly of its audio's time of this thread, on this machine.
int costly_layers() {
  constexpr int kTrial = 40;
  const std::unique_ptr<Engine> engine = engine_of({scaled(1.0f, kTrial, "hq")});
  const std::vector<float> in(kFrame, 1.0f);
  std::vector<float> out(kFrame);
  double best = 1.0;
  for (int i = 0; i < 30; ++i) {
    const double start = own_seconds();
    engine->process(in.data(), out.data(), kFrame);
    best = std::min(best, own_seconds() - start);
  }
  const double wanted = kCostly * kFrame / kRate;
  return std::clamp(static_cast<int>(kTrial * wanted / best), kCheaper, 1000);
}

// Every core busy until it is destroyed.
class Load {
 public:
  Load() {
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    for (int i = 0; i < cores * kPerCore; ++i) {
      threads_.emplace_back([this] {
        volatile double work = 1.0;
        while (!stop_.load(std::memory_order_relaxed)) work = work * 1.0000001;
      });
    }
  }
  ~Load() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// At an audio thread's priority, where the system allows it: what else the machine does is then no load.
void be_undisturbed() {
  sched_param param{};
  param.sched_priority = sched_get_priority_min(SCHED_FIFO);
  (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}

struct Host {
  uint64_t late() const {
    rtv_stats stats;
    rtv_stats_init(&stats);
    engine->stats(&stats);
    return stats.overruns;
  }
  // Frames of a constant 1 until `tier` is heard alone, for at most `seconds` of audio; returns how many seconds it took, negative: it never was.
  double run_until(uint32_t tier, float level, double seconds) {
    const std::vector<float> in(kFrame, 1.0f);
    for (double t = 0.0; t < seconds; t += static_cast<double>(kFrame) / kRate) {
      std::vector<float> out(kFrame, std::numeric_limits<float>::quiet_NaN());
      const auto begun = std::chrono::steady_clock::now();
      EXPECT_EQ(engine->process(in.data(), out.data(), kFrame), RTV_OK);
      // Linux stops a real-time thread that uses more than 95 % of a second (sched_rt_runtime_us), which is late for 50 ms.
      if (rests) std::this_thread::sleep_for((std::chrono::steady_clock::now() - begun) / 8);
      for (const float y : out) undefined += !(y >= -1e-6f && y <= 1.0f + 1e-6f);
      for (size_t i = 0; i < out.size(); ++i) {
        const float before = i == 0 ? last : out[i - 1];
        if (started) step = std::max(step, std::fabs(out[i] - before));
      }
      started = true;
      last = out.back();
      rtv_stats stats;
      rtv_stats_init(&stats);
      engine->stats(&stats);
      if (stats.tier == tier && std::fabs(out.front() - level) < 1e-6f && std::fabs(last - level) < 1e-6f) return t;
    }
    return -1.0;
  }
  std::unique_ptr<Engine> engine;
  size_t undefined = 0;
  float last = 0.0f, step = 0.0f;
  bool started = false;
  bool rests = false;  // between frames, an eighth of their time
};

TEST(Overload, BusyCoresMakeItStepDownAndQuietOnesClimbBack) {
  const int layers = costly_layers();
  Host host;
  host.engine = engine_of({scaled(1.0f, layers, "hq"), scaled(0.5f, layers / kCheaper, "default")});
  ASSERT_GE(host.run_until(0, 1.0f, 5.0), 0.0) << "the best tier is heard first";
  double down = -1.0;
  {
    const Load load;
    down = host.run_until(1, 0.5f, 60.0);
    ASSERT_GE(down, 0.0) << "busy cores did not make it leave the costly tier";
    EXPECT_LT(host.run_until(0, 1.0f, 2.0), 0.0) << "back within two seconds, while the cores are busy";
  }
  be_undisturbed();
  host.rests = true;
  const uint64_t late = host.late();
  const double up = host.run_until(0, 1.0f, 400.0);
  EXPECT_EQ(host.undefined, 0u) << "samples that are not finite, not written, or outside what the tiers can make";
  EXPECT_LT(host.step, 2.0f / (0.02f * kRate)) << "a click: the fades are 20 ms";
  EXPECT_GE(late, 3u);
  std::printf("overload: hq -> default after %.2f s of audio under load, -> hq after %.2f s of calm; %llu late calls\n",
              down, up, static_cast<unsigned long long>(host.late()));
  if (up < 0.0 && host.late() > late + 20)
    GTEST_SKIP()
        << "it left the costly tier; that it comes back is NOT shown: this machine is never calm, and gives no "
           "real-time priority";
  EXPECT_GE(up, 3.0) << "back, but only after calm seconds";
}

}  // namespace
}  // namespace rtvoice
