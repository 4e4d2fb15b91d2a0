// One model on one stream of frames of any size and rate.
#include "stream/pipeline.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "stream/samples.h"

namespace rtvoice {
namespace {

// Runs of this many samples at the model's rate keep the GEMM tiles full (12 rows reach 85 % of peak, 48 88 %) and the scratch inside L2.
constexpr size_t kRunSamples = 512;
// A call into libsamplerate costs more than a few samples: models with a shorter hop gather this many.
constexpr size_t kLeastResampled = 32;

uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

bool whole_ratio(int a, int b) { return a % b == 0 || b % a == 0; }

}  // namespace

[[gnu::cold]] BlockPlan plan_blocks(const Graph& graph, const PipelineConfig& config) {
  BlockPlan blocks;
  const size_t hop = static_cast<size_t>(graph.hop);
  const uint64_t host = static_cast<uint64_t>(config.sample_rate), model = static_cast<uint64_t>(graph.sample_rate);
  const bool fir = config.resampler == ResamplerKind::kAuto || config.resampler == ResamplerKind::kFir ||
                   config.resampler == ResamplerKind::kFirShort;
  const bool direct = host == model || (fir && whole_ratio(config.sample_rate, graph.sample_rate));
  blocks.hops = direct ? 1 : std::max<size_t>(1, ceil_div(kLeastResampled, hop));
  if (host < model && model % host == 0) {  // a block must hold whole host samples where it can
    const uint64_t ratio = model / host;
    while (direct && blocks.hops * hop % ratio != 0 && blocks.hops < ratio) ++blocks.hops;
  }
  blocks.model = blocks.hops * hop;
  blocks.constant = blocks.model * host % model == 0;
  blocks.host_max = ceil_div(blocks.model * host, model);
  if (blocks.constant && !config.sliced) {
    const size_t wanted = std::max<size_t>(1, kRunSamples / blocks.model);
    blocks.max_blocks = std::min<size_t>(wanted, config.max_frame / blocks.host_max + 1);
  }
  return blocks;
}

[[gnu::cold]] std::unique_ptr<Pipeline> Pipeline::make(std::shared_ptr<const Plan> plan, ControlBank* bank,
                                                       const PipelineConfig& config, std::string* error) {
  const BlockPlan blocks = plan_blocks(plan->graph(), config);
  std::unique_ptr<Pipeline> pipeline(new Pipeline(std::move(plan), bank, config, blocks));
  if (!pipeline->make_resamplers(config, error)) return nullptr;
  // Values as of now; the audio thread restarts them from its own copy before the first frame.
  std::vector<float> values;
  for (size_t p = 0; p < bank->parameters.size(); ++p) {
    values.resize(bank->parameters[p]->size());
    bank->parameters[p]->read(values.data(), bank->parameters[p]->size());
    for (Lane& lane : pipeline->lanes_) lane.instance->set_parameter(p, values.data(), true);
  }
  // Pages of code and data are touched, and symbols bound, before the audio thread's first frame.
  // Each number of blocks may take other tiles of the kernels; beyond 16 they repeat.
  pipeline->warm_up(blocks.max_blocks);
  for (size_t count = std::min<size_t>(blocks.max_blocks, 16); count != 0; --count) pipeline->warm_up(count);
  if (config.sliced) {
    for (size_t at = 0; at < 3 * blocks.host_max; ++at) {
      const std::vector<float> silence(config.channels, 0.0f);
      std::vector<float> out(config.channels);
      pipeline->process(silence.data(), out.data(), 1);
    }
  }
  pipeline->reset();
  return pipeline;
}

[[gnu::cold]] Pipeline::Pipeline(std::shared_ptr<const Plan> plan, ControlBank* bank, const PipelineConfig& config,
                                 const BlockPlan& blocks)
    : plan_(std::move(plan)),
      bank_(bank),
      blocks_(blocks),
      channels_(config.channels),
      host_rate_(config.sample_rate),
      model_rate_(plan_->graph().sample_rate) {
  const size_t model = blocks.model * blocks.max_blocks, host = blocks.host_max * blocks.max_blocks;
  host_out_ = AlignedFloats(host);
  seen_.assign(bank->parameters.size(), ~0u);
  has_audio_ = false;
  for (const Output& output : plan_->graph().outputs) has_audio_ |= output.audio;
  // Block boundaries repeat after this many blocks; between them they are rounded up to whole host samples.
  block_period_ = static_cast<uint64_t>(model_rate_) /
                  std::gcd(static_cast<uint64_t>(model_rate_), static_cast<uint64_t>(host_rate_) * blocks.model);
  lanes_.resize(channels_);
  StreamShare own(channels_);
  StreamShare& share = config.share != nullptr &&
                               (config.share->plan == nullptr || config.share->plan == plan_.get()) &&
                               config.share->taken + channels_ <= config.share->streams
                           ? *config.share
                           : own;
  if (share.memory == nullptr) {
    share.memory = std::make_shared<StreamMemory>(*plan_, share.streams);
    share.plan = plan_.get();
  }
  for (size_t c = 0; c < channels_; ++c) {
    // Channels are streams of their own: the same noise in all would sit in the middle.
    lanes_[c].instance =
        std::make_unique<Instance>(plan_, config.seed + 0x9e3779b97f4a7c15ull * c, share.memory, share.taken++);
    together_.push_back(lanes_[c].instance.get());
    lanes_[c].gather = AlignedFloats(host);
    lanes_[c].model_in = AlignedFloats(model);
    lanes_[c].model_out = AlignedFloats(model);
    if (config.sliced) lanes_[c].held = AlignedFloats(host);
  }
  sliced_ = config.sliced;
}

[[gnu::cold]] bool Pipeline::make_resamplers(const PipelineConfig& config, std::string* error) {
  const double ratio = static_cast<double>(host_rate_) / model_rate_;
  const size_t model = blocks_.model * blocks_.max_blocks, host = blocks_.host_max * blocks_.max_blocks;
  const size_t shared = config.block == 0 || !blocks_.constant ? 1 : std::gcd(config.block, blocks_.host_max);
  parts_.buffering = static_cast<double>(blocks_.host_max - shared);
  parts_.model = static_cast<double>(plan_->latency()) * ratio;
  double before = 0.0, after = 0.0, extra = 0.0;
  if (host_rate_ != model_rate_) {
    ResamplerConfig down{host_rate_, model_rate_, host, model, config.resampler, 0.0};
    ResamplerConfig up{model_rate_, host_rate_, model, host, config.resampler, 0.0};
    std::unique_ptr<Resampler> probe_down = make_resampler(down, error);
    std::unique_ptr<Resampler> probe_up = probe_down == nullptr ? nullptr : make_resampler(up, error);
    if (probe_up == nullptr) return false;
    before = probe_down->delay_in_samples();
    after = probe_up->delay_in_samples() * ratio;
    // The sum becomes whole on the way back. Blocks rounded up to whole host samples run ahead of the model by less than one.
    const double sum = parts_.model + before + after,
                 lead = blocks_.constant ? 0.0 : 1.0 - 1.0 / static_cast<double>(block_period_);
    extra = std::ceil(sum + lead - 1e-6) - sum;
    if (extra < 1e-9) extra = 0.0;
    up.extra_delay = extra / ratio;
    for (Lane& lane : lanes_) {
      lane.down = make_resampler(down, error);
      lane.up = lane.down == nullptr ? nullptr : make_resampler(up, error);
      if (lane.up == nullptr) return false;
    }
  }
  parts_.resampler = before + after + extra;
  if (sliced_) parts_.buffering += static_cast<double>(blocks_.host_max);
  latency_ = std::llround(parts_.model + parts_.resampler + parts_.buffering);
  prefill_ = static_cast<size_t>(parts_.buffering);
  if (config.latency > latency_) {
    prefill_ += static_cast<size_t>(config.latency - latency_);
    parts_.buffering += static_cast<double>(config.latency - latency_);
    latency_ = config.latency;
  }
  size_t capacity = 1;
  while (capacity < prefill_ + host + 1) capacity *= 2;
  fifo_mask_ = capacity - 1;
  for (Lane& lane : lanes_) lane.fifo = AlignedFloats(capacity);
  return true;
}

void Pipeline::reset() noexcept {
  for (Lane& lane : lanes_) {
    lane.instance->reset();
    if (lane.down != nullptr) lane.down->reset();
    if (lane.up != nullptr) lane.up->reset();
    std::memset(lane.fifo.data(), 0, lane.fifo.bytes());
  }
  fifo_read_ = 0;
  fifo_write_ = prefill_;
  pending_ = 0;
  block_index_ = 0;
  working_ = false;
}

void Pipeline::pull_parameters(bool jump) noexcept {
  for (size_t p = 0; p < seen_.size(); ++p) {
    const Control& control = *bank_->parameters[p];
    if (control.taken_version() == seen_[p]) continue;
    seen_[p] = control.taken_version();
    for (Lane& lane : lanes_) lane.instance->set_parameter(p, control.taken(), jump);
  }
}

void Pipeline::restart_parameters() noexcept {
  std::fill(seen_.begin(), seen_.end(), ~0u);
  pull_parameters(true);
}

// Host samples of the next block: boundaries lie at ceil(k * block * host_rate / model_rate).
size_t Pipeline::next_block() const noexcept {
  if (blocks_.constant) return blocks_.host_max;
  const uint64_t step = blocks_.model * static_cast<uint64_t>(host_rate_), rate = static_cast<uint64_t>(model_rate_);
  return ceil_div((block_index_ + 1) * step, rate) - ceil_div(block_index_ * step, rate);
}

// All lanes' networks, already started.
void Pipeline::run_instances(size_t hops) noexcept { Instance::run_together(together_.data(), together_.size(), hops); }

[[gnu::cold]] void Pipeline::warm_up(size_t blocks) noexcept {
  run_blocks_ = blocks;
  run_take_ = 0;
  pending_ = blocks * blocks_.host_max;
  run_instances(start_run());
  settle();
}

void Pipeline::store(Lane& lane, const float* samples, size_t count) noexcept {
  ring_write(lane.fifo.data(), fifo_mask_, fifo_write_, samples, count);
}

void Pipeline::take_in(const float* in, size_t frames) noexcept {
  if (channels_ == 1) {
    std::memcpy(lanes_[0].gather.data() + pending_, in, frames * sizeof(float));
    pending_ += frames;
    return;
  }
  for (size_t c = 0; c < channels_; ++c) {
    float* gather = lanes_[c].gather.data() + pending_;
    const float* from = in + c;
    for (size_t i = 0; i < frames; ++i) gather[i] = from[i * channels_];
  }
  pending_ += frames;
}

void Pipeline::hand_out(float* out, size_t frames) noexcept {
  if (channels_ == 1) {
    ring_read(lanes_[0].fifo.data(), fifo_mask_, fifo_read_, out, frames);
    fifo_read_ += frames;
    return;
  }
  for (size_t c = 0; c < channels_; ++c) {
    const float* fifo = lanes_[c].fifo.data();
    float* to = out + c;
    for (size_t i = 0; i < frames; ++i) to[i * channels_] = fifo[(fifo_read_ + i) & fifo_mask_];
  }
  fifo_read_ += frames;
}

void Pipeline::publish() noexcept {
  for (size_t i = 0; i < bank_->outputs.size(); ++i) {
    if (bank_->outputs[i] != nullptr) bank_->outputs[i]->publish(lanes_[0].instance->output_frame(i));
  }
}

size_t Pipeline::process(const float* in, float* out, size_t frames) noexcept {
  return sliced_ ? process_sliced(in, out, frames) : process_inline(in, out, frames);
}

size_t Pipeline::process_inline(const float* in, float* out, size_t frames) noexcept {
  size_t silenced = 0;
  begin(in, out, frames);
  while (const size_t hops = advance()) {
    run_instances(hops);
    silenced += settle();
  }
  return silenced;
}

void Pipeline::begin(const float* in, float* out, size_t frames) noexcept {
  frame_in_ = in;
  frame_out_ = out;
  frame_size_ = frames;
  frame_done_ = 0;
}

size_t Pipeline::advance() noexcept {
  const size_t rest = frame_size_ - frame_done_, block = next_block();
  run_blocks_ = std::min((pending_ + rest) / block, blocks_.constant ? blocks_.max_blocks : size_t{1});
  run_take_ = run_blocks_ != 0 ? run_blocks_ * block - pending_ : rest;
  take_in(frame_in_ + frame_done_ * channels_, run_take_);
  if (run_blocks_ != 0) return start_run();
  hand_out(frame_out_ + frame_done_ * channels_, rest);
  frame_done_ = frame_size_;
  publish();
  return 0;
}

// What was gathered goes to the networks.
size_t Pipeline::start_run() noexcept {
  const size_t hops = run_blocks_ * blocks_.hops;
  for (Lane& lane : lanes_) {
    if (lane.down != nullptr)
      lane.down->process(lane.gather.data(), pending_, lane.model_in.data(), run_blocks_ * blocks_.model);
    lane.instance->start(lane.down != nullptr ? lane.model_in.data() : lane.gather.data(), hops);
  }
  return hops;
}

size_t Pipeline::settle() noexcept {
  size_t silenced = 0;
  for (Lane& lane : lanes_) silenced += take_result(lane, lane.gather, run_blocks_, pending_);
  fifo_write_ += pending_;
  pending_ = 0;
  block_index_ = (block_index_ + run_blocks_) % block_period_;
  if (run_take_ != 0) hand_out(frame_out_ + frame_done_ * channels_, run_take_);
  frame_done_ += run_take_;
  return silenced;
}

// From a lane's network, whose steps have run, to its fifo. `gathered`: what it was started with, at the host's rate.
size_t Pipeline::take_result(Lane& lane, AlignedFloats& gathered, size_t blocks, size_t host_samples) noexcept {
  const size_t model = blocks * blocks_.model;
  const float* in = lane.down != nullptr ? lane.model_in.data() : gathered.data();
  float* out = lane.model_out.data();
  const size_t silenced = lane.instance->finish(in, has_audio_ ? out : nullptr, blocks * blocks_.hops);
  if (!has_audio_) std::memset(out, 0, model * sizeof(float));
  if (lane.up != nullptr) lane.up->process(out, model, host_out_.data(), host_samples);
  store(lane, lane.up != nullptr ? host_out_.data() : out, host_samples);
  return silenced;
}

// While one block is gathered, the work of the one before keeps pace with it, sample by sample: how much is done depends on how many samples have
// come, never on the clock, so that the load is flat and the bits are those of doing it at once.
size_t Pipeline::process_sliced(const float* in, float* out, size_t frames) noexcept {
  size_t silenced = 0;
  for (size_t done = 0; done < frames;) {
    const size_t block = next_block(), take = std::min(frames - done, block - pending_);
    take_in(in + done * channels_, take);
    silenced += work_until(static_cast<double>(pending_) / static_cast<double>(block));
    if (pending_ == block) {
      for (Lane& lane : lanes_) lane.gather.swap(lane.held);
      working_ = true;
      job_samples_ = block;
      job_lane_ = 0;
      job_step_ = 0;
      job_started_ = false;
      pending_ = 0;
      block_index_ = (block_index_ + 1) % block_period_;
    }
    hand_out(out + done * channels_, take);
    done += take;
  }
  if (!working_) publish();
  return silenced;
}

double Pipeline::work_done() const noexcept {
  if (!working_) return 1.0;
  const double lane = job_step_ == 0 ? 0.0 : plan_->progress()[job_step_ - 1];
  return (static_cast<double>(job_lane_) + lane) / static_cast<double>(channels_);
}

// Steps of the block in work, as long as all of them up to then are within `share` of the whole; with 1 it is finished.
size_t Pipeline::work_until(double share) noexcept {
  if (!working_) return 0;
  const std::vector<double>& progress = plan_->progress();
  const double lanes = static_cast<double>(channels_);
  size_t silenced = 0;
  while (job_lane_ < channels_) {
    Lane& lane = lanes_[job_lane_];
    // A lane's first and last moments, resampling included, count as part of its first and last step.
    size_t until = job_step_;
    while (until < progress.size() && (static_cast<double>(job_lane_) + progress[until]) / lanes <= share) ++until;
    if (share >= 1.0) until = progress.size();
    if (until == job_step_ && until < progress.size()) return silenced;
    if (!job_started_) {
      if (lane.down != nullptr) lane.down->process(lane.held.data(), job_samples_, lane.model_in.data(), blocks_.model);
      lane.instance->start(lane.down != nullptr ? lane.model_in.data() : lane.held.data(), blocks_.hops);
      job_started_ = true;
    }
    lane.instance->run_steps(until);
    job_step_ = until;
    if (until < progress.size()) return silenced;
    silenced += take_result(lane, lane.held, 1, job_samples_);
    ++job_lane_;
    job_step_ = 0;
    job_started_ = false;
  }
  fifo_write_ += job_samples_;
  working_ = false;
  publish();
  return silenced;
}

}  // namespace rtvoice
