// Two devices and what lies between them.
#include "live/live_stream.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace rtvoice::live {
namespace {

constexpr double kStallSeconds = 0.03;
constexpr uint32_t kPiece = 8192;  // the most frames that are taken at once; a device may bring more
constexpr int kContinue = 0;
constexpr std::chrono::seconds kClosing{3};

// Others read the same clock (Python's time.monotonic), which the cycle counter's is not.
double steady_seconds() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void add_one(std::atomic<uint64_t>& counter) noexcept RTV_NONBLOCKING {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// What a dead device's threads may still use, when it wakes up or as the process ends.
void keep_for_ever(std::shared_ptr<void> used) {
  static std::mutex mutex;
  static auto* const kept = new std::vector<std::shared_ptr<void>>;
  const std::lock_guard<std::mutex> lock(mutex);
  kept->push_back(std::move(used));
}

}  // namespace

LiveStream::LiveStream(const ChainConfig& config, rtv_engine* engine)
    : sample_rate_(config.sample_rate), chain_(config, engine), mono_(kPiece) {}

LiveStream::~LiveStream() { close(false); }

void LiveStream::prepare(const StreamConfig& config) {
  config_ = config;
  bridge_.reset();
  if (config.two_clocks) {
    BridgeConfig between;
    between.in_rate = config.input.rate;
    between.out_rate = sample_rate_;
    between.in_block = between.out_block = config.block;
    between.margin_ms = config.margin_ms;
    bridge_ = std::make_unique<Bridge>(between);
  }
  late_ = false;
  calls_ = 0;
  last_.store(clock_.now());
  input_last_.store(clock_.now());
}

bool LiveStream::open(const std::string& library, const StreamConfig& config, std::string* error) {
  close(false);
  if (api_ == nullptr || library != library_) api_ = PortAudio::load(library, error);
  if (api_ == nullptr) return false;
  library_ = library;
  prepare(config);
  const bool opened = config.two_clocks ? open_one(&config_.input, nullptr, &on_input, error) &&
                                              open_one(nullptr, &config_.output, &on_output, error)
                                        : open_one(&config_.input, &config_.output, &on_duplex, error);
  if (!opened) {
    close(false);
    return false;
  }
  for (PaStream* stream : streams_) {
    const int code = api_->start_stream(stream);
    if (code < 0) {
      *error = "the device does not start: " + api_->text(code);
      close(false);
      return false;
    }
  }
  last_.store(clock_.now());
  input_last_.store(clock_.now());
  return true;
}

bool LiveStream::open_one(const Device* in, const Device* out, PaCallback* callback, std::string* error) {
  const auto described = [](const Device* d) {
    return d == nullptr ? PaStreamParameters{}
                        : PaStreamParameters{d->index, d->channels, kPaFloat32, d->latency, nullptr};
  };
  const PaStreamParameters from = described(in), to = described(out);
  const double rate = out != nullptr ? sample_rate_ : in->rate;
  const auto line = std::make_shared<Line>();
  line->live.store(this);
  line->out_channels = out == nullptr ? 0 : static_cast<size_t>(out->channels);
  PaStream* stream = nullptr;
  const int code = api_->open_stream(&stream, in == nullptr ? nullptr : &from, out == nullptr ? nullptr : &to, rate,
                                     config_.block, 0, callback, line.get());
  if (code < 0) {
    *error = api_->text(code);
    return false;
  }
  streams_.push_back(stream);
  lines_.push_back(line);
  if (const PaStreamInfo* info = api_->stream_info(stream)) {
    if (in != nullptr) claimed_in_ = info->input_latency;
    if (out != nullptr) claimed_out_ = info->output_latency;
  }
  return true;
}

bool LiveStream::close(bool drain) {
  if (streams_.empty()) return true;
  // In a thread of its own: PortAudio was seen to wait ten minutes for a JACK server that had been killed.
  struct Closing {
    std::promise<void> done;
    std::atomic<bool> abandoned{false};
  };
  const auto closing = std::make_shared<Closing>();
  std::future<void> ended = closing->done.get_future();
  std::thread([api = api_, streams = streams_, drain, closing] {
    for (PaStream* stream : streams) {
      if (drain) {
        api->stop_stream(stream);
      } else {
        api->abort_stream(stream);
      }
      // It gave up, ten minutes later. To close what is dead was seen to crash: JACK's client is none any more.
      if (closing->abandoned) return;
      api->close_stream(stream);
    }
    closing->done.set_value();
  }).detach();
  const bool closed = ended.wait_for(kClosing) == std::future_status::ready;
  if (!closed) {
    closing->abandoned = true;
    for (const auto& line : lines_) {
      line->live.store(nullptr);
      keep_for_ever(line);
    }
    keep_for_ever(api_);
    api_.reset();
  }
  streams_.clear();
  lines_.clear();
  thread_.forget();
  return closed;
}

bool LiveStream::active() const noexcept {
  return !streams_.empty() && std::all_of(streams_.begin(), streams_.end(),
                                          [&](PaStream* stream) { return api_->is_stream_active(stream) == 1; });
}

// ---- The callbacks -------------------------------------------------------------------------------------------------------

LiveStream* LiveStream::reach(void* given, void* out, unsigned long frames) noexcept {
  const auto* line = static_cast<const Line*>(given);
  LiveStream* live = line->live.load();
  if (live == nullptr && out != nullptr) std::memset(out, 0, frames * line->out_channels * sizeof(float));
  return live;
}

template <typename Call>
void LiveStream::called(Call call) noexcept {
  thread_.mark();
  if (!config_.measure_cpu) {
    call();
    return;
  }
  const double start = steady_seconds(), before = AudioThread::own_cpu_seconds();
  call();
  const double cpu = AudioThread::own_cpu_seconds() - before;
  used({start, steady_seconds() - start, cpu, AudioThread::own_core(), false});
}

int LiveStream::on_duplex(const void* in, void* out, unsigned long frames, const void*, unsigned long flags,
                          void* line) {
  LiveStream* live = reach(line, out, frames);
  if (live == nullptr) return kContinue;
  live->called([&] {
    live->duplex(static_cast<const float*>(in), static_cast<float*>(out), static_cast<uint32_t>(frames), flags,
                 live->clock_.now());
  });
  return kContinue;
}

int LiveStream::on_input(const void* in, void*, unsigned long frames, const void*, unsigned long flags, void* line) {
  if (LiveStream* live = reach(line, nullptr, frames))
    live->input(static_cast<const float*>(in), static_cast<uint32_t>(frames), flags, live->clock_.now());
  return kContinue;
}

int LiveStream::on_output(const void*, void* out, unsigned long frames, const void*, unsigned long flags, void* line) {
  LiveStream* live = reach(line, out, frames);
  if (live == nullptr) return kContinue;
  live->called(
      [&] { live->output(static_cast<float*>(out), static_cast<uint32_t>(frames), flags, live->clock_.now()); });
  return kContinue;
}

void LiveStream::count(unsigned long flags, bool late_by_us) noexcept {
  if ((flags & kInputOverflow) != 0) add_one(input_overflows_);
  if ((flags & kInputUnderflow) != 0) add_one(input_underflows_);
  if ((flags & kOutputUnderflow) != 0) add_one(output_underflows_);
  if ((flags & kOutputOverflow) != 0) add_one(output_overflows_);
  if ((flags & 15) == 0) return;
  add_one(xruns_);
  if (!late_by_us) return;
  add_one(xruns_ours_);
  if (config_.measure_cpu) late_calls_.mark();
}

void LiveStream::begin(unsigned long flags, double now) noexcept {
  const double gap = now - last_.load(std::memory_order_relaxed);
  last_.store(now, std::memory_order_relaxed);
  if (calls_ != 0) {
    if (gap > longest_gap_.load(std::memory_order_relaxed)) longest_gap_.store(gap, std::memory_order_relaxed);
    if (gap > std::max(kStallSeconds, 3.0 * block_seconds_)) add_one(stalls_);
  }
  ++calls_;
  count(flags, late_);
}

void LiveStream::end(uint32_t frames, uint64_t start) noexcept {
  block_seconds_ = frames / sample_rate_;
  const uint64_t spent = Clock::ticks() - start;
  const double budget = block_seconds_ / clock_.seconds_per_tick();
  statistics_.record(frames, spent, static_cast<uint64_t>(budget));
  late_ = static_cast<double>(spent) > budget;
}

void LiveStream::used(const LateCall& call) noexcept {
  const double cpu_seconds = call.cpu;
  late_ = cpu_seconds > block_seconds_;
  if (late_) {
    add_one(cpu_overruns_);
    late_calls_.add(call);
  }
  if (cpu_seconds > cpu_max_.load(std::memory_order_relaxed)) cpu_max_.store(cpu_seconds, std::memory_order_relaxed);
}

void LiveStream::duplex(const float* in, float* out, uint32_t frames, unsigned long flags, double now) noexcept {
  const uint64_t start = Clock::ticks();
  begin(flags, now);
  const uint32_t from = static_cast<uint32_t>(config_.input.channels);
  const uint32_t to = static_cast<uint32_t>(config_.output.channels);
  for (uint32_t done = 0; done < frames;) {
    const uint32_t piece = std::min(kPiece, frames - done);
    for (uint32_t i = 0; i < piece; ++i) mono_[i] = in == nullptr ? 0.0f : in[size_t{done + i} * from];
    chain_.process(mono_.data(), mono_.data(), piece);
    spread(out + size_t{done} * to, piece);
    done += piece;
  }
  end(frames, start);
}

void LiveStream::spread(float* out, uint32_t frames) const noexcept {
  const size_t channels = static_cast<size_t>(config_.output.channels);
  for (uint32_t i = 0; i < frames; ++i) {
    for (size_t c = 0; c < channels; ++c) out[i * channels + c] = mono_[i];
  }
}

void LiveStream::input(const float* in, uint32_t frames, unsigned long flags, double now) noexcept {
  if ((flags & kInputOverflow) != 0) add_one(input_overflows_);
  if ((flags & kInputUnderflow) != 0) add_one(input_underflows_);
  input_last_.store(now, std::memory_order_relaxed);
  bridge_->write(in, static_cast<size_t>(config_.input.channels), frames, now);
}

void LiveStream::output(float* out, uint32_t frames, unsigned long flags, double now) noexcept {
  const uint64_t start = Clock::ticks();
  begin(flags & (kOutputUnderflow | kOutputOverflow), now);
  const uint32_t to = static_cast<uint32_t>(config_.output.channels);
  for (uint32_t done = 0; done < frames;) {
    const uint32_t piece = std::min(kPiece, frames - done);
    bridge_->read(mono_.data(), piece, now + done / sample_rate_);
    chain_.process(mono_.data(), mono_.data(), piece);
    spread(out + size_t{done} * to, piece);
    done += piece;
  }
  end(frames, start);
}

// ---- What others see -----------------------------------------------------------------------------------------------------

StreamCounters LiveStream::counters() const {
  StreamCounters c;
  const Statistics::Snapshot s = statistics_.snapshot();
  c.callbacks = s.calls;
  c.frames = s.frames;
  c.input_overflows = input_overflows_.load();
  c.input_underflows = input_underflows_.load();
  c.output_underflows = output_underflows_.load();
  c.output_overflows = output_overflows_.load();
  c.xruns = xruns_.load() + (bridge_ == nullptr ? 0 : input_overflows_.load());
  c.xruns_ours = xruns_ours_.load();
  c.stalls = stalls_.load();
  c.longest_gap_ms = 1e3 * longest_gap_.load();
  const double now = clock_.now();
  c.silent_seconds = now - last_.load();
  if (bridge_ != nullptr) c.silent_seconds = std::max(c.silent_seconds, now - input_last_.load());
  c.cpu_max_us = 1e6 * cpu_max_.load();
  c.cpu_overruns = cpu_overruns_.load();
  return c;
}

rtv_stats LiveStream::times() const {
  rtv_stats stats;
  rtv_stats_init(&stats);
  statistics_.describe(&stats, 1.0 / clock_.seconds_per_tick(), sample_rate_);
  return stats;
}

}  // namespace rtvoice::live
