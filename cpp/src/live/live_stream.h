// Two devices and what lies between them: PortAudio's callbacks, one for a device that does both or two for two, and what they count.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/statistics.h"
#include "live/audio_thread.h"
#include "live/bridge.h"
#include "live/chain.h"
#include "live/clock.h"
#include "live/late_calls.h"
#include "live/portaudio.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

struct Device {
  int index = -1;
  int channels = 1;
  double rate = 48000.0;  // the input's may differ from the engine's; the output's is the engine's
  double latency = 0.0;   // seconds, suggested
};

struct StreamConfig {
  Device input, output;
  uint32_t block = 0;        // frames of a callback; 0: as the device likes
  bool two_clocks = false;   // a stream each, and a bridge between them
  double margin_ms = 2.0;    // of the bridge
  bool measure_cpu = false;  // take each callback's CPU time: two system calls, for tests
};

struct StreamCounters {
  uint64_t callbacks = 0, frames = 0;
  uint64_t input_overflows = 0, output_underflows = 0, input_underflows = 0, output_overflows = 0;
  uint64_t xruns = 0;  // callbacks with any of these
  uint64_t xruns_ours =
      0;                // of them: the callback before took longer than its block lasts (CPU time where it is measured)
  uint64_t stalls = 0;  // callbacks that came more than 30 ms and three blocks after the one before
  double longest_gap_ms = 0.0;
  double silent_seconds = 0.0;  // since the last callback
  double cpu_max_us = 0.0;      // of a callback, where it is measured
  uint64_t cpu_overruns = 0;    // callbacks whose CPU time was longer than their block, where it is measured
};

class LiveStream {
 public:
  LiveStream(const ChainConfig& config, rtv_engine* engine);
  ~LiveStream();  // closes
  LiveStream(const LiveStream&) = delete;
  LiveStream& operator=(const LiveStream&) = delete;

  // Opens and starts. False with one line in `error`. [main-thread]
  bool open(const std::string& library, const StreamConfig& config, std::string* error);
  // Stops and closes; nothing is called back any more when it returns. `drain` lets what was played be heard. False where a dead device did not let go within
  // 3 s: its stream is abandoned, and with it this copy of PortAudio, which must not be used again. [main-thread]
  bool close(bool drain);
  bool is_open() const noexcept { return !streams_.empty(); }
  bool active() const noexcept;  // as PortAudio says

  StreamCounters counters() const;
  std::vector<LateCall> late_calls() const { return late_calls_.all(); }  // where CPU time is measured
  rtv_stats times() const;  // of the callbacks: us_p50 ..., load, overruns
  bool has_bridge() const noexcept { return bridge_ != nullptr; }
  BridgeState bridge() const { return bridge_->state(); }
  // What PortAudio says of the devices, in seconds: not to be believed, but shown beside what is measured.
  double claimed_input_latency() const noexcept { return claimed_in_; }
  double claimed_output_latency() const noexcept { return claimed_out_; }
  Chain& chain() { return chain_; }
  AudioThread& thread() { return thread_; }
  double sample_rate() const noexcept { return sample_rate_; }

  // What the callbacks do, at the time `now`; tests call them with a clock of their own, and say what a callback took. [audio-thread]
  void duplex(const float* in, float* out, uint32_t frames, unsigned long flags, double now) noexcept RTV_NONBLOCKING;
  void input(const float* in, uint32_t frames, unsigned long flags, double now) noexcept RTV_NONBLOCKING;
  void output(float* out, uint32_t frames, unsigned long flags, double now) noexcept RTV_NONBLOCKING;
  void used(const LateCall& call) noexcept RTV_NONBLOCKING;  // what the callback that has just ended took
  // Lays out what the callbacks need without opening a device. [main-thread]
  void prepare(const StreamConfig& config);

 private:
  // What a stream is given to call back: it outlives us where a stream is abandoned.
  struct Line {
    std::atomic<LiveStream*> live{nullptr};
    size_t out_channels = 0;
  };
  static LiveStream* reach(void* line, void* out, unsigned long frames) noexcept;
  template <typename Call>
  void called(Call call) noexcept;  // with the thread marked and, where that is asked for, its CPU time taken
  static int on_duplex(const void* in, void* out, unsigned long frames, const void*, unsigned long flags, void* line);
  static int on_input(const void* in, void*, unsigned long frames, const void*, unsigned long flags, void* line);
  static int on_output(const void*, void* out, unsigned long frames, const void*, unsigned long flags, void* line);
  bool open_one(const Device* in, const Device* out, PaCallback* callback, std::string* error);
  void begin(unsigned long flags, double now) noexcept RTV_NONBLOCKING;
  void count(unsigned long flags, bool late_by_us) noexcept RTV_NONBLOCKING;
  void end(uint32_t frames, uint64_t start) noexcept RTV_NONBLOCKING;
  void spread(float* out, uint32_t frames) const noexcept RTV_NONBLOCKING;  // mono_ to every channel

  const double sample_rate_;
  const Clock clock_;
  Chain chain_;
  StreamConfig config_;
  std::unique_ptr<Bridge> bridge_;
  std::vector<float> mono_;  // one channel of what came in, or of what goes out
  std::shared_ptr<PortAudio> api_;
  std::string library_;
  std::vector<PaStream*> streams_;
  std::vector<std::shared_ptr<Line>> lines_;
  double claimed_in_ = 0.0, claimed_out_ = 0.0;
  AudioThread thread_;

  // The output's callback, or the only one, writes these.
  Statistics statistics_;
  LateCalls late_calls_;
  using Counter = std::atomic<uint64_t>;
  Counter input_overflows_{0}, output_underflows_{0}, input_underflows_{0}, output_overflows_{0};
  Counter xruns_{0}, xruns_ours_{0}, stalls_{0}, cpu_overruns_{0};
  std::atomic<double> last_{0.0}, input_last_{0.0}, longest_gap_{0.0}, cpu_max_{0.0};
  double block_seconds_ = 0.0;
  uint64_t calls_ = 0;  // since the stream was opened
  bool late_ = false;
};

}  // namespace rtvoice::live
