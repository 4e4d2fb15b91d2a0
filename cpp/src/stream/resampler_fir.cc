// Integer-ratio resampler: one polyphase FIR filter, either way, and the ratio 1 as a plain delay.
//
// All three keep what they still need of the input in one flat buffer, oldest first. Moving the rest to the front after
// each block costs a copy of 64*ratio floats (20 ns), and every window is then contiguous. The delay is made of zeros
// at the start.
#include "stream/resampler_fir.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "simd/kernels.h"
#include "stream/fir_design.h"

namespace rtvoice {
namespace {

// The window is filled up with one zero tap on its old side to a multiple of 32.
struct Quality {
  int taps_per_low_sample;
  double pass, stop, stop_weight;
};
constexpr Quality kLong = {64, 0.44, 0.52, 1e4};
constexpr Quality kShort = {32, 0.435, 0.565, 1e4};

// The input not yet used up, in a flat buffer.
class History {
 public:
  void init(size_t zeros, size_t capacity) {
    zeros_ = zeros;
    data_.assign(zeros + capacity, 0.0f);
    size_ = zeros;
  }
  void reset() noexcept {
    std::fill(data_.begin(), data_.end(), 0.0f);
    size_ = zeros_;
  }
  void append(const float* in, size_t n) noexcept {
    n = std::min(n, data_.size() - size_);
    if (n > 0) std::memcpy(data_.data() + size_, in, n * sizeof(float));
    size_ += n;
  }
  void drop(size_t n) noexcept {
    size_ -= n;
    if (n > 0) std::memmove(data_.data(), data_.data() + n, size_ * sizeof(float));
  }
  const float* data() const noexcept { return data_.data(); }
  size_t size() const noexcept { return size_; }

 private:
  std::vector<float> data_;
  size_t size_ = 0, zeros_ = 0;
};

// One block that came, one that the output may lag behind, and the window's slack.
size_t history_capacity(const ResamplerConfig& config) { return 2 * config.max_in + kMaxFirRatio; }

void fill_missing(float* out, size_t have, size_t n_out) noexcept { std::fill(out + have, out + n_out, 0.0f); }

class DelayLine final : public Resampler {
 public:
  DelayLine(const ResamplerConfig& config, size_t delay) : delay_(delay) {
    history_.init(delay, history_capacity(config));
  }
  void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept override {
    history_.append(in, n_in);
    const size_t have = std::min(n_out, history_.size());
    std::copy_n(history_.data(), have, out);
    history_.drop(have);
    fill_missing(out, have, n_out);
  }
  void reset() noexcept override { history_.reset(); }
  double delay_in_samples() const noexcept override { return static_cast<double>(delay_); }

 private:
  size_t delay_;
  History history_;
};

// y[m] is centred half_length before the newest sample of its group of `ratio` inputs, not before its first: ratio - 1
// samples less delay.
class Decimator final : public Resampler {
 public:
  Decimator(const ResamplerConfig& config, const LowpassSpec& spec, size_t extra)
      : ratio_(spec.ratio), window_(2 * spec.half_length + 2), delay_(spec.half_length + 1 - spec.ratio + extra) {
    const std::vector<double> taps = design_lowpass(spec);
    weights_.assign(window_, 0.0f);
    for (size_t k = 0; k < taps.size(); ++k) weights_[k + 1] = static_cast<float>(taps[k]);
    history_.init(window_ - ratio_ + extra, history_capacity(config));
  }
  void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept override {
    history_.append(in, n_in);
    const size_t size = history_.size();
    const size_t have = size < window_ ? 0 : std::min(n_out, (size - window_) / ratio_ + 1);
    if (have > 0) {
      const float* window = history_.data();
      simd::DotArgs args = {};
      args.seg = &window;
      args.num_segments = 1;
      args.seg_len = window_;
      args.row_step = ratio_;
      args.weights = weights_.data();
      args.out = out;
      args.out_step = 1;
      args.rows = have;
      dot_(args);
      history_.drop(have * ratio_);
    }
    fill_missing(out, have, n_out);
  }
  void reset() noexcept override { history_.reset(); }
  double delay_in_samples() const noexcept override { return static_cast<double>(delay_); }

 private:
  size_t ratio_, window_, delay_;
  std::vector<float> weights_;
  History history_;
  void (*dot_)(const simd::DotArgs&) noexcept = simd::kernels().dot;
};

// Output m*ratio + p is the dot product of the window that ends at input m with every ratio-th tap from p on.
class Interpolator final : public Resampler {
 public:
  Interpolator(const ResamplerConfig& config, const LowpassSpec& spec, size_t extra)
      : ratio_(spec.ratio), window_((2 * spec.half_length + 2) / spec.ratio), delay_(spec.half_length + extra) {
    const std::vector<double> taps = design_lowpass(spec);
    weights_.assign(window_ * ratio_, 0.0f);
    for (size_t k = 0; k < taps.size(); ++k) {
      const size_t phase = k % ratio_, age = k / ratio_;
      weights_[phase * window_ + window_ - 1 - age] = static_cast<float>(taps[k] * spec.ratio);
    }
    const size_t whole = (extra + ratio_ - 1) / ratio_;
    first_phase_ = phase_ = whole * ratio_ - extra;
    history_.init(window_ - 1 + whole, history_capacity(config));
  }
  void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept override {
    history_.append(in, n_in);
    const size_t size = history_.size();
    const size_t have = size < window_ ? 0 : std::min(n_out, (size - window_ + 1) * ratio_ - phase_);
    for (size_t first = 0; first < std::min(have, ratio_); ++first) {
      const size_t position = phase_ + first;
      const float* window = history_.data() + position / ratio_;
      simd::DotArgs args = {};
      args.seg = &window;
      args.num_segments = 1;
      args.seg_len = window_;
      args.row_step = 1;
      args.weights = weights_.data() + position % ratio_ * window_;
      args.out = out + first;
      args.out_step = ratio_;
      args.rows = (have - first + ratio_ - 1) / ratio_;
      dot_(args);
    }
    history_.drop((phase_ + have) / ratio_);
    phase_ = (phase_ + have) % ratio_;
    fill_missing(out, have, n_out);
  }
  void reset() noexcept override {
    history_.reset();
    phase_ = first_phase_;
  }
  double delay_in_samples() const noexcept override {
    return static_cast<double>(delay_) / static_cast<double>(ratio_);
  }

 private:
  size_t ratio_, window_, delay_;
  size_t phase_ = 0, first_phase_ = 0;  // of the next output
  std::vector<float> weights_;          // [ratio][window], oldest first
  History history_;
  void (*dot_)(const simd::DotArgs&) noexcept = simd::kernels().dot;
};

}  // namespace

int fir_ratio(int in_rate, int out_rate) {
  const int high = std::max(in_rate, out_rate), low = std::min(in_rate, out_rate);
  return high % low == 0 && high / low <= kMaxFirRatio ? high / low : 0;
}

std::unique_ptr<Resampler> make_fir_resampler(const ResamplerConfig& config, std::string* error) {
  const int ratio = fir_ratio(config.in_rate, config.out_rate);
  if (ratio == 0) {
    *error = "the FIR resampler needs an integer ratio up to " + std::to_string(kMaxFirRatio) + ", not " +
             std::to_string(config.in_rate) + " to " + std::to_string(config.out_rate) + " Hz; use libsamplerate";
    return nullptr;
  }
  const bool up = config.out_rate > config.in_rate;
  const double extra = config.extra_delay * (up ? ratio : 1);
  const double whole = std::round(extra);
  if (std::abs(extra - whole) > 1e-6) {
    *error = "extra_delay must be a whole number of samples at the higher rate with the FIR resampler";
    return nullptr;
  }
  const size_t zeros = static_cast<size_t>(whole);
  if (ratio == 1) return std::make_unique<DelayLine>(config, zeros);
  const Quality& quality = config.kind == ResamplerKind::kFirShort ? kShort : kLong;
  const LowpassSpec spec = {ratio, quality.taps_per_low_sample * ratio / 2 - 1, quality.pass, quality.stop,
                            quality.stop_weight};
  if (up) return std::make_unique<Interpolator>(config, spec, zeros);
  return std::make_unique<Decimator>(config, spec, zeros);
}

}  // namespace rtvoice
