// Any-ratio resampler over libsamplerate, with an exact delay and without surprises.
//
// libsamplerate's filter is symmetric and its first output sits at input position 0; it gives an output at position P
// once it holds more than half_length samples from floor(P) on. So the delay is ours to choose: we feed `zeros` zeros
// before the stream and let the stream's first output sit at position `start`; the delay is zeros - start. `start` is
// where one discarded output, taken at the step `start` instead of in_rate/out_rate, leaves the position. It may be any
// fraction.
//
// With as many zeros as that one output needs (half_length + 1) and start = max(step, 1), an output m is there as soon
// as (m + 1) * step samples came, with one step to spare; less would be possible only without the discarded output.
// That margin also takes up what libsamplerate's running position loses by rounding (under 1e-6 samples in ten hours
// of 44.1 to 48 kHz).
//
// An output depends on the samples around its position and on the position, which libsamplerate carries on exactly
// between calls: so the bits do not depend on the blocks. It copies no more than it has room for, thus a queue of our
// own in front.
#include "stream/resampler_libsamplerate.h"

#include <samplerate.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

// Its header knows nothing of effects. That these three allocate nothing, lock nothing and wait for nothing is shown at run time: interposed
// functions and guarded system calls (ctest -L rt-guard), RealtimeSanitizer's interceptors (ctest -L rt-rtsan).
extern "C" {
int src_process(SRC_STATE* state, SRC_DATA* data) RTV_NONBLOCKING;
int src_reset(SRC_STATE* state) RTV_NONBLOCKING;
int src_set_ratio(SRC_STATE* state, double new_ratio) RTV_NONBLOCKING;
}

namespace rtvoice {
namespace {

// Steps below this are left to the next larger one: libsamplerate refuses ratios over 256.
constexpr double kMinStart = 1.0 / 128;

int converter(ResamplerKind kind) {
  if (kind == ResamplerKind::kLibsamplerateBest) return SRC_SINC_BEST_QUALITY;
  if (kind == ResamplerKind::kLibsamplerateMedium) return SRC_SINC_MEDIUM_QUALITY;
  return SRC_SINC_FASTEST;
}

struct DeleteState {
  void operator()(SRC_STATE* state) const noexcept { src_delete(state); }
};
using State = std::unique_ptr<SRC_STATE, DeleteState>;

// How many samples it takes until the first output: half_length + 1, which depends on converter, ratio and version. 0
// on error.
size_t samples_to_first_output(SRC_STATE* state, double ratio) {
  constexpr size_t kLimit = 65536;  // BEST at 1:256 needs 36 600
  const float zero = 0.0f;
  float out = 0.0f;
  src_reset(state);
  for (size_t count = 1; count <= kLimit; ++count) {
    SRC_DATA data = {};
    data.data_in = &zero;
    data.data_out = &out;
    data.input_frames = data.output_frames = 1;
    data.src_ratio = ratio;
    if (src_process(state, &data) != 0) return 0;
    if (data.output_frames_gen == 1) return count;
  }
  return 0;
}

// Distributions link libsamplerate with lazy binding: what it calls for the first time on the audio thread (memmove, when
// its buffer of 14 800 samples wraps) would be looked up there, under the dynamic linker's lock. So it wraps once here.
bool bind_symbols() {
  int code = 0;
  State state(src_new(SRC_SINC_FASTEST, 1, &code));
  if (!state) return false;
  std::vector<float> in(1024), out(1024);
  for (int block = 0; block < 32; ++block) {
    SRC_DATA data = {};
    data.data_in = in.data();
    data.data_out = out.data();
    data.input_frames = data.output_frames = 1024;
    data.src_ratio = 1.0;
    if (src_process(state.get(), &data) != 0) return false;
  }
  return true;
}

class LibsamplerateResampler final : public Resampler {
 public:
  LibsamplerateResampler(const ResamplerConfig& config, State state, size_t needed)
      : state_(std::move(state)), ratio_(static_cast<double>(config.out_rate) / config.in_rate) {
    const double step = static_cast<double>(config.in_rate) / config.out_rate;
    const double whole = std::floor(config.extra_delay);
    size_t zeros = needed + static_cast<size_t>(whole);
    start_ = std::max(step, 1.0) - (config.extra_delay - whole);
    if (start_ < kMinStart) {
      start_ += 1.0;
      zeros += 1;
    }
    delay_ = static_cast<double>(zeros) - start_;
    // A start just over 1 can need one sample more than a ratio of 1 does; then there is one more.
    primer_ = std::min(zeros, needed + 1);
    queued_zeros_ = zeros - primer_;
    // What came in one block, what the output may lag behind, and what libsamplerate has not asked for yet.
    queue_.assign(zeros + 2 * config.max_in + 16, 0.0f);
    reset();
  }

  void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept RTV_NONBLOCKING override {
    n_in = std::min(n_in, queue_.size() - queued_);
    if (n_in > 0) std::memcpy(queue_.data() + queued_, in, n_in * sizeof(float));
    queued_ += n_in;
    size_t used = 0, done = 0;
    while (done < n_out) {
      SRC_DATA data = {};
      data.data_in = queue_.data() + used;
      data.input_frames = static_cast<long>(queued_ - used);
      data.data_out = out + done;
      data.output_frames = static_cast<long>(n_out - done);
      data.src_ratio = ratio_;
      if (src_process(state_.get(), &data) != 0) break;
      used += static_cast<size_t>(data.input_frames_used);
      done += static_cast<size_t>(data.output_frames_gen);
      if (data.input_frames_used == 0 && data.output_frames_gen == 0) break;
    }
    queued_ -= used;
    if (used > 0) std::memmove(queue_.data(), queue_.data() + used, queued_ * sizeof(float));
    std::fill(out + done, out + n_out, 0.0f);
  }

  void reset() noexcept RTV_NONBLOCKING override {
    std::fill(queue_.begin(), queue_.end(), 0.0f);
    float discarded = 0.0f;
    SRC_DATA data = {};
    data.data_in = queue_.data();
    data.input_frames = static_cast<long>(primer_);
    data.data_out = &discarded;
    data.output_frames = 1;
    data.src_ratio = ratio_;
    src_reset(state_.get());
    // The step of a call's first output is that of the ratio before the call; set again afterwards, no later output
    // glides towards ratio_.
    src_set_ratio(state_.get(), 1.0 / start_);
    primed_ = src_process(state_.get(), &data) == 0 && data.output_frames_gen == 1 &&
              data.input_frames_used == static_cast<long>(primer_);
    src_set_ratio(state_.get(), ratio_);
    queued_ = queued_zeros_;
  }

  double delay_in_samples() const noexcept RTV_NONBLOCKING override { return delay_; }
  bool primed() const noexcept { return primed_; }

 private:
  State state_;
  double ratio_, start_, delay_;
  size_t primer_, queued_zeros_;  // zeros fed for the discarded output, and those that wait in the queue
  std::vector<float> queue_;
  size_t queued_ = 0;
  bool primed_ = false;
};

}  // namespace

std::unique_ptr<Resampler> make_libsamplerate_resampler(const ResamplerConfig& config, std::string* error) {
  static const bool bound = bind_symbols();
  (void)bound;
  int code = 0;
  State state(src_new(converter(config.kind), 1, &code));
  if (!state) {
    *error = std::string("libsamplerate: ") + src_strerror(code);
    return nullptr;
  }
  const size_t needed = samples_to_first_output(state.get(), static_cast<double>(config.out_rate) / config.in_rate);
  if (needed > 0) {
    auto resampler = std::make_unique<LibsamplerateResampler>(config, std::move(state), needed);
    if (resampler->primed()) return resampler;
  }
  *error = std::string("libsamplerate ") + src_get_version() + " does not behave as expected; version 0.2.2 does";
  return nullptr;
}

}  // namespace rtvoice
