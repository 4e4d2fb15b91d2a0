// soak [--seconds N] [--logged-seconds N] [--scenario NAME] [--plant leak|drift|latency|state|log]: streams N seconds of audio through each scenario's engine, in frames of random
// size, with parameter changes, tiers, swaps and a real-time log, and prints one row of a table for each. Fails where memory grows, the latency changes, the stream drifts
// against its input, or the engine, reset or not, is at the end not what a fresh one is. --plant makes that fault, which must be found.
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "../c_api/host.h"

namespace rtvoice::test {
namespace {

struct Scenario {
  std::string name;
  std::vector<Bytes> tiers;  // best first
  uint32_t sample_rate = 48000, channels = 1, schedule = RTV_SCHEDULE_INLINE, resampler = RTV_RESAMPLER_AUTO;
  bool swaps = true;
  bool memoryless =
      false;  // the network forgets its input within half a second: no reset is needed to compare with a fresh engine
  bool logged = false;  // a real-time log is written all the time
  bool day = false;     // at that for as long as `--logged-seconds` says
};

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  for (const ShippedSkin& skin : shipped_skins()) {
    Scenario s;
    for (const std::string& path : skin.tiers) s.tiers.push_back(read_file(path));
    if (s.tiers.size() > 1) {  // first, for they are the longest
      s.name = skin.name + "_48k_logged";
      s.logged = true;
      s.day = skin.name == "whisper" || skin.name == "vocoder";  // the least and the most work a second of sound
      all.insert(all.begin(), s);
      s.logged = s.day = false;
    }
    s.name = skin.name + "_48k";
    all.push_back(s);
    s.name = skin.name + "_44k1_sliced_stereo";
    s.sample_rate = 44100;
    s.channels = 2;
    s.schedule = RTV_SCHEDULE_SLICED;
    all.push_back(s);
  }
  all.push_back({"tcn_48k", {tcn_model()}, 48000, 1, RTV_SCHEDULE_INLINE, RTV_RESAMPLER_AUTO, false, true});
  all.push_back({"tcn_44k1", {tcn_model()}, 44100, 1, RTV_SCHEDULE_INLINE, RTV_RESAMPLER_AUTO, false, true});
  all.push_back({"tcn_96k_sliced", {tcn_model()}, 96000, 2, RTV_SCHEDULE_SLICED, RTV_RESAMPLER_AUTO, false, true});
  all.push_back({"gru_44k1", {gru_model()}, 44100, 1, RTV_SCHEDULE_INLINE, RTV_RESAMPLER_FASTEST, true, false});
  all.push_back({"control_48k", {control_model()}, 48000, 2});
  return all;
}

// Ctrl-C ends the stream; what it came to until then is told, and no other stream begins.
volatile std::sig_atomic_t interrupted = 0;

size_t resident_bytes() {
  size_t pages = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%zu %zu", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// A period that no hop divides, so that the input is known at any time of the stream.
class Source {
 public:
  explicit Source(uint32_t channels) : channels_(channels), period_(test_signal(kPeriod * channels)) {}
  const float* at(uint64_t frame, uint32_t frames) {
    buffer_.resize(size_t{frames} * channels_);
    for (size_t i = 0; i < frames; ++i)
      std::memcpy(&buffer_[i * channels_], &period_[(frame + i) % kPeriod * channels_], channels_ * sizeof(float));
    return buffer_.data();
  }

 private:
  static constexpr size_t kPeriod = 48017;
  uint32_t channels_;
  Samples period_, buffer_;
};

struct Parameter {
  std::string name;
  float low, high;
};

std::vector<Parameter> parameters_of(const rtv_model* model) {
  std::vector<Parameter> found{{"mix", 0.0f, 1.0f}};
  const nlohmann::json info = nlohmann::json::parse(rtv_model_info(model), nullptr, false);
  for (const auto& p : info.value("parameters", nlohmann::json::array())) {
    if (p.value("size", 1) == 1) found.push_back({p.value("name", ""), p.value("min", 0.0f), p.value("max", 1.0f)});
  }
  return found;
}

EngineHandle make(const std::vector<ModelHandle>& models, const rtv_config& config) {
  std::vector<const rtv_model*> tiers;
  for (const ModelHandle& model : models) tiers.push_back(model.get());
  rtv_engine* engine = nullptr;
  if (rtv_engine_create_tiers(tiers.data(), static_cast<uint32_t>(tiers.size()), &config, &engine) != RTV_OK)
    std::fprintf(stderr, "%s\n", rtv_last_error());
  return EngineHandle(engine);
}

// One stream over its whole length.
class Soak {
 public:
  Soak(const Scenario& s, double seconds, const std::string& plant)
      : s_(s), seconds_(seconds), plant_(plant), source_(s.channels) {}

  bool run() {
    for (const Bytes& bytes : s_.tiers) models_.push_back(open_model(bytes));
    config_ = default_config(s_.sample_rate, 1024, s_.channels);
    config_.schedule = s_.schedule;
    config_.resampler = s_.resampler;
    engine_ = make(models_, config_);
    if (engine_ == nullptr) return false;
    latency_ = rtv_engine_latency(engine_.get());
    parameters_ = parameters_of(models_.front().get());
    // Touched, so that filling them is no growth.
    timed_calls_ = std::max<uint64_t>(16, static_cast<uint64_t>(seconds_ * s_.sample_rate) / (200u << 16));
    us_per_second_.assign(size_t{1} << 17, 0.0);
    us_per_second_.clear();
    memory_.assign(1024, {});
    memory_.clear();
    if (s_.logged) begin_log();
    stream();
    if (s_.logged) end_log();
    s_.memoryless ? compare(false) : follow();
    compare(true);
    report();
    return faults_.empty();
  }

 private:
  void fail(const std::string& what) {
    if (faults_.find(what) == std::string::npos) faults_ += (faults_.empty() ? "" : ", ") + what;
  }

  // Files of 8 MB, of which two are kept: a day of audio would be 30 GB. At this speed the disk may not keep up; what is lost is told, and counts.
  void begin_log() {
    log_path_ = testing::TempDir() + "rtvoice-soak-" + std::to_string(getpid()) + ".rtlog";
    rtv_log_config config;
    rtv_log_config_init(&config);
    config.format = RTV_LOG_PCM16;
    config.rotate_bytes = kLogFile;
    config.keep_files = 2;
    if (rtv_engine_log_with(engine_.get(), log_path_.c_str(), &config) != RTV_OK) fail("log");
  }

  // Every sample is in a file, was in one that is gone, or is told as lost; the folder holds no more than it should.
  void end_log() {
    rtv_engine_log(engine_.get(), nullptr);
    rtv_log_status status;
    rtv_log_status_init(&status);
    rtv_engine_log_status(engine_.get(), &status);
    if (plant_ == "log") ++status.frames;
    logged_ = status.frames, lost_ = status.frames_lost;
    if (logged_ + lost_ != at_ || logged_ == 0 || status.failing != 0) fail("log");
    uintmax_t held = 0;
    const std::filesystem::path first(log_path_);
    for (const auto& entry : std::filesystem::directory_iterator(first.parent_path())) {
      if (entry.path().filename().string().rfind(first.stem().string(), 0) != 0) continue;
      held += entry.file_size();
      std::filesystem::remove(entry.path());
    }
    if (held == 0 || held > 3 * kLogFile) fail("log");
  }

  // One frame; what comes out must be finite.
  void frame(uint32_t frames, bool timed) {
    out_.resize(size_t{frames} * s_.channels);
    const float* in = source_.at(at_, frames);
    const auto start = std::chrono::steady_clock::now();
    if (rtv_engine_process(engine_.get(), in, out_.data(), frames) != RTV_OK) fail("a call");
    if (timed)
      us_per_second_.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() * s_.sample_rate /
          std::max(1u, frames));
    if (!all_finite(out_)) fail("a value that is not finite");
    at_ += frames;
    ++calls_;
  }

  void stream() {
    const uint64_t total = static_cast<uint64_t>(seconds_ * s_.sample_rate), tenth = total / 10;
    uint64_t next_set = 0, next_swap = s_.sample_rate, next_memory = tenth;
    bool dropped = false;
    while (at_ < total && interrupted == 0) {
      if (at_ >= next_set) {
        next_set = at_ + random_() % s_.sample_rate;
        change();
      }
      if (s_.swaps && at_ >= next_swap) {
        next_swap = at_ + s_.sample_rate + random_() % (9 * s_.sample_rate);
        swaps_ += rtv_engine_swap(engine_.get(), models_[random_() % models_.size()].get()) == RTV_OK;
      }
      if (at_ >= next_memory) {
        next_memory += std::max<uint64_t>(tenth / 50, s_.sample_rate / 4);
        memory();
        if (plant_ == "leak") leaked_.push_back(new char[size_t{1} << 16]());
      }
      if (plant_ == "drift" && !dropped && at_ > total / 2) {
        dropped = true;
        ++at_;  // a sample that the engine never hears
      }
      frame(random_() % 16 == 0 ? static_cast<uint32_t>(random_() % 1025) : static_cast<uint32_t>(1 + random_() % 480),
            calls_ % timed_calls_ == 0);
      if (rtv_engine_latency(engine_.get()) != latency_ + (plant_ == "latency" && at_ > total / 2 ? 1 : 0))
        fail("latency");
    }
    streamed_ = at_;
    halve();
  }

  void change() {
    for (const Parameter& p : parameters_) {
      const float share = static_cast<float>(random_() % 1001) / 1000.0f;
      const float value = p.low + share * (std::min(p.high, 1e3f) - p.low);
      sets_ += rtv_engine_set(engine_.get(), p.name.c_str(), &value, 1) == RTV_OK;
    }
    rtv_engine_bypass(engine_.get(), random_() % 8 == 0);
    rtv_engine_tier(engine_.get(), static_cast<int32_t>(random_() % (models_.size() + 1)) - 1);
  }

  void memory() {
    memory_.push_back({at_, mallinfo2().uordblks, resident_bytes()});
    rtv_stats stats;
    rtv_stats_init(&stats);
    rtv_engine_stats(engine_.get(), &stats);
    largest_ = std::max(largest_, stats.memory_weights + stats.memory_state + stats.memory_scratch);
  }

  // Bytes in use, least of each half: a swap has two models for a moment. 1 MiB of resident memory is the allocator's own room.
  void halve() {
    for (const Memory& now : memory_) {
      const size_t half = now.at < streamed_ / 2 ? 0 : 1;
      heap_[half] = std::min(heap_[half], now.heap);
      resident_[half] = std::max(resident_[half], now.resident);
    }
  }

  // The last settings, all fades over; a fresh engine with the same, if one can be made.
  EngineHandle settle() {
    rtv_engine_bypass(engine_.get(), 0);
    rtv_engine_tier(engine_.get(), RTV_TIER_AUTO);
    EngineHandle fresh;
    if (s_.swaps) {  // its last model alone, whatever came before
      while (rtv_engine_swap(engine_.get(), models_.back().get()) != RTV_OK) frame(480, false);
      std::vector<ModelHandle> last;
      last.push_back(open_model(s_.tiers.back()));
      fresh = make(last, config_);
    } else {
      fresh = make(models_, config_);
    }
    if (fresh == nullptr) {
      fail("a fresh engine");
      return fresh;
    }
    for (const Parameter& p : parameters_) {
      const float value = p.name == "mix" ? 1.0f : 0.5f * (p.low + std::min(p.high, 1e3f));
      for (rtv_engine* engine : {engine_.get(), fresh.get()}) (void)rtv_engine_set(engine, p.name.c_str(), &value, 1);
    }
    for (uint64_t settled = at_ + 2 * s_.sample_rate; at_ < settled;) frame(480, false);
    return fresh;
  }

  // Where a network remembers, or makes a noise of its own, the bits differ without a reset. That the stream is not late shows in bursts that come and go: their
  // loudness, millisecond by millisecond, against a fresh engine's. Found to 2 ms; planted: 10 ms.
  void follow() {
    const EngineHandle fresh = settle();
    if (fresh == nullptr) return;
    const uint32_t ms = s_.sample_rate / 1000, planted = plant_ == "drift" ? 10 : 0;
    const uint64_t late = latency_ - rtv_engine_latency(fresh.get());
    std::vector<double> loud[2];
    for (auto& one : loud) one.assign(kFollowMs, 0.0);
    Samples out(size_t{ms} * s_.channels);
    for (uint32_t t = 0; t < kFollowMs; ++t) {
      for (const bool old : {true, false}) {
        Samples in(source_.at(at_, ms), source_.at(at_, ms) + out.size());
        const uint32_t burst = (t - std::min(t, old ? planted : 0)) / 40;
        if ((burst * 2654435761u >> 16) % 2 == 0) std::fill(in.begin(), in.end(), 0.0f);
        rtv_engine* engine = old ? engine_.get() : fresh.get();
        if (rtv_engine_process(engine, in.data(), out.data(), ms) != RTV_OK) fail("a call");
        for (size_t i = 0; i < out.size(); ++i) {
          const uint64_t heard = uint64_t{t} * ms + i / s_.channels, delay = old ? late : 0;
          if (heard >= delay) loud[old][(heard - delay) / ms] += double{out[i]} * double{out[i]};
        }
      }
      at_ += ms;
      ++calls_;
    }
    if (std::abs(best_lag(loud[0], loud[1])) > 4) fail("drift");
  }

  // Loudness over 10 ms, without its mean: a network may hum where it hears nothing.
  static std::vector<double> envelope(const std::vector<double>& energy) {
    std::vector<double> out(energy.size(), 0.0);
    double mean = 0.0;
    for (size_t i = 10; i < out.size(); ++i) {
      for (size_t k = 0; k < 10; ++k) out[i] += energy[i - k];
      out[i] = std::sqrt(out[i]);
      mean += out[i] / static_cast<double>(out.size());
    }
    for (double& value : out) value -= mean;
    return out;
  }

  // By how many milliseconds `b` is behind `a`, at most 20.
  static int best_lag(const std::vector<double>& a, const std::vector<double>& b) {
    const std::vector<double> x = envelope(a), y = envelope(b);
    double most = -1e30;
    int best = 0;
    for (int lag = -20; lag <= 20; ++lag) {
      double sum = 0.0;
      for (int i = 500; i + 100 < static_cast<int>(x.size()); ++i)
        sum += x[static_cast<size_t>(i)] * y[static_cast<size_t>(i + lag)];
      if (sum > most) most = sum, best = lag;
    }
    return best;
  }

  // The last settings; then two seconds of input into this engine and a fresh one.
  void compare(bool reset) {
    const EngineHandle fresh = settle();
    if (fresh == nullptr) return;
    // Whole seconds are whole blocks at every rate here: the fresh stream starts on the same grid.
    for (uint64_t grid = (at_ / s_.sample_rate + 1) * s_.sample_rate; !reset && at_ < grid;)
      frame(static_cast<uint32_t>(std::min<uint64_t>(480, grid - at_)), false);
    rtv_engine_reset(fresh.get());
    if (reset && plant_ != "state") rtv_engine_reset(engine_.get());
    const uint64_t start = at_;
    Samples old_out, fresh_out;
    while (at_ < start + 2 * s_.sample_rate) {
      const uint32_t frames = static_cast<uint32_t>(1 + random_() % 1024);
      const uint64_t at = at_;
      frame(frames, false);
      old_out.insert(old_out.end(), out_.begin(), out_.end());
      Samples out(out_.size());
      if (rtv_engine_process(fresh.get(), source_.at(at, frames), out.data(), frames) != RTV_OK) fail("a call");
      fresh_out.insert(fresh_out.end(), out.begin(), out.end());
    }
    // An engine of several models is as late as the slowest of them.
    const size_t late = (latency_ - rtv_engine_latency(fresh.get())) * s_.channels;
    const size_t from = reset ? 0 : s_.sample_rate / 2 * s_.channels;
    const bool same = std::equal(fresh_out.begin() + static_cast<std::ptrdiff_t>(from),
                                 fresh_out.end() - static_cast<std::ptrdiff_t>(late),
                                 old_out.begin() + static_cast<std::ptrdiff_t>(from + late));
    if (!same) fail(reset ? "state" : "drift");
    if (peak(fresh_out, from) < 1e-4f) fail("silence");
  }

  // Of the first or the last tenth.
  double median_us(bool last) {
    const auto tenth = static_cast<std::ptrdiff_t>(us_per_second_.size() / 10);
    if (tenth == 0) return 0.0;
    std::vector<double> part = last ? std::vector<double>(us_per_second_.end() - tenth, us_per_second_.end())
                                    : std::vector<double>(us_per_second_.begin(), us_per_second_.begin() + tenth);
    std::nth_element(part.begin(), part.begin() + tenth / 2, part.end());
    return part[static_cast<size_t>(tenth) / 2];
  }

  void report() {
    const double heap_growth = static_cast<double>(heap_[1]) - static_cast<double>(heap_[0]);
    const double growth = static_cast<double>(resident_[1]) - static_cast<double>(resident_[0]);
    // A swap holds two networks for a moment, and which two is chance: the peaks of the halves may be one network apart.
    const double apart = 1048576.0 + (s_.swaps ? static_cast<double>(largest_) : 0.0);
    // A log's writer keeps room for the most that it found in its ring at once: 2 s of audio at most.
    const double kept = 16384.0 + (s_.logged ? 1048576.0 : 0.0);
    if (heap_growth > kept || growth > apart) fail("leak");
    // Other tiers cost something else.
    const double first = median_us(false), last = median_us(true);
    const std::string ratio = s_.swaps && s_.tiers.size() > 1 ? "-" : std::to_string(last / first).substr(0, 4);
    const std::string log =
        s_.logged ? "; " + std::to_string(logged_) + " samples logged, " + std::to_string(lost_) + " told as lost" : "";
    std::printf("| %s | %.2f | %llu | %llu | %llu | %.1f | %+.0f | %+.0f | %u | %s | %s |\n", s_.name.c_str(),
                static_cast<double>(at_) / s_.sample_rate / 3600.0, static_cast<unsigned long long>(calls_),
                static_cast<unsigned long long>(sets_), static_cast<unsigned long long>(swaps_),
                static_cast<double>(resident_[0]) / 1048576.0, growth / 1024.0, heap_growth / 1024.0, latency_,
                ratio.c_str(), (verdict() + log).c_str());
    std::fflush(stdout);
  }

  std::string verdict() const {
    if (!faults_.empty()) return "FAILED: " + faults_;
    return s_.memoryless ? "yes, without a reset too" : "yes";
  }

  static constexpr uint32_t kFollowMs = 6000;
  static constexpr uint64_t kLogFile = 8u << 20;
  const Scenario& s_;
  double seconds_;
  std::string plant_, faults_;
  Source source_;
  std::vector<ModelHandle> models_;
  rtv_config config_{};
  EngineHandle engine_;
  std::vector<Parameter> parameters_;
  std::mt19937 random_{11};
  Samples out_;
  uint32_t latency_ = 0;
  uint64_t at_ = 0, calls_ = 0, sets_ = 0, swaps_ = 0;
  size_t heap_[2] = {std::numeric_limits<size_t>::max(), std::numeric_limits<size_t>::max()}, resident_[2] = {0, 0};
  struct Memory {
    uint64_t at;
    size_t heap, resident;
  };
  std::vector<Memory> memory_;
  uint64_t timed_calls_ = 16, streamed_ = 0;
  uint64_t largest_ = 0, logged_ = 0, lost_ = 0;
  std::string log_path_;
  std::vector<double> us_per_second_;
  std::vector<char*> leaked_;
};

constexpr char kHeading[] =
    "| stream | hours | calls | parameters set | swaps | resident MiB | grown KiB | heap grown KiB | latency | time of "
    "a call, last tenth / first "
    "| a fresh engine's bits at the end |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n";

int run(int argc, char** argv) {
  double seconds = 20.0, logged_seconds = 0.0;
  std::string only, plant;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--seconds") {
      seconds = std::atof(argv[i + 1]);
    } else if (option == "--logged-seconds") {
      logged_seconds = std::atof(argv[i + 1]);
    } else if (option == "--scenario") {
      only = argv[i + 1];
    } else if (option == "--plant") {
      plant = argv[i + 1];
    } else {
      std::fprintf(
          stderr,
          "usage: soak [--seconds N] [--logged-seconds N] [--scenario NAME] [--plant leak|drift|latency|state|log]\n");
      return 2;
    }
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::printf("%s", kHeading);
  bool good = true;
  size_t count = 0;
  for (const Scenario& s : scenarios()) {
    if ((!only.empty() && s.name != only) || interrupted != 0) continue;
    ++count;
    good = Soak(s, s.day && logged_seconds > 0.0 ? logged_seconds : seconds, plant).run() && good;
  }
  if (count == 0) std::fprintf(stderr, "no scenario '%s'\n", only.c_str());
  return good && count != 0 ? 0 : 1;
}

}  // namespace
}  // namespace rtvoice::test

int main(int argc, char** argv) { return rtvoice::test::run(argc, argv); }
