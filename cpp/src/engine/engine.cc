// What the audio thread runs.
#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/processor_state.h"
#include "stream/samples.h"

namespace rtvoice {
namespace {

ResamplerKind resampler_of(uint32_t kind) {
  switch (kind) {
    case RTV_RESAMPLER_FIR:
      return ResamplerKind::kFir;
    case RTV_RESAMPLER_FASTEST:
      return ResamplerKind::kLibsamplerateFastest;
    case RTV_RESAMPLER_MEDIUM:
      return ResamplerKind::kLibsamplerateMedium;
    case RTV_RESAMPLER_BEST:
      return ResamplerKind::kLibsamplerateBest;
    case RTV_RESAMPLER_FIR_SHORT:
      return ResamplerKind::kFirShort;
    default:
      return ResamplerKind::kAuto;
  }
}

// One line, empty when all is well.
[[gnu::cold]] std::string check_config(const rtv_config& c) {
  const auto range = [](const char* what, double value, double low, double high) {
    return value >= low && value <= high
               ? std::string()
               : std::string(what) + " must be " + std::to_string(static_cast<long long>(low)) + " to " +
                     std::to_string(static_cast<long long>(high)) + ", it is " +
                     std::to_string(static_cast<long long>(value));
  };
  std::string bad = range("sample_rate", c.sample_rate, 8000, 192000);
  if (bad.empty()) bad = range("max_frame", c.max_frame, 1, 65536);
  if (bad.empty()) bad = range("channels", c.channels, 1, 32);
  if (bad.empty() && c.block != 0) bad = range("block", c.block, 1, c.max_frame);
  if (bad.empty()) bad = range("resampler", c.resampler, 0, RTV_RESAMPLER_FIR_SHORT);
  if (bad.empty()) bad = range("schedule", c.schedule, 0, RTV_SCHEDULE_SLICED);
  if (bad.empty()) bad = range("overload", c.overload, 0, RTV_OVERLOAD_DRY);
  if (bad.empty() && !(c.fade_ms >= 0.0f && c.fade_ms <= 1000.0f)) bad = "fade_ms must be 0 to 1000";
  return bad;
}

// Frames of the dry signal's ring, a power of two.
size_t dry_capacity(int64_t latency, const rtv_config& config) {
  size_t capacity = 1;
  while (capacity < static_cast<size_t>(latency) + config.max_frame) capacity *= 2;
  return capacity;
}

constexpr double kMemoryLimit = 1073741824.0;  // bytes an engine may take, all channels together (docs/model-format.md)

}  // namespace

[[gnu::cold]] std::unique_ptr<Engine> Engine::make(const std::vector<std::shared_ptr<Model>>& tiers,
                                                   const rtv_config& config, rtv_status* status, std::string* error,
                                                   StreamShare* share) {
  *error = check_config(config);
  if (!error->empty()) {
    *status = RTV_ERROR_ARGUMENT;
    return nullptr;
  }
  std::unique_ptr<Engine> engine(new Engine(config, share));
  std::unique_ptr<Ladder> ladder = engine->make_ladder(tiers, -1, status, error);
  if (ladder == nullptr) return nullptr;
  engine->tell_memory(*ladder);
  const Pipeline& best = *ladder->tiers.front()->pipeline;
  engine->latency_ = best.latency();
  engine->latency_parts_ = best.latency_parts();
  const size_t capacity = dry_capacity(engine->latency_, config);
  engine->dry_mask_ = capacity - 1;
  engine->dry_ = AlignedFloats(capacity * config.channels);
  engine->bank_.store(best.bank());
  engine->tiers_.store(static_cast<uint32_t>(tiers.size()));
  if (tiers.size() > 1) {
    double costs[Governor::kMostTiers];
    for (size_t t = 0; t < tiers.size(); ++t) {
      const Plan& plan = ladder->tiers[t]->pipeline->plan();
      costs[t] = static_cast<double>(plan.info().macs_per_hop) * plan.graph().sample_rate / plan.graph().hop;
    }
    engine->governor_ = std::make_unique<Governor>(static_cast<double>(config.sample_rate), costs, tiers.size());
  }
  for (const std::shared_ptr<Model>& model : tiers) {
    const Graph& graph = model->graph();
    engine->created_with_.push_back({graph.name, graph.tier, graph.hash});
  }
  engine->active_ = ladder.release();
  engine->share_ = nullptr;
  // The first frame of the audio thread must not be the first to touch this code's pages.
  const std::vector<float> silence(engine->in_.size());
  std::vector<float> out(silence.size());
  engine->process(silence.data(), out.data(), config.block != 0 ? config.block : 1);
  engine->reset();
  return engine;
}

[[gnu::cold]] Engine::Engine(const rtv_config& config, StreamShare* share)
    : config_(config),
      channels_(config.channels),
      fade_frames_(std::max<size_t>(1, static_cast<size_t>(std::lround(config.fade_ms * 1e-3 * config.sample_rate)))),
      share_(share),
      ticks_per_second_(ticks_per_second()),
      in_(static_cast<size_t>(config.max_frame) * config.channels),
      wet_(in_.size()),
      wet_incoming_(in_.size()),
      delayed_(in_.size()),
      last_(config.channels),
      stopped_(config.channels) {}

[[gnu::cold]] Engine::~Engine() {
  end_log(true);
  delete active_;
  delete incoming_;
  delete pending_.load();
  delete retired_.load();
}

// By what a bank holds, not by whose it was: a pipeline indexes it by its own model's parameters.
[[gnu::cold]] ControlBank* Engine::bank_for(const Graph& graph) {
  for (const auto& bank : banks_) {
    if (bank->fits(graph)) return bank.get();
  }
  banks_.push_back(std::make_unique<ControlBank>(graph));
  return banks_.back().get();
}

// Values by name. A set() meanwhile writes `from` and then `to`; one that comes between our reading and our writing shows in the version.
[[gnu::cold]] void Engine::carry_over(const ControlBank& from, ControlBank* to) {
  for (const auto& control : to->parameters) {
    const Control* same = from.parameter(control->name().c_str());
    if (same == nullptr || same->size() != control->size()) continue;
    std::vector<float> values(same->size());
    uint32_t version = 0;
    do {
      version = same->version();
      same->read(values.data(), same->size());
      control->set(values.data(), control->size());
    } while (same->version() != version);
  }
}

[[gnu::cold]] std::unique_ptr<Engine::Stage> Engine::make_stage(std::shared_ptr<Model> model, int64_t latency,
                                                                rtv_status* status, std::string* error) {
  const FloatMode mode;  // packing and filter design round as the audio thread does, whatever the caller's mode
  PipelineConfig config;
  config.sample_rate = static_cast<int>(config_.sample_rate);
  config.max_frame = config_.max_frame;
  config.channels = channels_;
  config.block = config_.block;
  config.resampler = resampler_of(config_.resampler);
  config.seed = config_.seed;
  config.sliced = config_.schedule == RTV_SCHEDULE_SLICED;
  config.latency = latency;
  config.share = share_;
  *status = RTV_ERROR_MODEL;
  const BlockPlan blocks = plan_blocks(model->graph(), config);
  std::shared_ptr<const Plan> plan = model->plan(blocks.hops * blocks.max_blocks, error);
  if (plan == nullptr) return nullptr;
  auto stage = std::make_unique<Stage>();
  stage->model = std::move(model);
  ControlBank* bank = bank_for(stage->model->graph());
  if (ControlBank* now = bank_.load(); now != nullptr && now != bank) {
    next_bank_.store(bank);
    carry_over(*now, bank);
  }
  const double streams = static_cast<double>(channels_);
  const double ring =
      2.0 * (static_cast<double>(plan->latency()) * config.sample_rate / stage->model->graph().sample_rate +
             config_.max_frame + config_.sample_rate);
  const double bytes =
      static_cast<double>(plan->info().weight_bytes) +
      streams * (static_cast<double>(plan->info().state_bytes + plan->info().scratch_bytes) + ring * sizeof(float));
  if (bytes > kMemoryLimit) {
    *status = RTV_ERROR_MEMORY;
    *error = "model '" + stage->model->graph().name + "' with " + std::to_string(channels_) + " channels takes up to " +
             std::to_string(static_cast<long long>(bytes / 1048576.0)) +
             " MiB, more than 1024; use fewer channels or a shorter delay";
    return nullptr;
  }
  *status = RTV_ERROR_ARGUMENT;
  stage->pipeline = Pipeline::make(plan, bank, config, error);
  if (stage->pipeline == nullptr) return nullptr;
  if (latency >= 0 && stage->pipeline->latency() > latency) {
    *status = RTV_ERROR_LATENCY;
    *error = "the new model needs " + std::to_string(stage->pipeline->latency()) +
             " samples of latency, the engine has " + std::to_string(latency) +
             "; create the engine with the slower model first";
    return nullptr;
  }
  *status = RTV_OK;
  return stage;
}

[[gnu::cold]] rtv_status Engine::swap(std::shared_ptr<Model> model, std::string* error) {
  const std::lock_guard<std::mutex> lock(swap_mutex_);
  const auto busy = [&] {
    *error = "the model before is still fading in; try again after the fade";
    return RTV_ERROR_BUSY;
  };
  if (swapping_.load(std::memory_order_acquire) && pending_.load(std::memory_order_relaxed) == nullptr) return busy();
  rtv_status status = RTV_OK;
  std::unique_ptr<Ladder> ladder = make_ladder({std::move(model)}, latency_, &status, error);
  // Only now is a model replaced that no frame has fetched: had this one been refused, that one would still come.
  const std::unique_ptr<Ladder> unused(ladder == nullptr ? nullptr
                                                         : pending_.exchange(nullptr, std::memory_order_acquire));
  if (ladder != nullptr && unused == nullptr && swapping_.load(std::memory_order_acquire)) {
    ladder.reset();  // it was fetched while this one was made
    status = busy();
  }
  if (ladder != nullptr) {
    // After the check: a model is retired before its swap is over.
    delete retired_.exchange(nullptr, std::memory_order_acquire);
    tell_memory(*ladder);
    bank_.store(ladder->stage().pipeline->bank());
  }
  next_bank_.store(nullptr);
  if (ladder == nullptr) return status;
  swapping_.store(true, std::memory_order_relaxed);
  pending_.store(ladder.release(), std::memory_order_release);
  return RTV_OK;
}

rtv_status Engine::set(const char* name, const float* values, uint32_t count) noexcept {
  if (std::strcmp(name, "mix") == 0) {
    if (count != 1 || !std::isfinite(values[0])) return RTV_ERROR_ARGUMENT;
    mix_.store(std::min(std::max(values[0], 0.0f), 1.0f), std::memory_order_relaxed);
    return RTV_OK;
  }
  // While a swap prepares, the next model's bank gets the value too; when the banks change under us, once more. In one order with swap's own
  // stores (sequentially consistent), so that no value is lost in between.
  bool set = false;
  for (int attempt = 0; attempt < 4; ++attempt) {
    ControlBank* bank = bank_.load();
    Control* control = bank->parameter(name);
    set = control != nullptr && control->set(values, count);
    if (ControlBank* next = next_bank_.load(); next != nullptr && next != bank) {
      if (Control* other = next->parameter(name)) other->set(values, count);
    }
    if (bank_.load() == bank) break;
  }
  return set ? RTV_OK : RTV_ERROR_ARGUMENT;
}

uint32_t Engine::output(const char* name, float* values, uint32_t capacity) const noexcept {
  const Control* control = bank_.load(std::memory_order_acquire)->output(name);
  if (control == nullptr) return 0;
  if (capacity != 0) control->read(values, capacity);
  return control->size();
}

void Engine::finish_swap() noexcept {
  retired_.store(active_, std::memory_order_release);
  active_ = incoming_;
  incoming_ = nullptr;
  shift_ = Shift::kNone;
  tier_.store(0, std::memory_order_relaxed);
  tiers_.store(static_cast<uint32_t>(active_->tiers.size()), std::memory_order_relaxed);
  held_tier_.store(RTV_TIER_AUTO, std::memory_order_relaxed);
  held_taken_ = RTV_TIER_AUTO;
  swapping_.store(false, std::memory_order_release);
}

// The input as late as the wet signal is. The ring holds the latency and a frame, so that all is written before anything is read.
void Engine::delay_dry(size_t frames) noexcept {
  ring_write(dry_.data(), dry_mask_, dry_write_, in_.data(), frames, channels_);
  ring_read(dry_.data(), dry_mask_, dry_write_ - static_cast<size_t>(latency_), delayed_.data(), frames, channels_);
  dry_write_ += frames;
}

// An analyser leaves the audio as it is.
void Engine::leave_as_is(const Stage& stage, float* wet, size_t frames) noexcept {
  if (!stage.pipeline->has_audio_output()) std::memcpy(wet, delayed_.data(), frames * channels_ * sizeof(float));
}

void Engine::run_stage(Stage& stage, float* wet, size_t frames) noexcept {
  stage.pipeline->pull_parameters(false);
  statistics_.count_nonfinite(stage.pipeline->process(in_.data(), wet, frames));
  leave_as_is(stage, wet, frames);
}

void Engine::fetch_swap() noexcept {
  fetched_ = false;
  if (incoming_ != nullptr || pending_.load(std::memory_order_relaxed) == nullptr) return;
  incoming_ = pending_.exchange(nullptr, std::memory_order_acquire);
  fetched_ = incoming_ != nullptr;
  swap_frame_ = 0;
  // The new model hears the input for its latency and 20 ms more before it is heard.
  prime_frames_ = prime_length();
}

// Once a call. A new model begins with the values of now, whatever they were while it was prepared.
void Engine::take_controls() noexcept {
  ControlBank* bank = active_->stage().pipeline->bank();
  bank->take();
  if (incoming_ != nullptr) {
    Pipeline& next = *incoming_->stage().pipeline;
    if (next.bank() != bank) next.bank()->take();
    if (fetched_) next.restart_parameters();
  }
  mix_taken_ = mix_.load(std::memory_order_relaxed);
  bypass_taken_ = bypass_.load(std::memory_order_relaxed);
  held_taken_ = held_tier_.load(std::memory_order_relaxed);
}

// The wet signal, of both models while one fades into the other.
void Engine::run_models(size_t frames) noexcept {
  run_ladder(frames);
  if (incoming_ == nullptr) return;
  run_stage(incoming_->stage(), wet_incoming_.data(), frames);
  for (size_t i = 0; i < frames; ++i, ++swap_frame_) {
    if (swap_frame_ < prime_frames_) continue;
    const float share =
        std::min(1.0f, static_cast<float>(swap_frame_ - prime_frames_ + 1) / static_cast<float>(fade_frames_));
    for (size_t c = 0; c < channels_; ++c) {
      float& wet = wet_.data()[i * channels_ + c];
      wet = faded(wet, wet_incoming_.data()[i * channels_ + c], share);
    }
  }
  if (swap_frame_ >= prime_frames_ + fade_frames_) finish_swap();
}

// Dry and wet, each as late as the other.
void Engine::mix(float* out, size_t frames) noexcept {
  const float target = bypass_taken_ ? 0.0f : mix_taken_;
  if (target != gain_target_) {
    gain_target_ = target;
    gain_left_ = fade_frames_;
    gain_step_ = (target - gain_) / static_cast<float>(fade_frames_);
  }
  if (gain_left_ == 0 && (gain_ == 1.0f || gain_ == 0.0f)) {
    std::memcpy(out, (gain_ == 1.0f ? wet_ : delayed_).data(), frames * channels_ * sizeof(float));
    return;
  }
  for (size_t i = 0; i < frames; ++i) {
    if (gain_left_ != 0) {
      --gain_left_;
      gain_ = gain_left_ == 0 ? gain_target_ : gain_ + gain_step_;
    }
    for (size_t c = 0; c < channels_; ++c) {
      const float wet = wet_.data()[i * channels_ + c], dry = delayed_.data()[i * channels_ + c];
      out[i * channels_ + c] = gain_ == 1.0f ? wet : gain_ == 0.0f ? dry : dry + (wet - dry) * gain_;
    }
  }
}

bool Engine::refuses(uint32_t frames) const noexcept {
  return frames > config_.max_frame || (config_.block != 0 && frames != config_.block);
}

// Before the first frame nothing was heard: parameters, mix and bypass are where they were set, without a way there.
void Engine::settle() noexcept {
  gain_target_ = bypass_taken_ ? 0.0f : mix_taken_;
  gain_ = gain_target_;
  gain_left_ = 0;
  active_->stage().pipeline->pull_parameters(true);
}

void Engine::take_in(const float* in, uint32_t frames) noexcept {
  if (dry_write_ == 0) settle();
  statistics_.count_nonfinite(copy_finite(in, in_.data(), frames * channels_));
  delay_dry(frames);
}

// Nothing to do, or a frame that was not agreed on.
rtv_status Engine::turn_away(float* out, uint32_t frames) noexcept {
  const rtv_status status = frames == 0 ? RTV_OK : RTV_ERROR_FRAME_SIZE;
  if (frames != 0) std::memset(out, 0, static_cast<size_t>(frames) * channels_ * sizeof(float));
  if (tap_.load(std::memory_order_relaxed) != nullptr) {
    fetched_ = false;
    open_log(nullptr, frames, read_ticks());
    close_log(nullptr, 0, 0, 0.0, status);
  }
  return status;
}

rtv_status Engine::process(const float* in, float* out, uint32_t frames) noexcept {
  if (frames == 0 || refuses(frames)) return turn_away(out, frames);
  const FloatMode mode;  // to the end: the budget's division would raise the caller's inexact flag
  const uint64_t start = read_ticks();
  fetch_swap();
  take_controls();
  if (tap_.load(std::memory_order_relaxed) != nullptr) open_log(in, frames, start);
  take_in(in, frames);
  run_models(frames);
  mix(out, frames);
  // Finite but absurd samples may overflow in a resampler or in the mix.
  if (!mend_not_finite(out, frames * channels_)) statistics_.count_nonfinite(1);
  const double budget = static_cast<double>(frames) / config_.sample_rate * ticks_per_second_;
  const uint64_t ticks = read_ticks() - start;
  statistics_.record(frames, ticks, static_cast<uint64_t>(budget));
  govern(frames, static_cast<double>(ticks) / budget);
  if (logging_ != nullptr) close_log(out, frames, ticks, budget, RTV_OK);
  return RTV_OK;
}

Pipeline* Engine::begin(const float* in, uint32_t frames) noexcept {
  Pipeline& pipeline = *active_->stage().pipeline;
  if (pipeline.sliced() || governor_ != nullptr || incoming_ != nullptr ||
      pending_.load(std::memory_order_relaxed) != nullptr)
    return nullptr;
  fetched_ = false;
  take_controls();
  if (tap_.load(std::memory_order_relaxed) != nullptr) open_log(in, frames, read_ticks());
  take_in(in, frames);
  pipeline.pull_parameters(false);
  pipeline.begin(in_.data(), wet_.data(), frames);
  return &pipeline;
}

void Engine::end(float* out, uint32_t frames, size_t nonfinite, uint64_t ticks) noexcept {
  leave_as_is(active_->stage(), wet_.data(), frames);
  keep_last(frames);
  mix(out, frames);
  statistics_.count_nonfinite(nonfinite + (mend_not_finite(out, frames * channels_) ? 0 : 1));
  const double budget = static_cast<double>(frames) / config_.sample_rate * ticks_per_second_;
  statistics_.record(frames, ticks, static_cast<uint64_t>(budget));
  if (logging_ != nullptr) close_log(out, frames, ticks, budget, RTV_OK);
}

void Engine::reset() noexcept {
  fetch_swap();
  take_controls();
  if (incoming_ != nullptr) finish_swap();
  reset_tiers();
  if (dry_.size() != 0) std::memset(dry_.data(), 0, dry_.bytes());
  dry_write_ = 0;
  settle();
  statistics_.reset();
  if (tap_.load(std::memory_order_relaxed) != nullptr) log_reset();
}

void Engine::stats(rtv_stats* out) const noexcept {
  const double ms = 1e3 / config_.sample_rate;
  out->struct_size = sizeof(rtv_stats);
  out->tier = tier_.load(std::memory_order_relaxed);
  out->tier_changes = tier_changes_.load(std::memory_order_relaxed);
  statistics_.describe(out, ticks_per_second_, config_.sample_rate);
  out->latency_model_ms = static_cast<float>(latency_parts_.model * ms);
  out->latency_resampler_ms = static_cast<float>(latency_parts_.resampler * ms);
  out->latency_buffering_ms = static_cast<float>(latency_parts_.buffering * ms);
  out->memory_weights = weight_bytes_.load(std::memory_order_relaxed);
  out->memory_state = state_bytes_.load(std::memory_order_relaxed);
  out->memory_scratch = scratch_bytes_.load(std::memory_order_relaxed);
}

}  // namespace rtvoice
