// What share of one core a model takes here, by a short trial; and the tier that fits.
#include "engine/calibrate.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <mutex>
#include <tuple>

#include "engine/engine.h"

namespace rtvoice {
namespace {

constexpr int kMostCalls = 32;
constexpr double kMostSeconds = 0.06;  // of the clock: the bound of what a host waits for at create

double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// This thread's own time where the system counts it: other work on the core is not the model's.
double own_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0)
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
#endif
  return clock_seconds();
}

using Key = std::tuple<uint64_t, int64_t, uint32_t, uint32_t>;

struct Known {
  std::mutex mutex;
  std::map<Key, double> shares;
};

Known& known() {
  static Known* const kept = new Known;  // never destroyed: engines may be made while a process ends
  return *kept;
}

}  // namespace

rtv_status measure_load(const std::shared_ptr<Model>& model, const rtv_config& config, double* share,
                        std::string* error) {
  const Graph& graph = model->graph();
  const Key key{graph.hash, graph.hop, config.sample_rate, config.resampler};
  if (graph.hash != 0) {
    const std::lock_guard<std::mutex> lock(known().mutex);
    const auto found = known().shares.find(key);
    if (found != known().shares.end()) {
      *share = found->second;
      return RTV_OK;
    }
  }
  rtv_config trial = config;
  trial.channels = 1;
  trial.block = 0;
  trial.schedule = RTV_SCHEDULE_INLINE;
  const uint64_t frames = std::max<uint64_t>(
      1, static_cast<uint64_t>(graph.hop) * config.sample_rate / static_cast<uint64_t>(graph.sample_rate));
  trial.max_frame = static_cast<uint32_t>(std::min<uint64_t>(65536, std::max<uint64_t>(frames, config.max_frame)));
  rtv_status status = RTV_OK;
  const std::unique_ptr<Engine> engine = Engine::make({model}, trial, &status, error);
  if (engine == nullptr) return status;
  // Models of one sample a hop are timed in calls of at least 10 ms.
  const uint32_t call = static_cast<uint32_t>(
      std::min<uint64_t>(trial.max_frame, std::max<uint64_t>(frames, config.sample_rate / 100 / frames * frames)));
  std::vector<float> in(call), out(call);
  uint32_t random = 1;
  for (float& sample : in) {
    random = random * 1664525u + 1013904223u;
    sample = static_cast<float>(static_cast<int32_t>(random)) * 0x1p-34f;
  }
  std::vector<double> times;
  const double start = clock_seconds();
  for (int i = 0; i < kMostCalls && (i < 2 || clock_seconds() - start < kMostSeconds); ++i) {
    const double before = own_seconds();
    (void)engine->process(in.data(), out.data(), call);
    times.push_back(own_seconds() - before);
  }
  if (times.size() > 2)
    times.erase(times.begin(), times.begin() + static_cast<ptrdiff_t>(std::min<size_t>(times.size() / 4, 4)));
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  *share = *middle * config.sample_rate / call;
  if (graph.hash != 0) {
    const std::lock_guard<std::mutex> lock(known().mutex);
    if (known().shares.size() >= 1024) known().shares.clear();
    known().shares[key] = *share;
  }
  return RTV_OK;
}

rtv_status choose_tier(const std::vector<std::shared_ptr<Model>>& tiers, const rtv_config& config, double most,
                       const MeasureLoad& measure, size_t* chosen, std::string* error) {
  for (*chosen = 0; *chosen + 1 < tiers.size(); ++*chosen) {
    double share = 0.0;
    const rtv_status status = measure(tiers[*chosen], config, &share, error);
    if (status != RTV_OK) return status;
    if (share * config.channels <= most) return RTV_OK;
  }
  return RTV_OK;
}

}  // namespace rtvoice
