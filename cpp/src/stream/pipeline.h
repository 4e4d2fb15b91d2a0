// One model on one stream of frames of any size and rate: gather whole hops, resample, run the plan, resample back, hand out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plan/aligned.h"
#include "plan/plan.h"
#include "stream/controls.h"
#include "stream/resampler.h"

namespace rtvoice {

// Where the streams of several pipelines lie side by side, so that their networks can run together.
struct StreamShare {
  explicit StreamShare(size_t most) : streams(most) {}
  size_t streams, taken = 0;  // channels of all pipelines together
  std::shared_ptr<StreamMemory> memory;
  const Plan* plan = nullptr;  // whose memory it is
};

struct PipelineConfig {
  int sample_rate = 48000;
  size_t max_frame = 1024;
  size_t channels = 1;
  size_t block = 0;  // 0: any
  ResamplerKind resampler = ResamplerKind::kAuto;
  uint64_t seed = 0;
  int64_t latency = -1;          // wanted, in host samples: padded up to it; -1: the least
  bool sliced = false;           // a block's work is spread over the time in which the next one is gathered
  StreamShare* share = nullptr;  // of several pipelines of one plan: memory side by side
};

struct LatencyParts {  // in host samples
  double model = 0.0, resampler = 0.0, buffering = 0.0;
};

// Sizes of the blocks that the pipeline runs on, fixed by the rates.
struct BlockPlan {
  size_t hops = 1;        // model hops per block
  size_t model = 0;       // model samples per block
  size_t host_max = 0;    // host samples per block, largest
  bool constant = true;   // every block has host_max samples
  size_t max_blocks = 1;  // blocks that one run may take at once (constant only)
};
BlockPlan plan_blocks(const Graph& graph, const PipelineConfig& config);

class Pipeline {
 public:
  // Null and one line in `error`. `plan` must allow plan_blocks(...).hops * max_blocks hops. [main-thread]
  static std::unique_ptr<Pipeline> make(std::shared_ptr<const Plan> plan, ControlBank* bank,
                                        const PipelineConfig& config, std::string* error);

  // Interleaved; in == out allowed; frames <= max_frame. Returns how many hops had to be silenced. [audio-thread]
  size_t process(const float* in, float* out, size_t frames) noexcept RTV_NONBLOCKING;
  // The same in pieces, where several pipelines' networks run together. begin, then, until it gives 0: advance takes in samples up to the next run and
  // gives the hops that every lane's instance, already started, has to run; settle hands out what they made. Not sliced. [audio-thread]
  void begin(const float* in, float* out, size_t frames) noexcept RTV_NONBLOCKING;
  size_t advance() noexcept RTV_NONBLOCKING;
  size_t settle() noexcept RTV_NONBLOCKING;  // returns how many hops had to be silenced
  Instance* instance(size_t lane) const noexcept RTV_NONBLOCKING { return lanes_[lane].instance.get(); }
  size_t most_hops() const { return blocks_.hops * blocks_.max_blocks; }
  bool sliced() const noexcept RTV_NONBLOCKING { return sliced_; }
  void reset() noexcept RTV_NONBLOCKING;  // [audio-thread]
  // The bank's taken values, of those that changed since the last time; of all, without a way there. [audio-thread]
  void pull_parameters(bool jump) noexcept RTV_NONBLOCKING;
  void restart_parameters() noexcept RTV_NONBLOCKING;
  int64_t latency() const { return latency_; }
  const LatencyParts& latency_parts() const { return parts_; }
  const Plan& plan() const noexcept RTV_NONBLOCKING { return *plan_; }
  ControlBank* bank() const { return bank_; }
  bool has_audio_output() const { return has_audio_; }
  // Sliced: how much of the block in work is done, 0 to 1; 1 between two blocks. [audio-thread]
  double work_done() const noexcept RTV_NONBLOCKING;

 private:
  struct Lane {  // one channel
    std::unique_ptr<Instance> instance;
    std::unique_ptr<Resampler> down, up;  // towards the model, and back; null at equal rates
    AlignedFloats gather, fifo, model_in, model_out;
    AlignedFloats held;  // sliced: the block that is worked on
  };
  Pipeline(std::shared_ptr<const Plan> plan, ControlBank* bank, const PipelineConfig& config, const BlockPlan& blocks);
  bool make_resamplers(const PipelineConfig& config, std::string* error);
  size_t next_block() const noexcept RTV_NONBLOCKING;
  void take_in(const float* in, size_t frames) noexcept RTV_NONBLOCKING;
  void hand_out(float* out, size_t frames) noexcept RTV_NONBLOCKING;
  void store(Lane& lane, const float* samples, size_t count) noexcept RTV_NONBLOCKING;
  size_t process_inline(const float* in, float* out, size_t frames) noexcept RTV_NONBLOCKING;
  size_t process_sliced(const float* in, float* out, size_t frames) noexcept RTV_NONBLOCKING;
  size_t work_until(double share) noexcept RTV_NONBLOCKING;
  void publish() noexcept RTV_NONBLOCKING;
  size_t start_run() noexcept RTV_NONBLOCKING;
  size_t take_result(Lane& lane, AlignedFloats& gathered, size_t blocks, size_t host_samples) noexcept RTV_NONBLOCKING;
  void run_instances(size_t hops) noexcept RTV_NONBLOCKING;
  void warm_up(size_t blocks) noexcept RTV_NONBLOCKING;

  std::shared_ptr<const Plan> plan_;
  ControlBank* bank_;
  BlockPlan blocks_;
  size_t channels_;
  int host_rate_, model_rate_;
  bool has_audio_ = true;
  std::vector<Lane> lanes_;
  std::vector<Instance*> together_;  // one per lane
  AlignedFloats host_out_;
  std::vector<uint32_t> seen_;  // parameter versions
  size_t fifo_mask_ = 0, fifo_read_ = 0, fifo_write_ = 0;
  size_t prefill_ = 0;        // zeros in the fifo at the start
  size_t pending_ = 0;        // gathered samples
  uint64_t block_index_ = 0;  // modulo block_period_
  uint64_t block_period_ = 1;
  int64_t latency_ = 0;
  LatencyParts parts_;

  // The frame in progress, between begin and the advance that gives 0.
  const float* frame_in_ = nullptr;
  float* frame_out_ = nullptr;
  size_t frame_size_ = 0, frame_done_ = 0, run_take_ = 0, run_blocks_ = 0;

  // Sliced: the block in work, one lane after the other.
  bool sliced_ = false, working_ = false;
  size_t job_samples_ = 0, job_lane_ = 0, job_step_ = 0;  // host samples of the block; step 0 is still to be started
  bool job_started_ = false;                              // this lane's network
};

}  // namespace rtvoice
