// Hostile hosts: engine settings, parameters and calls with any values at all, over valid models.
//   config_mutate [--cases N] [--first I] [--plant] SEED.rtv...
// Exit 0: all promises of rtvoice.h kept; 1: one was broken, named with its case number. --plant breaks one, which must be found.
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace {

constexpr unsigned kSecondsPerCase = 60;
unsigned long long g_case = 0;

extern "C" void on_alarm(int) {
  char text[64];
  const int length = std::snprintf(text, sizeof text, "case %llu: hangs\n", g_case);
  if (write(2, text, static_cast<size_t>(length)) < 0) _exit(3);
  _exit(1);
}

class Case {
 public:
  Case(uint64_t index, bool plant) : random_(index), strange_(index % 2 == 0 ? 3 : 30), plant_(plant) {}

  // A broken promise, or nothing.
  std::string run(const std::vector<rtv_model*>& models) {
    models_ = models;
    rtv_config config = settings();
    std::vector<const rtv_model*> tiers(1 + random_() % 3);
    for (const rtv_model*& tier : tiers) tier = pick();
    rtv_engine* engine = nullptr;
    status_ = random_() % 2 == 0
                  ? rtv_engine_create(tiers[0], &config, &engine)
                  : rtv_engine_create_tiers(tiers.data(), static_cast<uint32_t>(tiers.size()), &config, &engine);
    if ((status_ == RTV_OK) != (engine != nullptr)) return "a status that says something else than the engine";
    if (engine == nullptr) return one_line(rtv_last_error()) ? "" : "a refusal that is not one printable line";
    const std::string fault = play(engine, config);
    rtv_engine_destroy(engine);
    return fault;
  }
  rtv_status status() const { return status_; }
  uint64_t calls() const { return calls_; }

 private:
  const rtv_model* pick() { return models_[random_() % models_.size()]; }

  uint32_t number(uint32_t usual) {
    if (random_() % 100 >= strange_) return usual;
    switch (random_() % 4) {
      case 0:
        return 0;
      case 1:
        return std::numeric_limits<uint32_t>::max() - static_cast<uint32_t>(random_() % 3);
      case 2:
        return static_cast<uint32_t>(random_());
      default:
        return 1u << random_() % 32;
    }
  }

  float value() {
    switch (random_() % 8) {
      case 0:
        return std::numeric_limits<float>::quiet_NaN();
      case 1:
        return random_() % 2 == 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
      case 2:
        return std::ldexp(1.0f, static_cast<int>(random_() % 277) - 149) * (random_() % 2 == 0 ? 1.0f : -1.0f);
      default:
        return static_cast<float>(random_() % 20001) / 10000.0f - 1.0f;
    }
  }

  rtv_config settings() {
    static const uint32_t rates[] = {48000, 44100, 16000, 8000, 192000, 37123};
    rtv_config config;
    rtv_config_init(&config);
    config.sample_rate = number(rates[random_() % 6]);
    config.max_frame = number(static_cast<uint32_t>(1 + random_() % 1024));
    config.channels = number(static_cast<uint32_t>(1 + random_() % 3));
    config.block = number(random_() % 3 == 0 ? config.max_frame : 0);
    config.resampler = number(static_cast<uint32_t>(random_() % 6));
    config.schedule = number(static_cast<uint32_t>(random_() % 2));
    config.overload = number(static_cast<uint32_t>(random_() % 2));
    config.seed = random_();
    if (random_() % 4 == 0) config.fade_ms = value() * 1000.0f;
    if (random_() % 16 == 0) config.struct_size = number(config.struct_size);
    return config;
  }

  static bool one_line(const char* text) {
    const std::string line(text);
    for (const char c : line) {
      if (c < 0x20 || c > 0x7e) return false;
    }
    return !line.empty();
  }

  // Names that exist, and bytes that are none.
  std::string name() {
    static const char* const known[] = {"mix", "gain", "hiss", "boost", "energy", "audio", ""};
    if (random_() % 4 != 0) return known[random_() % 7];
    std::string text(random_() % 40, '\0');
    for (char& c : text) c = static_cast<char>(1 + random_() % 255);
    return text;
  }

  std::string play(rtv_engine* engine, const rtv_config& config) {
    const uint32_t latency = rtv_engine_latency(engine);
    const size_t most = std::min<size_t>(config.max_frame, 2048);
    for (int turn = 0; turn < 12; ++turn) {
      std::vector<float> values(random_() % 5);
      for (float& v : values) v = value();
      const std::string text = name();
      (void)rtv_engine_set(engine, text.c_str(), values.data(), static_cast<uint32_t>(values.size()));
      (void)rtv_engine_tier(engine, static_cast<int32_t>(number(0)));
      rtv_engine_bypass(engine, static_cast<int>(random_() % 3));
      if (random_() % 8 == 0) rtv_engine_reset(engine);
      if (random_() % 8 == 0) (void)rtv_engine_swap(engine, pick());
      const size_t frames = config.block != 0 && random_() % 4 != 0 ? std::min<size_t>(config.block, 65536)
                            : random_() % 8 == 0                    ? config.max_frame + size_t{1 + random_() % 3}
                                                                    : random_() % (most + 1);
      std::vector<float> in(frames * config.channels), out(in.size(), 7.0f);
      for (float& sample : in) sample = value();
      const rtv_status status = rtv_engine_process(engine, in.data(), out.data(), static_cast<uint32_t>(frames));
      ++calls_;
      if (plant_ && turn == 3 && !out.empty()) out[0] = std::numeric_limits<float>::quiet_NaN();
      const bool allowed = frames == 0 || (frames <= config.max_frame && (config.block == 0 || frames == config.block));
      if (status != (allowed ? RTV_OK : RTV_ERROR_FRAME_SIZE))
        return "a status of process that its frame does not explain";
      for (const float sample : out) {
        if (!std::isfinite(sample)) return "an output that is not finite";
        if (!allowed && sample != 0.0f) return "a refused frame that is not silence";
      }
      if (rtv_engine_latency(engine) != latency) return "a latency that changed";
      rtv_stats stats;
      rtv_stats_init(&stats);
      rtv_engine_stats(engine, &stats);
      float read[4];
      (void)rtv_engine_output(engine, text.c_str(), read, 4);
    }
    return "";
  }

  std::mt19937_64 random_;
  uint64_t strange_;  // per cent of the numbers
  bool plant_;
  std::vector<rtv_model*> models_;
  rtv_status status_ = RTV_OK;
  uint64_t calls_ = 0;
};

int usage() {
  std::fputs("usage: config_mutate [--cases N] [--first I] [--plant] SEED.rtv...\n", stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t cases = 10000, first = 0, calls = 0;
  bool plant = false;
  std::vector<rtv_model*> models;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--cases") == 0 && i + 1 < argc) {
      cases = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--first") == 0 && i + 1 < argc) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--plant") == 0) {
      plant = true;
    } else if (argv[i][0] == '-') {
      return usage();
    } else {
      rtv_model* model = nullptr;
      if (rtv_model_open(argv[i], &model) != RTV_OK) {
        std::fprintf(stderr, "%s: a seed must be a valid model: %s\n", argv[i], rtv_last_error());
        return 1;
      }
      models.push_back(model);
    }
  }
  if (models.empty()) return usage();
  std::signal(SIGALRM, on_alarm);
  std::map<std::string, uint64_t> outcomes;
  for (uint64_t index = first; index < first + cases; ++index) {
    g_case = index;
    alarm(kSecondsPerCase);
    Case one(index, plant);
    const std::string fault = one.run(models);
    alarm(0);
    if (!fault.empty()) {
      std::fprintf(stderr, "case %llu: %s\n", g_case, fault.c_str());
      return 1;
    }
    calls += one.calls();
    ++outcomes[rtv_status_string(one.status())];
  }
  std::printf("%llu cases, %llu calls;", static_cast<unsigned long long>(cases),
              static_cast<unsigned long long>(calls));
  for (const auto& [what, count] : outcomes)
    std::printf(" %s: %llu", what.c_str(), static_cast<unsigned long long>(count));
  std::printf("\n");
  for (rtv_model* model : models) rtv_model_close(model);
  return 0;
}
