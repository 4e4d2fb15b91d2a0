// A compiled network: a flat list of kernel calls over three arenas (weights, shared; state and scratch, one stream's).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/graph.h"
#include "plan/aligned.h"
#include "plan/infer.h"
#include "simd/kernels.h"

namespace rtvoice {

// Floats from one row of a value to the next. 16 floats are one AVX-512 vector and a cache line; narrow values stay narrow.
constexpr size_t row_floats(int64_t channels) {
  return channels == 1 ? 1 : channels <= 4 ? 4 : channels <= 8 ? 8 : (static_cast<size_t>(channels) + 15) / 16 * 16;
}

// Where a value lives. Values that somebody reads late keep `history` rows: compact (rows before this run's, saved between runs) while
// history <= one hop's rows, else a ring whose first rows are mirrored behind its end, so that every window is contiguous.
struct SlotSpec {
  uint32_t channels = 0, ld = 0, frames = 0;  // frames per hop
  uint32_t history = 0;                       // rows
  uint32_t ring = 0;                          // rows, a power of two; 0: compact or no history
  uint32_t mirror = 0;                        // rows
  size_t base = 0;                            // floats from the start of scratch; of state for rings
  size_t saved = 0;                           // floats from the start of state (compact history)
  uint32_t rows_after = 0;                    // rows beyond a run's that one window may span
  uint64_t delay = 0;                         // rows that are zero at the start
  bool in_loop = false;                       // a row at a time, in its own time
  uint32_t rows_at_once = 0;                  // in a loop: rows that one step writes ahead; 0: one
};

struct StepSpec;
class Instance;
using StepFn = void (*)(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;

// What happens to a product on its way out.
struct StepEnd {
  simd::Epilogue epilogue;  // residual: input number `residual`, or -1
  int residual = -1;
  size_t act_p = 0, act_q = 0;  // floats in the weight arena: channelwise parameters, one of each per column
  bool act_channelwise = false;
  bool residual_still = false;  // one row for all
  int film = -1;                // number of the input that holds gamma, a control; beta's is the next one; or -1
  size_t film_shares = 0;       // floats in the weight arena: how far a control's ramp is with each row
};

// One call. Which fields count is the step function's business; offsets point into the arenas. What every run reads comes first.
struct StepSpec {
  StepFn run = nullptr;
  uint32_t product = 0;      // of is_product: its number among them
  uint32_t out = 0;          // slot
  int out_b = -1;            // slot of a second layer in the same product, or -1
  bool commits = true;       // whether `out` has a history or a start that is silence
  int node = -1;             // of the graph: the last one fused in
  int node_b = -1;           // the second layer, or -1
  std::vector<uint32_t> in;  // slots
  std::vector<int64_t> lag;  // per input
  size_t weights = 0, bias = 0, extra = 0, extra_bias = 0, candidate = 0;  // floats in the weight arena
  bool has_bias = false, half = false, half_extra = false;                 // float16: weights; extra and candidate
  size_t state = 0, state_floats = 0;                                      // floats in the state arena
  size_t scratch = 0, scratch_per_hop = 0, scratch_floats = 0;  // floats in the scratch arena, a hop's and others
  // Windows over the input: `taps` segments of `seg_len` floats, `tap_rows` rows apart, rows `stride` apart.
  size_t taps = 1, seg_len = 0, tap_rows = 1, stride = 1, cols = 0, hidden = 0;
  std::vector<simd::PanelRange> ranges;
  StepEnd end, end_b;
  size_t cols_a = 0;  // where the second layer's columns begin
  simd::Unary unary = simd::Unary::kNone, unary_b = simd::Unary::kNone;
  simd::Binary binary = simd::Binary::kAdd;
  simd::Channelwise channelwise = simd::Channelwise::kAffine;
  bool flag = false;  // rms norm, GRU form, linear or half-pixel mode, gaussian, channel order
  float a = 0.0f, b = 0.0f;
  uint32_t start = 0, factor = 1, stream = 0;
  // conv_bands: bands made of rows of `band_floats` floats, `width` of them with the padding, `pad` of it in front; `channels` a band's outputs.
  // `frame_taps` frames of `band_taps` bands, `band_step` apart.
  size_t band_floats = 0, width = 0, pad = 0, channels = 0, frame_taps = 1, band_taps = 1, band_step = 1, bands_out = 0;
  size_t parts = 1;    // products beside each other, each with its own inputs; `cols` and `seg_len` are those of one
  uint64_t delay = 0;  // recurrent: frames before their own time 0; upsample: the input's
};

// A loop's steps run frame by frame, each time over one row of slots of their own; rows come in and go out by copies.
struct LoopSpec {
  struct Input {  // row t of `to` is row t / factor of `from`, `lag` rows back; copied when that changes
    uint32_t from, to;
    int64_t lag;
    uint32_t factor;
  };
  struct Output {
    uint32_t from, to;
  };
  struct Recall {  // what `from` holds at a frame's end `to` holds in the next one
    uint32_t from, to;
    size_t state;  // floats in the state arena
  };
  // What reads only frames kAhead or more back runs for so many frames at once, in front of them: its weights are read once for all.
  static constexpr size_t kAhead = 8;
  std::vector<StepSpec> ahead;
  std::vector<StepSpec> steps;
  // The steps in groups: products that follow each other, in one call of the kernels; or a single step.
  struct Run {
    uint32_t first, count;
    bool products;
    std::vector<uint32_t> kept;  // slots with a history that its products write
  };
  std::vector<Run> runs;
  std::vector<Input> inputs;
  std::vector<Output> outputs;
  std::vector<Recall> recalls;
  struct Counted {        // a slot whose rows are counted: rings, and what is drawn
    uint32_t slot, mask;  // mask: the ring's rows less 1; 0: none
  };
  std::vector<Counted> counted;
  size_t frames = 0;   // a hop
  uint64_t delay = 0;  // frames before its own time 0, in which it does not run
  // It counts as `turns` steps of the plan, behind the first `first` ones, so that its work can be spread over time.
  size_t first = 0, turns = 0;
};

struct LayerInfo {
  std::string name, op, fused_into;
  std::vector<std::string> inputs;
  int64_t channels = 0, frames = 0, delay = 0, macs = 0;
};

// What `rtvoice info` shows.
struct PlanInfo {
  int64_t latency = 0, macs_per_hop = 0, parameter_count = 0;
  double receptive_field = 0.0;  // in samples; infinite with a recurrent layer
  size_t weight_bytes = 0, state_bytes = 0, scratch_bytes = 0;
  std::vector<LayerInfo> layers;
};

struct PlanOutput {
  std::string name;
  uint32_t slot = 0;
  bool audio = true;
};

// What a recurrent cell starts from, where that is not zero.
struct InitialState {
  size_t offset = 0;  // in the state
  std::vector<float> values;
};

// Immutable after compile; shared by all engines of a model.
class Plan {
 public:
  // What each step costs of one hop's work, for spreading it over time: running totals, the last one 1.
  const std::vector<double>& progress() const { return progress_; }
  // `max_hops`: the most hops that one run processes. Null and one line in `error` on failure. [main-thread]
  static std::shared_ptr<const Plan> compile(std::shared_ptr<const Graph> graph, size_t max_hops, std::string* error);
  // The same for another number of hops, with the same weights: packing them is what takes time and memory. [main-thread]
  std::shared_ptr<const Plan> for_hops(size_t max_hops, std::string* error) const;

  const Graph& graph() const { return *graph_; }
  const PlanInfo& info() const { return info_; }
  size_t max_hops() const { return max_hops_; }
  // How many pieces a run has; `progress` has one number for each.
  size_t pieces() const { return steps_.size() + loop_.turns; }
  int64_t latency() const { return info_.latency; }

 private:
  friend class Compiler;
  friend class Instance;
  friend class StreamMemory;
  friend struct StepAccess;
  std::shared_ptr<const Graph> graph_;
  Timing timing_;
  size_t max_hops_ = 1;
  const simd::Kernels* kernels_ = nullptr;
  std::vector<SlotSpec> slots_;  // slot 0: the audio input; then the parameters
  std::vector<StepSpec> steps_;
  LoopSpec loop_;
  std::vector<double> progress_;
  std::vector<PlanOutput> outputs_;
  int audio_output_ = -1;  // index in outputs_
  std::shared_ptr<const WeightArena> weights_;
  std::vector<InitialState> initial_;
  size_t step_state_floats_ = 0;  // of state_floats_: what steps keep for themselves
  size_t state_floats_ = 0, scratch_floats_ = 0, max_segments_ = 1, num_products_ = 0;
  PlanInfo info_;
};

// State and scratch of `streams` streams of one plan, at equal distances: where streams keep step, one kernel call serves them all.
class StreamMemory {
 public:
  StreamMemory(const Plan& plan, size_t streams);  // [main-thread]
  size_t streams() const { return streams_; }
  size_t distance() const noexcept RTV_NONBLOCKING {
    return distance_;
  }  // floats from one stream's memory to the next one's
  float* of(size_t stream) { return floats_.data() + stream * distance_; }

 private:
  friend class Instance;
  size_t streams_, distance_;
  AlignedFloats floats_;
  uint64_t turn_ = 0;  // hops run by the stream that ran last: where a stream that starts afresh joins the others
};

// One stream.
class Instance {
 public:
  // As stream number `index` of `memory`; without it, in memory of its own. [main-thread]
  Instance(std::shared_ptr<const Plan> plan, uint64_t seed, std::shared_ptr<StreamMemory> memory = nullptr,
           size_t index = 0);

  // hops*hop samples in and out; out may be null (a model without audio output). Returns how many hops had to be silenced: one whose output
  // or recurrent state is not finite is silence, and the stream starts afresh behind it, however the hops are grouped. [audio-thread]
  size_t run(const float* in, float* out, size_t hops) noexcept RTV_NONBLOCKING;
  // The same in pieces, with the same bits: start, then steps up to (not including) `until`, then finish with what `start` was given. [audio-thread]
  void start(const float* in, size_t hops) noexcept RTV_NONBLOCKING;
  void run_steps(size_t until) noexcept RTV_NONBLOCKING;
  size_t finish(const float* in, float* out, size_t hops) noexcept RTV_NONBLOCKING;
  // All steps of several streams of one plan, each started with `hops`: products with few rows for all streams at once, the rest stream by stream.
  // The bits are those of each alone. [audio-thread]
  static void run_together(Instance* const* streams, size_t count, size_t hops) noexcept RTV_NONBLOCKING;
  void reset() noexcept RTV_NONBLOCKING;  // [audio-thread]
  // New target of parameter `index`; jumps when `jump`. [audio-thread]
  void set_parameter(size_t index, const float* values, bool jump) noexcept RTV_NONBLOCKING;
  // The newest frame of output `index`, valid until the next run. [audio-thread]
  const float* output_frame(size_t index) const noexcept RTV_NONBLOCKING;
  const Plan& plan() const { return *plan_; }

 private:
  friend struct StepAccess;
  struct Slot {
    const SlotSpec* spec;
    float* base;
    float* saved;
    uint32_t pos;    // ring row of this run's first frame
    uint64_t frame;  // rows written before this run
  };
  struct Ramp {
    size_t offset, size;  // in ramps_data_: current, target, step
    uint32_t remaining, steps;
  };
  // A product's call, ready but for the number of rows and for what lies in rings.
  struct Product {
    simd::GemmArgs args;
    simd::GemmPart part;
    size_t rows = 0;  // of a hop
    uint32_t first_place = 0, num_places = 0;
  };
  // A pointer of a product's call that a ring moves on with every run.
  struct Place {
    const float** pointer;
    const float* base;
    uint32_t slot, mask, ld;
    int64_t lag;
  };
  struct Floats {  // a part of memory_
    float* first;
    size_t count;
    float* data() const noexcept RTV_NONBLOCKING { return first; }
    size_t size() const noexcept RTV_NONBLOCKING { return count; }
    size_t bytes() const noexcept RTV_NONBLOCKING { return count * sizeof(float); }
  };
  void fill_parameters(size_t hops) noexcept RTV_NONBLOCKING;
  void run_step(const StepSpec& step, size_t hops) noexcept RTV_NONBLOCKING;
  void run_loop(size_t begin, size_t end) noexcept RTV_NONBLOCKING;  // turns; run_loop.cc
  void run_products(const LoopSpec::Run& run) noexcept RTV_NONBLOCKING;
  size_t enter_loop(size_t t, size_t next) noexcept RTV_NONBLOCKING;
  void prepare_products();
  bool keeps_step_with(const Instance& before) const noexcept RTV_NONBLOCKING;
  static void run_shared(const StepSpec& step, Instance* const* streams, size_t count,
                         size_t hops) noexcept RTV_NONBLOCKING;
  size_t end(float* out, size_t hops) noexcept RTV_NONBLOCKING;
  size_t resume(const float* in, float* out, size_t hops, size_t done) noexcept RTV_NONBLOCKING;
  void commit(Slot& slot, size_t rows) noexcept RTV_NONBLOCKING;
  void zero() noexcept RTV_NONBLOCKING;
  static bool is_finite(const float* values, size_t count) noexcept RTV_NONBLOCKING;

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<StreamMemory> memory_;
  size_t index_;  // of this stream in memory_
  Floats state_, scratch_;
  AlignedFloats snapshot_;  // a prewarmed model's start
  std::vector<Slot> slots_, snapshot_slots_;
  std::vector<Ramp> ramps_;
  std::vector<float> ramp_data_;
  std::vector<const float*> segments_, product_segments_;
  std::vector<Product> products_;             // in the plan's order
  std::vector<const simd::GemmArgs*> calls_;  // theirs
  std::vector<Place> places_;
  uint64_t seed_ = 0;
  uint64_t turn_ = 0, snapshot_turn_ = 0;                  // hops run: with it go the positions of all rings
  size_t last_hops_ = 0, batch_hops_ = 0, next_step_ = 0;  // of the run in progress
  uint64_t loop_frame_ = 0, snapshot_loop_frame_ = 0;      // of the loop, before this run
  size_t loop_hop_ = 0;                                    // of this batch: the one that the loop is in
  size_t good_hops_ = 0;  // of this batch: those before the first recurrent state that is not finite
};

}  // namespace rtvoice
