// What an engine tells its log: every call with its input and output, and what changed since the call before.
#include <chrono>
#include <thread>

#include "engine/engine.h"
#include "engine/processor_state.h"
#include "simd/kernels.h"

namespace rtvoice {
namespace {

std::mutex hand_over_mutex;  // between main threads: whose log is whose

}  // namespace

// ---- The audio thread --------------------------------------------------------------------------------------------------------------------

// The flag goes up before the pointer is read again, and end_log takes the pointer away before it reads the flag: one of the two sees the other.
bool Engine::enter_log() noexcept {
  tapped_.store(true);
  logging_ = tap_.load();
  if (logging_ == nullptr) tapped_.store(false, std::memory_order_release);
  return logging_ != nullptr;
}

void Engine::leave_log() noexcept {
  logging_ = nullptr;
  tapped_.store(false, std::memory_order_release);
}

// Whose values set() gives to the stream: a model's that fades in comes before the one that is heard.
ControlBank& Engine::heard_bank() const noexcept {
  Ladder* ladder = incoming_ != nullptr ? incoming_ : active_;
  return *ladder->stage().pipeline->bank();
}

// The most that a call's events take, whatever changed.
uint64_t Engine::state_bytes() const noexcept {
  uint64_t bytes = sizeof(log::EngineChange) + sizeof(log::Mark) + sizeof(log::Mix) + sizeof(log::Hold) +
                   sizeof(log::ModelName) * (active_->tiers.size() + (incoming_ != nullptr ? 1 : 0));
  for (const auto& control : heard_bank().parameters)
    bytes += sizeof(log::Parameter) + log::whole(control->name().size()) + log::whole(control->size() * sizeof(float));
  return bytes;
}

void Engine::put_models(const Ladder& ladder, bool incoming, bool told) noexcept {
  uint32_t tier = 0;
  for (const auto& stage : ladder.tiers) {
    const Graph& graph = stage->pipeline->plan().graph();
    logging_->put_model(graph.hash, graph.name.c_str(), graph.tier.c_str(), tier++, incoming, told ? log::kTold : 0);
  }
}

// What changed since it was last told; all of it with `told`. How many records.
uint32_t Engine::put_state(bool told) noexcept {
  log::Tap& tap = *logging_;
  uint32_t records = 0;
  for (const auto& control : heard_bank().parameters) {
    const bool changed = control->logged_version != control->taken_version();
    if (!changed && !told) continue;
    control->logged_version = control->taken_version();
    tap.put_parameter(control->name().c_str(), static_cast<uint32_t>(control->name().size()), control->taken(),
                      control->size(), changed ? 0 : log::kTold);
    ++records;
  }
  const bool mixed = tap.mix != mix_taken_ || tap.bypass != bypass_taken_, held = tap.held != held_taken_;
  if (mixed || told) {
    const log::Mix mix{
        {sizeof mix, log::kMix, mixed ? uint16_t{0} : log::kTold}, tap.index(), mix_taken_, bypass_taken_};
    tap.put(&mix, sizeof mix);
    ++records;
  }
  if (held || told) {
    const log::Hold hold{{sizeof hold, log::kHold, held ? uint16_t{0} : log::kTold}, tap.index(), held_taken_, 0};
    tap.put(&hold, sizeof hold);
    ++records;
  }
  tap.mix = mix_taken_;
  tap.bypass = bypass_taken_;
  tap.held = held_taken_;
  return records;
}

void Engine::put_mark(uint32_t reason) noexcept {
  log::Tap& tap = *logging_;
  if (tap.handed) {
    const Graph& graph = active_->tiers.front()->pipeline->plan().graph();
    tap.put_engine(graph.hash, graph.name.c_str(), graph.tier.c_str(), latency());
    tap.handed = false;
  }
  const uint32_t records = static_cast<uint32_t>(active_->tiers.size() + (incoming_ != nullptr ? 1 : 0) +
                                                 heard_bank().parameters.size() + 2);
  const log::Mark mark{{sizeof mark, log::kMark, 0}, tap.index(), reason, records};
  tap.put(&mark, sizeof mark);
  put_models(*active_, false, true);
  if (incoming_ != nullptr) put_models(*incoming_, true, true);
  (void)put_state(true);
  tap.marked = true;
  tap.nonfinite = statistics_.nonfinite();
}

void Engine::open_log(const float* in, uint32_t frames, uint64_t start) noexcept {
  if (!enter_log()) return;
  log::Tap& tap = *logging_;
  tap.open = tap.begin(state_bytes() + tap.call_bytes(in == nullptr ? 0 : frames), in == nullptr ? 0 : frames);
  if (!tap.open) return;
  if (!tap.marked) {
    put_mark(dry_write_ == 0 && !fetched_ ? log::kStartedFresh : log::kStartedLate);
    tap.tell_again.store(false, std::memory_order_relaxed);
  } else {
    const bool again = tap.tell_again.load(std::memory_order_relaxed);
    if (again) {
      tap.tell_again.store(false, std::memory_order_relaxed);
      put_models(*active_, false, true);
    }
    if (fetched_) {
      // Another bank's values are all new to the stream; in the same one only those that changed.
      if (incoming_->stage().pipeline->bank() != active_->stage().pipeline->bank()) {
        for (const auto& control : heard_bank().parameters) control->logged_version = control->taken_version() - 1;
      }
      put_models(*incoming_, true, false);
    }
    (void)put_state(again);
  }
  tap.begin_call(in, frames, start);
}

void Engine::close_log(const float* out, uint32_t frames, uint64_t ticks, double budget, rtv_status status) noexcept {
  if (logging_ == nullptr) return;
  log::Tap& tap = *logging_;
  if (tap.open) {
    const uint64_t bad = statistics_.nonfinite();
    tap.end_call(out, ticks, static_cast<double>(ticks) > budget && frames != 0, tier_.load(std::memory_order_relaxed),
                 static_cast<uint32_t>(bad - tap.nonfinite), status);
    tap.nonfinite = bad;
    tap.end();
  }
  tap.advance(frames);
  leave_log();
}

void Engine::log_reset() noexcept {
  if (!enter_log()) return;
  log::Tap& tap = *logging_;
  if (tap.begin(state_bytes(), 0)) {
    put_mark(log::kReset);
    tap.end();
  }
  leave_log();
}

// ---- Main threads ------------------------------------------------------------------------------------------------------------------------

rtv_status Engine::begin_log(const char* path, const rtv_log_config& config, std::string* error) {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  if (log_ != nullptr) {
    *error = "this engine is being logged already; end that log first";
    return RTV_ERROR_BUSY;
  }
  log::Stream stream;
  stream.config = &config_;
  stream.latency = latency();
  stream.ticks_per_second = ticks_per_second_;
  stream.now = read_ticks();
  stream.isa = simd::kernels().isa;
  stream.created_with = &created_with_;
  rtv_status status = RTV_OK;
  log_ = log::Log::start(path, config, stream, &status, error);
  if (log_ == nullptr) return status;
  last_log_ = {};
  tap_.store(log_->tap());
  return RTV_OK;
}

void Engine::inherit_log(Engine* from) {
  const std::lock_guard<std::mutex> lock(log_mutex_), other(from->log_mutex_);  // nobody else takes two
  if (from->log_ == nullptr || log_ != nullptr) return;
  from->log_->writer().next_engine({latency(), log::models_text(created_with_)});
  log_ = std::move(from->log_);
  last_log_ = {};
  const std::lock_guard<std::mutex> links(hand_over_mutex);
  log_from_ = from;
  from->log_to_ = this;
}

void Engine::end_log(bool for_good) {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  {
    const std::lock_guard<std::mutex> links(hand_over_mutex);
    // Where this engine has not taken its log yet it cannot any more once the other's tap is closed.
    for (Engine* writer : {log_from_, this}) {
      if (log_ == nullptr || writer == nullptr) continue;
      writer->tap_.store(nullptr);
      while (writer->tapped_.load())
        std::this_thread::sleep_for(std::chrono::microseconds(100));  // a call is under way
    }
    if (for_good && log_to_ != nullptr) log_to_->log_from_ = nullptr;
    if (for_good && log_from_ != nullptr) log_from_->log_to_ = nullptr;
  }
  if (log_ == nullptr) return;
  log_->writer().stop();
  log_->writer().status(&last_log_);
  log_.reset();
}

rtv_status Engine::note(const char* text) {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  if (log_ == nullptr) return RTV_ERROR_ARGUMENT;
  log_->writer().note(text);
  return RTV_OK;
}

void Engine::log_status(rtv_log_status* status) {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  *status = last_log_;
  if (log_ != nullptr) log_->writer().status(status);
  status->active = log_ != nullptr ? 1 : 0;
}

}  // namespace rtvoice
